"""An app made of OpenAI's own Python client, which has a gateway speak, hear and paint. It says the name of each thing that
works.
"""
import base64
import json
import os

import openai

orders = json.loads(os.environ["INFERNET_PEER"])
client = openai.OpenAI(base_url=orders["url"] + "/v1", api_key=orders["key"], max_retries=0)
sentence = "The quick brown fox jumps over the lazy dog."


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


def words(text):
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").split()


def speech_and_hearing():
    said = client.audio.speech.create(model=orders["voice"], voice="alloy", input=sentence)
    assert said.response.headers["content-type"] == "audio/ogg" and int(said.response.headers["x-infernet-cost-msat"]) > 0
    heard = client.audio.transcriptions.create(model=orders["ear"], file=("fox.ogg", said.content))
    assert words(heard.text) == words(sentence), heard
    assert heard.infernet["cost_msat"] > 0
    text = client.audio.transcriptions.create(model=orders["ear"], file=("fox.ogg", said.content), response_format="text")
    assert words(text) == words(sentence), text


def larger_than_an_event():
    said = client.audio.speech.create(model=orders["voice"], voice="alloy", input=sentence, response_format="wav")
    assert len(said.content) > 50000 and said.content[:4] == b"RIFF", len(said.content)
    heard = client.audio.transcriptions.create(model=orders["ear"], file=("fox.wav", said.content))
    assert words(heard.text) == words(sentence), heard


def picture():
    got = client.images.generate(model=orders["painter"], prompt="a red circle on blue", size="64x64", extra_body={"seed": 1})
    assert base64.b64decode(got.data[0].b64_json)[:4] == b"\x89PNG" and got.infernet["cost_msat"] > 0


def refusals():
    for doing, says in (
        (lambda: client.audio.transcriptions.create(model=orders["ear"], file=("x.png", b"\x89PNG")), "INVALID_PARAMETER"),
        (lambda: client.audio.transcriptions.create(model=orders["ear"], file=("x.ogg", b"")), "empty"),
        (lambda: client.images.generate(model=orders["painter"], prompt="two", n=2), "one answer"),
        (lambda: client.images.generate(model=orders["painter"], prompt="x", size="9x9"), "out of bounds"),
        (lambda: client.audio.speech.create(model=orders["voice"], voice="alloy", input=sentence, response_format="pcm"), "none of flac, mp3, opus, wav"),
    ):
        try:
            doing()
        except openai.BadRequestError as err:
            assert says in str(err), str(err)
        else:
            raise AssertionError("it is taken: " + says)


for test in speech_and_hearing, larger_than_an_event, picture, refusals:
    try:
        test()
        say("ok", test.__name__)
    except Exception as err:
        say("failed", f"{test.__name__}: {type(err).__name__} {err}")
say("end", {})
