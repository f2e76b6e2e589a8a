// A NIP-90 client made of nostr-tools. Each job of its orders says what the request carries; it publishes the request,
// pays what a payment-required asks for, and reports what was said, the result, and what came after it.
import { finalizeEvent, generateSecretKey, verifyEvent } from 'nostr-tools/pure'
import { Relay } from 'nostr-tools/relay'
import * as nip04 from 'nostr-tools/nip04'
import * as nip44 from 'nostr-tools/nip44'
import { at, now, orders, say, tag, wallet } from './market.mjs'

const pay = orders.wallet && await wallet(orders.wallet)

async function buy(job) {
  const key = generateSecretKey()
  const relay = await Relay.connect(orders.relay)
  const ask = { kind: job.kind ?? 5050, created_at: now(), tags: job.tags ?? [], content: job.content ?? '' }
  if (job.encrypt) {
    const inside = JSON.stringify(job.inside)
    ask.content = job.encrypt === 'nip04' ? nip04.encrypt(key, job.node, inside) : nip44.encrypt(inside, nip44.getConversationKey(key, job.node))
    ask.tags.push(['p', job.node], ['encrypted'])
  }
  const request = finalizeEvent(ask, key)

  // read gives an event's tags and text as its customer sees them
  const read = (ev) => {
    if (!tag(ev, 'encrypted')) return ev
    const plain = ev.content.includes('?iv=') ? nip04.decrypt(key, ev.pubkey, ev.content) : nip44.decrypt(ev.content, nip44.getConversationKey(key, ev.pubkey))
    return ev.kind === 7000 ? { ...ev, tags: [...JSON.parse(plain), ...ev.tags], content: '' } : { ...ev, content: plain }
  }

  return new Promise((done, fail) => {
    const heard = { name: job.name, id: request.id, said: [], after: 0 }
    let paying = Promise.resolve() // the result may come before the wallet's answer
    relay.subscribe([{ kinds: [7000, request.kind + 1000], '#e': [request.id] }], {
      async onevent(ev) {
        if (orders.vanish === 'published') return // the price may be faster than the relay's OK
        try {
          if (!verifyEvent(ev)) throw new Error(`${ev.id} does not verify`)
          if (heard.content !== undefined) return void heard.after++
          const m = read(ev)
          if (ev.kind !== 7000) {
            heard.content = m.content
            heard.status = tag(m, 'status')?.[1]
            heard.encrypted = Boolean(tag(ev, 'encrypted'))
            setTimeout(() => paying.then(() => { relay.close(); done(heard) }, fail), orders.quiet ?? 500) // a plain customer expects nothing more
            return
          }
          const [, status, text] = tag(m, 'status')
          heard.said.push(text ? `${status} ${text}` : status)
          say('hears', { job: job.name, status, amount: tag(m, 'amount')?.[1] })
          if (status === 'payment-required') {
            at('asked')
            const [, amount, bolt11] = tag(m, 'amount')
            heard.amount = Number(amount)
            if (!pay || job.pays === false) return
            paying = pay('pay_invoice', { invoice: bolt11 }).then((paid) => { heard.preimage = paid.preimage })
            await paying
            say('paid', { job: job.name, amount })
            at('paid')
          }
          if (status === 'processing') at('processing')
          if (status === 'error') { relay.close(); done(heard) }
        } catch (err) { fail(err) }
      },
      oneose() {
        relay.publish(request).then(() => { say('asked', { job: job.name, id: request.id }); at('published') }, (err) => {
          relay.close()
          done({ ...heard, refused: String(err) })
        })
      },
    })
  })
}

await Promise.all(orders.jobs.map(async (job) => say('job', await buy(job))))
process.exit(0)
