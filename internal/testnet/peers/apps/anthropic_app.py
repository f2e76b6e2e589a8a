"""An app made of Anthropic's own client, against a gateway whose models are tiny and echo. It says the name of each thing that
works.
"""
import json
import os

import anthropic

orders = json.loads(os.environ["INFERNET_PEER"])
client = anthropic.Anthropic(base_url=orders["url"], api_key=orders["key"], max_retries=0)
counted = "1 2 3 4 5 6 7 8 9 10 11 12"
ask = {"model": "tiny", "messages": [{"role": "user", "content": "Count to 12"}], "max_tokens": 60, "extra_body": {"temperature": 0}}


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


def fails(doing, kind, says):
    try:
        doing()
    except kind as err:
        assert says in str(err) and err.body["type"] == "error", str(err)
        return
    raise AssertionError(f"it is no {kind.__name__}")


def message():
    raw = client.messages.with_raw_response.create(**ask)
    got = raw.parse()
    assert got.content[0].text.strip() == counted and got.content[0].type == "text" and got.stop_reason == "end_turn" and got.role == "assistant", got
    assert got.usage.output_tokens > 10 and int(raw.headers["x-infernet-cost-msat"]) == got.infernet["cost_msat"] > 0


def stream():
    kinds = []
    with client.messages.stream(**ask) as events:
        for event in events:
            kinds.append(event.type)
        got = events.get_final_message()
    assert got.content[0].text.strip() == counted and got.stop_reason == "end_turn" and got.usage.output_tokens > 10, got
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop" and "content_block_delta" in kinds, kinds


def bearer():
    other = anthropic.Anthropic(base_url=orders["url"], auth_token=orders["key"], api_key=None, max_retries=0)
    assert other.messages.create(**ask).content[0].text.strip() == counted


def conversation():
    turns = [{"role": "user", "content": [{"type": "text", "text": "Spell lantern"}]}, {"role": "assistant", "content": "l a n t e r n"}]
    got = client.messages.create(**{**ask, "messages": turns + ask["messages"], "max_tokens": 8, "system": [{"type": "text", "text": "You count."}]})
    assert got.stop_reason == "max_tokens" and got.usage.input_tokens > 40 and got.usage.output_tokens <= 8, got


def stop():
    got = client.messages.create(**{**ask, "extra_body": {"temperature": 0, "top_k": 5, "top_p": 0.9}}, stop_sequences=["7"], metadata={"user_id": "somebody"})
    assert got.content[0].text.strip() == "1 2 3 4 5 6", got


def count():
    assert client.messages.count_tokens(model="tiny", messages=ask["messages"]).input_tokens > 2


def unknown_model():
    fails(lambda: client.messages.create(**{**ask, "model": "tinny"}), anthropic.NotFoundError, "there is tiny")


def wrong_key():
    other = anthropic.Anthropic(base_url=orders["url"], api_key="ifn_wrong", max_retries=0)
    fails(lambda: other.messages.create(**ask), anthropic.AuthenticationError, "not known")


def giant_prompt():
    for size, says in (60, "TOO_LARGE"), (6000, "tokens of context"):
        giant = [{"role": "user", "content": "Count to 12. " * size}]
        fails(lambda: client.messages.create(**{**ask, "messages": giant}), anthropic.BadRequestError, says)


def not_carried():
    tool = {"type": "web_search_20250305", "name": "web_search"}
    fails(lambda: client.messages.create(**ask, tools=[tool]), anthropic.BadRequestError, "runs on the service itself")
    paper = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "AAAA"}}
    fails(lambda: client.messages.create(**{**ask, "messages": [{"role": "user", "content": [paper]}]}), anthropic.BadRequestError, "document")


def no_money():
    poor = anthropic.Anthropic(base_url=orders["url"], api_key=orders["poor"])
    fails(lambda: poor.messages.create(**ask), anthropic.APIStatusError, "the budget of the app key")


def cancel():
    with client.messages.create(model="echo", messages=[{"role": "user", "content": "again and again"}], stream=True, max_tokens=400) as got:
        for seen, _ in enumerate(got):
            if seen == 4:
                break
    say("cancelled", got.response.headers["x-infernet-job"])


for test in message, stream, bearer, conversation, stop, count, unknown_model, wrong_key, giant_prompt, not_carried, no_money, cancel:
    try:
        test()
        say("ok", test.__name__)
    except Exception as err:
        say("failed", f"{test.__name__}: {type(err).__name__} {err}")
say("end", {})
