"""A NIP-90 client made of nostr-sdk (rust-nostr for Python), which pays by the library's own NIP-47 client.

Its orders come in INFERNET_PEER; what it does goes to stdout, a word and JSON a line.
"""
import asyncio
import json
import os
from datetime import timedelta

from nostr_sdk import (
    ClientBuilder, EventBuilder, Filter, Keys, Kind, Nip44Version, NostrWalletConnectBuilder, NostrWalletConnectUri,
    PayInvoiceRequest, PublicKey, RelayUrl, ReqTarget, SingleLetterTag, Tag, nip44_decrypt, nip44_encrypt,
)

orders = json.loads(os.environ["INFERNET_PEER"])


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


def first(tags, name):
    return next((t for t in tags if t[0] == name), None)


async def buy(job, wallet):
    keys, node = Keys.generate(), PublicKey.parse(orders["node"])
    client = ClientBuilder().build()
    await client.add_relay(RelayUrl.parse(orders["relay"]))
    await client.connect()
    tags, content = [["i", job["prompt"], "text"], ["bid", "100000"], ["output", "text/plain"], ["relays", orders["relay"]]], ""
    if job.get("encrypted"):
        content = nip44_encrypt(keys.secret_key(), node, json.dumps(tags), Nip44Version.V2)
        tags = [["encrypted"]]
    tags.append(["p", orders["node"]])
    request = EventBuilder(Kind(5050), content).tags([Tag.parse(t) for t in tags]).finalize(keys)
    about = SingleLetterTag.from_byte(ord("e"))
    await client.subscribe(ReqTarget.auto([Filter().kinds([Kind(7000), Kind(6050)]).custom_tags(about, [request.id().to_hex()])]))
    stream = client.notifications()
    sent = await client.send_event(request)
    say("asked", {"job": job["name"], "relays": len(sent.success)})
    heard = {"name": job["name"], "id": request.id().to_hex(), "said": []}
    while True:
        note = await asyncio.wait_for(stream.next(), 30)
        if note is None or not note.is_new_event():
            continue
        ev = note.event
        if not ev.verify():
            raise SystemExit(f"{ev.id().to_hex()} does not verify")
        said, text = [t.to_vec() for t in ev.tags()], ev.content()
        if first(said, "encrypted"):
            text = nip44_decrypt(keys.secret_key(), node, text)
            if ev.kind().as_u16() == 7000:
                said = json.loads(text) + said
        if ev.kind().as_u16() == 6050:
            heard["content"] = text
            await client.shutdown()
            return heard
        status = first(said, "status")[1]
        heard["said"].append(status)
        say("hears", {"job": job["name"], "status": status})
        if status == "payment-required":
            amount = first(said, "amount")
            heard["amount"] = int(amount[1])
            paid = await wallet.pay_invoice(PayInvoiceRequest(id=None, invoice=amount[2], amount=None))
            heard["preimage"] = paid.preimage
            say("paid", {"job": job["name"], "amount": amount[1]})


async def main():
    uri = NostrWalletConnectUri.parse(orders["wallet"])
    wallet = NostrWalletConnectBuilder(uri).timeout(timedelta(seconds=20)).build()
    for heard in await asyncio.gather(*(buy(job, wallet) for job in orders["jobs"])):
        say("job", heard)


asyncio.run(main())
os._exit(0)
