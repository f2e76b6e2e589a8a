// A NIP-90 provider made of NDK's own classes, which says payment_required as NDK's own enumeration does. It is paid to a
// wallet that it reaches by NIP-47, and answers in words of its own: the prompt backwards.
import NDK, { NDKDVMJobFeedback, NDKDVMJobResult, NDKDVMRequest, NDKPrivateKeySigner } from '@nostr-dev-kit/ndk'
import { at, now, orders, say, wallet } from './market.mjs'

const ask = orders.wallet && await wallet(orders.wallet)
const signer = new NDKPrivateKeySigner(orders.secret)
const ndk = new NDK({ explicitRelayUrls: [orders.relay], signer, enableOutboxModel: false })
await ndk.connect(5000)
const me = await signer.user()

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

// tell sends feedback; of an encrypted job the tags travel inside, as NDKDVMJobFeedback.from reads them
async function tell(request, encrypted, status, ...tags) {
  const m = encrypted ? new NDKDVMJobFeedback(ndk) : request.createFeedback(status)
  if (encrypted) {
    m.tags = [['e', request.id], ['p', request.pubkey], ['encrypted']]
    m.content = JSON.stringify([['status', status], ...tags])
    await m.encrypt(request.author, signer)
  } else m.tags.push(...tags)
  await m.publish()
  say('says', { status, job: request.id })
  return m
}

async function serve(ev) {
  const request = NDKDVMRequest.from(ev)
  const named = request.getMatchingTags('p').map((t) => t[1])
  if (named.length > 0 && !named.includes(me.pubkey)) return
  const encrypted = request.getMatchingTags('encrypted').length > 0
  let tags = request.tags
  if (encrypted) {
    const opened = NDKDVMRequest.from(ev)
    await opened.decrypt(request.author, signer)
    tags = JSON.parse(opened.content)
  }
  const prompt = tags.find((t) => t[0] === 'i')[1]
  at('asked') // vanish before anything was said
  if (orders.price > 0) {
    const invoice = await ask('make_invoice', { amount: orders.price, description: 'ndk', expiry: 60 })
    await tell(request, encrypted, 'payment_required', ['amount', String(orders.price), invoice.invoice])
    at('offered')
    while ((await ask('lookup_invoice', { payment_hash: invoice.payment_hash })).state !== 'settled') await sleep(50)
    say('is paid', { job: request.id })
    at('paid')
  }
  await tell(request, encrypted, 'processing')
  at('processing')
  await tell(request, encrypted, 'scheduled') // NDK's enumeration has it, the NIP has not
  await sleep(orders.works ?? 0)
  const result = new NDKDVMJobResult(ndk)
  result.content = [...prompt].reverse().join('')
  if (encrypted) {
    result.kind = request.kind + 1000
    result.tags = [['e', request.id], ['p', request.pubkey], ['encrypted']]
    await result.encrypt(request.author, signer)
  } else {
    result.jobRequest = request
    result.status = 'success'
  }
  await result.publish()
  say('delivered', { job: request.id, tags: result.tags.filter((t) => t[0] !== 'request') })
}

ndk.subscribe({ kinds: [5050], since: now() - 5 }, { closeOnEose: false, groupable: false }, {
  onEvent: (ev) => serve(ev).catch((err) => say('failed', String(err?.stack ?? err))),
  onEose: () => say('ready', me.pubkey),
})
