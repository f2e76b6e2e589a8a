// A wallet's client, made of @getalby/sdk: it calls every method of its NWCClient against the service whose connection
// addresses stand in the environment, and says which it called. It ends with 1 when an answer is not what NIP-47 says.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket; // before the SDK looks for it
const { NWCClient } = await import("@getalby/sdk");

const payer = new NWCClient({ nostrWalletConnectUrl: process.env.PAYER });
const payee = new NWCClient({ nostrWalletConnectUrl: process.env.PAYEE });
if (process.env.ENCRYPTION) {
  // as a client that knows no other
  payer._encryptionType = payee._encryptionType = process.env.ENCRYPTION;
}
const sat = 1000;
// over real nodes: they book a moment later, and count blocks with a margin of their own
const real = Boolean(process.env.REAL);
const has = async (client, balance) => {
  for (let i = 0; real && i < 500 && (await client.getBalance()).balance !== balance; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await client.getBalance()).balance, balance);
};
const preimage = () => randomBytes(32).toString("hex");
const hashOf = (hex) => createHash("sha256").update(Buffer.from(hex, "hex")).digest("hex");

// called counts the methods, of which every one must be called
const called = new Set();
const internal = ["constructor", "connected", "publicKey", "encryptionType", "nostrWalletConnectUrl", "executeNip47Request", "executeMultiNip47Request"];
for (const client of [payer, payee]) {
  for (const name of Object.getOwnPropertyNames(NWCClient.prototype)) {
    if (internal.includes(name) || name.startsWith("_")) continue;
    const method = client[name];
    client[name] = (...args) => {
      called.add(name);
      return method.apply(client, args);
    };
  }
}
const refused = (promise, code) =>
  assert.rejects(promise, (err) => {
    assert.equal(err.code, code, `${err.message} is ${err.code}`);
    return true;
  });

// addresses
assert.deepEqual(NWCClient.parseWalletConnectUrl(process.env.PAYER).relayUrls, payer.relayUrls);
assert.equal(new NWCClient({ nostrWalletConnectUrl: payer.getNostrWalletConnectUrl(true) }).secret, payer.secret);

// what the service says of itself
const info = await payer.getWalletServiceInfo();
assert.deepEqual(info.encryptions, ["nip44_v2", "nip04"]);
assert.deepEqual(info.notifications, ["payment_received", "payment_sent", "hold_invoice_accepted"]);
for (const method of ["pay_invoice", "make_invoice", "lookup_invoice", "list_transactions", "get_balance", "get_info", "make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice", "notifications"]) {
  assert.ok(info.capabilities.includes(method), `no ${method} in ${info.capabilities}`);
}
const about = await payer.getInfo();
assert.equal(about.network, "regtest");
assert.deepEqual(about.methods.toSorted(), info.capabilities.filter((c) => c !== "notifications").toSorted());
assert.match(about.pubkey, /^0[23][0-9a-f]{64}$/);
assert.ok(about.block_height > 0 && /^[0-9a-f]{64}$/.test(about.block_hash));

// notifications, as they come
const heard = { payer: [], payee: [] };
const stop = [await payer.subscribeNotifications((n) => heard.payer.push(n)), await payee.subscribeNotifications((n) => heard.payee.push(n))];
const hear = async (who, type, hash) => {
  for (let i = 0; i < 1000; i++) {
    const found = heard[who].find((n) => n.notification_type === type && n.notification.payment_hash === hash);
    if (found) return found.notification;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${who} heard no ${type} of ${hash}: ${JSON.stringify(heard[who])}`);
};

// an invoice, paid
const before = { payer: (await payer.getBalance()).balance, payee: (await payee.getBalance()).balance };
const metadata = { comment: "ü", nostr: { tags: [["e", "x"]] } };
const invoice = await payee.makeInvoice({ amount: 21 * sat, description: "sdk ü", expiry: 600, metadata });
assert.equal(invoice.type, "incoming");
assert.equal(invoice.state, "pending");
assert.equal(invoice.amount, 21 * sat);
assert.ok(Math.abs(invoice.expires_at - invoice.created_at - 600) < 2);
assert.deepEqual(invoice.metadata, metadata);
const paid = await payer.payInvoice({ invoice: invoice.invoice, metadata: { comment: "paid" } });
assert.equal(hashOf(paid.preimage), invoice.payment_hash);
assert.equal((await payer.payInvoice({ invoice: invoice.invoice })).preimage, paid.preimage);
const incoming = await payee.lookupInvoice({ payment_hash: invoice.payment_hash });
assert.equal(incoming.state, "settled");
assert.deepEqual(incoming.metadata, metadata);
const outgoing = await payer.lookupInvoice({ invoice: invoice.invoice });
assert.equal(outgoing.type, "outgoing");
assert.equal(outgoing.preimage, paid.preimage);
assert.deepEqual(outgoing.metadata, { comment: "paid" });
assert.equal((await hear("payee", "payment_received", invoice.payment_hash)).preimage, paid.preimage);
assert.equal((await hear("payer", "payment_sent", invoice.payment_hash)).amount, 21 * sat);
await has(payer, before.payer - 21 * sat);
await has(payee, before.payee + 21 * sat);

// a hold invoice, settled: paying comes back when it is
const key = preimage();
const hold = await payee.makeHoldInvoice({ amount: 5 * sat, payment_hash: hashOf(key), description: "hold", min_cltv_expiry_delta: 60 });
assert.equal(hold.payment_hash, hashOf(key));
let back = false;
const paying = payer.payInvoice({ invoice: hold.invoice }).then((p) => ((back = true), p));
const accepted = await hear("payee", "hold_invoice_accepted", hold.payment_hash);
assert.equal(accepted.state, "accepted");
if (real) assert.ok(accepted.settle_deadline > about.block_height + 40 && accepted.settle_deadline <= about.block_height + 63);
else assert.equal(accepted.settle_deadline, about.block_height + 60);
assert.equal((await payee.lookupInvoice({ payment_hash: hold.payment_hash })).state, "accepted");
assert.equal((await payer.lookupInvoice({ payment_hash: hold.payment_hash })).state, "pending");
await has(payee, before.payee + 21 * sat);
assert.equal(back, false);
await payee.settleHoldInvoice({ preimage: key });
assert.equal((await paying).preimage, key);
assert.equal((await hear("payee", "payment_received", hold.payment_hash)).preimage, key);
assert.equal((await hear("payer", "payment_sent", hold.payment_hash)).preimage, key);
await refused(payee.cancelHoldInvoice({ payment_hash: hold.payment_hash }), "PAYMENT_FAILED");

// a hold invoice, cancelled: paying fails, and costs nothing
const key2 = preimage();
const hold2 = await payee.makeHoldInvoice({ amount: 5 * sat, payment_hash: hashOf(key2) });
const failing = refused(payer.payInvoice({ invoice: hold2.invoice }), "PAYMENT_FAILED");
await hear("payee", "hold_invoice_accepted", hold2.payment_hash);
await payee.cancelHoldInvoice({ payment_hash: hold2.payment_hash });
await failing;
assert.equal((await payer.lookupInvoice({ payment_hash: hold2.payment_hash })).state, "failed");
await refused(payee.settleHoldInvoice({ preimage: key2 }), "PAYMENT_FAILED");
await has(payer, before.payer - 26 * sat);
await has(payee, before.payee + 26 * sat);

// lists: pages, newest first, by way, by state, by time
for (let i = 1; i <= 7; i++) {
  const one = await payee.makeInvoice({ amount: i * sat, description: `list ${i}` });
  if (i > 2) await payer.payInvoice({ invoice: one.invoice });
}
const list = async (client, ask) => (await client.listTransactions(ask)).transactions;
assert.equal((await list(payee, {})).length, 7); // 5 of these, 21 and 5 sat from above
const all = await list(payee, { unpaid: true });
assert.equal(all.length, 10);
assert.ok(all.every((t, i) => i === 0 || t.created_at <= all[i - 1].created_at));
const pages = [...(await list(payee, { unpaid: true, limit: 4 })), ...(await list(payee, { unpaid: true, limit: 4, offset: 4 })), ...(await list(payee, { unpaid: true, limit: 4, offset: 8 }))];
assert.deepEqual(pages.map((t) => t.payment_hash), all.map((t) => t.payment_hash));
assert.equal((await list(payer, { type: "incoming", unpaid: true })).length, 0);
assert.ok((await list(payer, { type: "outgoing" })).every((t) => t.type === "outgoing" && t.state === "settled"));
assert.equal((await list(payer, { type: "outgoing", unpaid: true })).length, (await list(payer, { type: "outgoing" })).length + 1); // the one that came back
assert.equal((await list(payee, { until: invoice.created_at - 1 })).length, 0);
assert.equal((await list(payee, { from: invoice.created_at })).length, 7);

// what goes wrong has NIP-47's codes
await refused(payer.lookupInvoice({ payment_hash: hashOf(preimage()) }), "NOT_FOUND");
await refused(payer.payInvoice({ invoice: "lnbcrt1garbage" }), "PAYMENT_FAILED");
const dear = await payee.makeInvoice({ amount: before.payer + 1000 * sat });
await refused(payer.payInvoice({ invoice: dear.invoice }), "INSUFFICIENT_BALANCE");
await refused(payee.makeHoldInvoice({ amount: sat, payment_hash: "00" }), "OTHER");
await refused(payee.settleHoldInvoice({ preimage: preimage() }), "NOT_FOUND");
// not in NIP-47, or not for play money
await refused(payer.getBudget(), "NOT_IMPLEMENTED");
await refused(payer.signMessage({ message: "x" }), "NOT_IMPLEMENTED");
await refused(payer.createConnection({ pubkey: payer.publicKey, name: "x", request_methods: [] }), "NOT_IMPLEMENTED");
await refused(payer.payKeysend({ amount: sat, pubkey: about.pubkey }), "NOT_IMPLEMENTED");
await refused(payer.multiPayInvoice({ invoices: [{ invoice: invoice.invoice }] }), "NOT_IMPLEMENTED");
await refused(payer.multiPayKeysend({ keysends: [{ amount: sat, pubkey: about.pubkey }] }), "NOT_IMPLEMENTED");

// the rest of the class
assert.equal(await payer.getPublicKey(), payer.publicKey);
assert.equal(await payer.decrypt(payer.walletPubkey, await payer.encrypt(payer.walletPubkey, "x")), "x");
assert.equal(payer.getEventHash(await payer.signEvent({ kind: 1, created_at: 1, tags: [], content: "" })).length, 64);
assert.equal(payer.connected, true);
stop.forEach((f) => f());
payee.close();
payer.close();

const missed = Object.getOwnPropertyNames(NWCClient.prototype).filter((name) => !internal.includes(name) && !name.startsWith("_") && !called.has(name));
assert.deepEqual(missed, [], "methods that were not called");
console.log(`${called.size} methods called by ${payer.encryptionType}`);
process.exit(0);
