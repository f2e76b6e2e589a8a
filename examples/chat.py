"""Buys chats with OpenAI's own client (pip install openai): one streamed, then what it cost.

    usage: eval "$(infernet connect openai)"; python examples/chat.py [MODEL]
"""
import sys

from openai import OpenAI

client = OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY say where
model = sys.argv[1] if len(sys.argv) > 1 else client.models.list().data[0].id

stream = client.chat.completions.create(
    model=model, messages=[{"role": "user", "content": "Write one sentence about the sea."}], max_tokens=64,
    stream=True, stream_options={"include_usage": True}, extra_body={"infernet": {"max_cost_sats": 100}},
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
    if chunk.usage:
        bill = chunk.usage.infernet
        print(f"\npaid {bill['cost_msat'] / 1000} sat to {bill['node'][:8]} for {chunk.usage.completion_tokens} tokens")
