// A wallet service, made of @getalby/sdk's NWCWalletService. What it is asked it does at the wallet behind it, to which it
// is a client (NWCClient). Each line of stdin opens a connection, {"secret","client","behind","encryption"}: the service's
// secret key, the client's public key, the wallet behind, and what the info event says of encryption ("" says nothing).
import { createInterface } from "node:readline";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // before the SDK looks for it
const { NWCClient, NWCWalletService, NWCWalletServiceKeyPair } = await import("@getalby/sdk");
console.error = () => {}; // the SDK prints every refusal

const methods = ["get_info", "get_balance", "make_invoice", "pay_invoice", "lookup_invoice", "list_transactions"];
const service = new NWCWalletService({ relayUrls: [process.env.RELAY] });

// done gives a result or an error as the service wants it.
const done = (promise) =>
  promise.then(
    (result) => ({ result, error: undefined }),
    (err) => ({ result: undefined, error: { code: err.code ?? "INTERNAL", message: err.message } }),
  );

async function open({ secret, client, behind, encryption }) {
  const wallet = new NWCClient({ nostrWalletConnectUrl: behind });
  const keys = new NWCWalletServiceKeyPair(secret, client);
  if (encryption === undefined) {
    await service.publishWalletServiceInfoEvent(secret, methods, []);
  } else {
    const tags = encryption ? [["encryption", encryption]] : [];
    const ev = await service.signEvent({ kind: 13194, created_at: Math.floor(Date.now() / 1000), tags, content: methods.join(" ") }, secret);
    await Promise.any(service.pool.publish(service.relayUrls, ev));
  }
  await service.subscribe(keys, {
    getInfo: () => done(wallet.getInfo().then((info) => ({ ...info, methods, notifications: [], chosen_preimages: undefined }))),
    getBalance: () => done(wallet.getBalance()),
    makeInvoice: (ask) => done(wallet.makeInvoice(ask)),
    payInvoice: (ask) => done(wallet.payInvoice(ask)),
    lookupInvoice: (ask) => done(wallet.lookupInvoice(ask)),
    listTransactions: (ask) => done(wallet.listTransactions(ask)),
  });
  console.log("open " + client);
}

createInterface({ input: process.stdin })
  .on("line", (line) => open(JSON.parse(line)).catch((err) => { console.log("error " + err.message); process.exit(1); }))
  .on("close", () => process.exit(0));
