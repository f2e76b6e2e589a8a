"""An app made of Ollama's own Python client, against a gateway whose models are tiny and echo. It says the name of each thing
that works.
"""
import json
import os

import ollama

orders = json.loads(os.environ["INFERNET_PEER"])
client = ollama.Client(host=orders["url"], headers={"Authorization": "Bearer " + orders["key"]})
counted = "1 2 3 4 5 6 7 8 9 10 11 12"
ask = {"model": "tiny", "messages": [{"role": "user", "content": "Count to 12"}], "options": {"temperature": 0, "num_ctx": 2048}}


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


def fails(doing, code, says):
    try:
        doing()
    except ollama.ResponseError as err:
        assert err.status_code == code and says in err.error, (err.status_code, err.error)
        return
    raise AssertionError("it does not fail")


def tags():
    assert sorted(m.model for m in client.list().models) == ["echo", "tiny"]


def chat():
    got = client.chat(**ask)
    assert got.message.content.strip() == counted and got.done and got.done_reason == "stop" and got.eval_count > 10, got


def stream():
    parts = list(client.chat(**ask, stream=True))
    assert "".join(p.message.content for p in parts).strip() == counted and len(parts) > 1, parts
    assert parts[-1].done and not parts[0].done and parts[-1].eval_count > 10


def generate():
    got = client.generate(model="tiny", prompt="Count to 12", options={"temperature": 0, "num_predict": 8})
    assert got.response and got.done_reason == "length" and got.eval_count <= 8, got
    text = "".join(p.response for p in client.generate(model="tiny", prompt="Count to 12", options={"temperature": 0, "stop": ["7"]}, stream=True))
    assert text.strip() == "1 2 3 4 5 6", text


def unknown_model():
    fails(lambda: client.chat(**{**ask, "model": "tinny"}), 404, "there is tiny")


def wrong_key():
    other = ollama.Client(host=orders["url"], headers={"Authorization": "Bearer ifn_wrong"})
    fails(lambda: other.chat(**ask), 401, "not known")


def giant_prompt():
    fails(lambda: client.chat(**{**ask, "messages": [{"role": "user", "content": "Count to 12. " * 6000}]}), 400, "tokens of context")


def not_carried():
    fails(lambda: client.chat(**ask, format="json"), 400, "format is not carried")


for test in tags, chat, stream, generate, unknown_model, wrong_key, giant_prompt, not_carried:
    try:
        test()
        say("ok", test.__name__)
    except Exception as err:
        say("failed", f"{test.__name__}: {type(err).__name__} {err}")
say("end", {})
