// What the programs here share. Their orders come in INFERNET_PEER; what they do goes to stdout, a word and JSON a line.
// They know nothing of our profile and import nothing of ours: what they read is what such programs read.
import WebSocket from 'ws'
import { finalizeEvent, getPublicKey } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation } from 'nostr-tools/relay'
import * as nip44 from 'nostr-tools/nip44'

useWebSocketImplementation(WebSocket)
globalThis.WebSocket = WebSocket // NDK asks for the browser's

export const orders = JSON.parse(process.env.INFERNET_PEER)
export const say = (word, what) => console.log(`${word}: ${JSON.stringify(what)}`)
export const now = () => Math.floor(Date.now() / 1000)
export const hex = (s) => Uint8Array.from(s.match(/../g), (b) => parseInt(b, 16))
export const tag = (ev, name) => ev.tags.find((t) => t[0] === name)

process.stdin.resume().on('end', () => process.exit(0)) // whoever started us is gone
process.on('unhandledRejection', (err) => { say('failed', String(err?.stack ?? err)); process.exit(1) })

// at ends this program with no chance to tidy up, if its orders say so
export const at = (step) => {
  if (orders.vanish !== step) return
  say('vanishes', step)
  process.kill(process.pid, 'SIGKILL')
}

// wallet asks a wallet by NIP-47: wallet(uri)('pay_invoice', { invoice })
export async function wallet(uri) {
  const { host: pubkey, searchParams } = new URL(uri.replace(/^[^:]*:/, 'http:'))
  const key = hex(searchParams.get('secret'))
  const shared = nip44.getConversationKey(key, pubkey)
  const conn = await Relay.connect(searchParams.get('relay'))
  return (method, params) => new Promise((done, fail) => {
    const ask = finalizeEvent({
      kind: 23194, created_at: now(), tags: [['p', pubkey], ['encryption', 'nip44_v2']],
      content: nip44.encrypt(JSON.stringify({ method, params }), shared),
    }, key)
    const sub = conn.subscribe([{ kinds: [23195], authors: [pubkey], '#p': [getPublicKey(key)], '#e': [ask.id] }], {
      onevent(ev) {
        sub.close()
        const answer = JSON.parse(nip44.decrypt(ev.content, shared))
        answer.error ? fail(new Error(`${method}: ${answer.error.code} ${answer.error.message}`)) : done(answer.result)
      },
    })
    conn.publish(ask).catch(fail)
  })
}
