"""An app made of OpenAI's own Python client, against a gateway whose models are tiny and echo. It says the name of each thing
that works.
"""
import asyncio
import json
import os

import openai

orders = json.loads(os.environ["INFERNET_PEER"])
client = openai.OpenAI(base_url=orders["url"] + "/v1", api_key=orders["key"], max_retries=0)
counted = "1 2 3 4 5 6 7 8 9 10 11 12"
ask = {"model": "tiny", "messages": [{"role": "user", "content": "Count to 12"}], "temperature": 0}


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


def fails(doing, kind, code, says):
    try:
        doing()
    except kind as err:
        assert err.code == code, (err.code, str(err))
        assert says in str(err), str(err)
        return
    raise AssertionError(f"it is no {kind.__name__}")


def models():
    assert sorted(m.id for m in client.models.list()) == ["echo", "tiny"]
    assert client.models.retrieve("tiny").object == "model"


def chat():
    raw = client.chat.completions.with_raw_response.create(**ask)
    got = raw.parse()
    assert got.choices[0].message.content.strip() == counted, got
    assert got.choices[0].finish_reason == "stop"
    assert got.usage.total_tokens > got.usage.completion_tokens > 10
    assert int(raw.headers["x-infernet-cost-msat"]) == got.infernet["cost_msat"] > 0
    assert len(raw.headers["x-infernet-receipt"]) == 64


def stream():
    text, chunks, usage, finish = "", 0, None, None
    for chunk in client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        chunks += 1
        usage = chunk.usage or usage
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
    assert text.strip() == counted and chunks > 3 and finish == "stop" and usage.completion_tokens > 10, (text, chunks, finish, usage)


def asynchronous():
    async def several():
        other = openai.AsyncOpenAI(base_url=orders["url"] + "/v1", api_key=orders["key"], max_retries=0)
        return await asyncio.gather(*(other.chat.completions.create(**ask) for _ in range(3)))

    assert [got.choices[0].message.content.strip() for got in asyncio.run(several())] == [counted] * 3


def conversation():
    turns = [{"role": "system", "content": "You count."}, {"role": "user", "content": "Spell lantern"}, {"role": "assistant", "content": "l a n t e r n"}]
    got = client.chat.completions.create(**{**ask, "messages": turns + ask["messages"], "max_tokens": 8})
    assert got.usage.prompt_tokens > 40 and got.choices[0].finish_reason == "length"


def stop():
    got = client.chat.completions.create(**ask, stop="7", seed=3, top_p=0.9, extra_body={"an_unknown_field": {"of": "any shape"}, "infernet": {"max_cost_sats": 50}})
    assert got.choices[0].message.content.strip() == "1 2 3 4 5 6", got


def completions():
    assert client.completions.create(model="tiny", prompt="Count to 12", temperature=0).choices[0].text.strip() == counted


def embeddings():
    got = client.embeddings.create(model="tiny", input=["hello", "Count to 12"])
    plain = client.embeddings.create(model="tiny", input="hello", encoding_format="float")
    assert len(got.data) == 2 and len(got.data[0].embedding) == len(plain.data[0].embedding) > 8
    assert all(abs(a - b) < 1e-4 for a, b in zip(got.data[0].embedding, plain.data[0].embedding))


def unknown_model():
    fails(lambda: client.chat.completions.create(**{**ask, "model": "tinny"}), openai.NotFoundError, "model_not_found", "there is tiny")


def wrong_key():
    other = openai.OpenAI(base_url=orders["url"] + "/v1", api_key="ifn_wrong", max_retries=0)
    fails(lambda: other.chat.completions.create(**ask), openai.AuthenticationError, "invalid_api_key", "not known")


def giant_prompt():
    for size, says in (60, "TOO_LARGE"), (6000, "tokens of context"):
        giant = [{"role": "user", "content": "Count to 12. " * size}]
        fails(lambda: client.chat.completions.create(**{**ask, "messages": giant}), openai.BadRequestError, "context_length_exceeded", says)


def not_carried():
    fails(lambda: client.chat.completions.create(**ask, n=2), openai.BadRequestError, "unsupported_parameter", "one answer")


def no_money():
    poor = openai.OpenAI(base_url=orders["url"] + "/v1", api_key=orders["poor"])
    fails(lambda: poor.chat.completions.create(**ask), openai.APIStatusError, "insufficient_quota", "the budget of the app key")


def cancel():
    got = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "again and again"}], stream=True, max_tokens=400)
    for seen, _ in enumerate(got):
        if seen == 3:
            break
    got.close()
    say("cancelled", got.response.headers["x-infernet-job"])


for test in models, chat, stream, asynchronous, conversation, stop, completions, embeddings, unknown_model, wrong_key, giant_prompt, not_carried, no_money, cancel:
    try:
        test()
        say("ok", test.__name__)
    except Exception as err:
        say("failed", f"{test.__name__}: {type(err).__name__} {err}")
say("end", {})
