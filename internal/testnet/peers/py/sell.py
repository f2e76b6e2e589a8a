"""The nostr-dvm of PyPI as it comes, told only which relay to use, whom to ask for invoices, and how to do the work.

Its orders come in INFERNET_PEER; what it does goes to stdout, a word and JSON a line, between the lines that nostr-dvm
prints itself. It answers a prompt in capitals; a prompt "fail …" raises, a prompt "sleep …" never ends.
"""
import asyncio
import json
import os
import sys
import threading

from nostr_dvm.framework import DVMFramework
from nostr_dvm.tasks.generic_dvm import GenericDVM
from nostr_dvm.utils.admin_utils import AdminConfig
from nostr_dvm.utils.dvmconfig import DVMConfig
from nostr_dvm.utils.nip89_utils import NIP89Config
from nostr_sdk import Kind

orders = json.loads(os.environ["INFERNET_PEER"])


def say(word, what):
    print(f"{word}: {json.dumps(what)}", flush=True)


class Capitals(GenericDVM):
    """A text task; everything else is the framework's."""

    async def process(self, request_form):
        prompt = json.loads(request_form["options"])["input"]
        say("works", {"job": request_form["jobID"]})
        if prompt.startswith("sleep"):
            await asyncio.sleep(3600)
        if prompt.startswith("fail"):
            raise ValueError("cannot do this prompt")
        return prompt.upper()


# the parent's end is ours
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()

config = DVMConfig()
for place in (DVMConfig, config):
    place.RELAY_LIST = [orders["relay"]]
    place.SYNC_DB_RELAY_LIST = [orders["relay"]]
    place.ANNOUNCE_RELAY_LIST = [orders["relay"]]
config.PRIVATE_KEY = orders["secret"]
config.IDENTIFIER = "capitals"
config.KIND = Kind(5050)
config.FIX_COST = orders.get("price", 0)
config.LNBITS_URL = orders.get("lnbits", "")
config.LNBITS_INVOICE_KEY = "key" if orders.get("lnbits") else ""

card = NIP89Config()
card.KIND = Kind(5050)
card.DTAG = "capitals"
card.CONTENT = json.dumps({
    "name": "Capitals", "about": "Writes in capitals", "picture": "", "supportsEncryption": True, "acceptsNutZaps": False, "nip90Params": {},
})
admin = AdminConfig()
admin.REBROADCAST_NIP89 = True

dvm = Capitals(name="Capitals", dvm_config=config, nip89config=card, admin_config=admin)
framework = DVMFramework()
framework.add(dvm)
say("starts", {})
framework.run()
