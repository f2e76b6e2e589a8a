// rust-nostr, by its own builders and checks: verifies what we sign, opens what we encrypt, and signs and encrypts for us.
import {
  DataVendingMachineStatus, Event, EventBuilder, JobFeedbackData, Keys, Kind, NIP44Version, PublicKey, Tag, Timestamp,
  loadWasmSync, nip04Encrypt, nip44Decrypt, nip44Encrypt,
} from '@rust-nostr/nostr-sdk'
import { orders, say } from './market.mjs'

loadWasmSync()

// each vector: is it what was signed, and does its content open for the one it is for?
for (const { name, event, secret } of orders.events) {
  const heard = { name }
  try {
    const ev = Event.fromJson(JSON.stringify(event))
    heard.verified = ev.verify()
    heard.same = JSON.stringify(JSON.parse(ev.asJson()).tags) === JSON.stringify(event.tags)
    if (secret) heard.plain = nip44Decrypt(Keys.parse(secret).secretKey, ev.author, ev.content)
  } catch (err) { heard.error = String(err?.message ?? err) }
  say('checked', heard)
}

const keys = Keys.generate()
const node = PublicKey.parse(orders.node)
const sign = (kind, content, tags) => new EventBuilder(new Kind(kind), content).tags(tags.map((t) => Tag.parse(t))).signWithKeys(keys)
const made = (name, ev) => { say('made', { name, event: JSON.parse(ev.asJson()) }); return ev }

const inside = JSON.stringify([['i', 'one two three', 'text'], ['bid', '100000']])
const request = made('request', sign(5050, '', [['i', 'one two three', 'text'], ['bid', '100000'], ['p', orders.node]]))
made('encrypted request', sign(5050, nip44Encrypt(keys.secretKey, node, inside, NIP44Version.V2), [['p', orders.node], ['encrypted']]))
made('encrypted request, NIP-04', sign(5050, nip04Encrypt(keys.secretKey, node, inside), [['p', orders.node], ['encrypted']]))
const feedback = (status, data = (d) => d) => EventBuilder.jobFeedback(data(new JobFeedbackData(request, status))).signWithKeys(keys)
made('payment-required', feedback(DataVendingMachineStatus.PaymentRequired, (d) => d.amount(32000n, orders.bolt11)))
made('processing', feedback(DataVendingMachineStatus.Processing))
made('error', feedback(DataVendingMachineStatus.Error, (d) => d.extra_info('no such model')))
made('partial', feedback(DataVendingMachineStatus.Partial, (d) => d.payload('one')))
say('done', { key: keys.publicKey.toHex(), at: Number(Timestamp.now().asSecs()) })
process.exit(0)
