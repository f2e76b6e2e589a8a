// A NIP-90 client made of NDK's own classes: NDKDVMRequest, NDKDVMJobFeedback, NDKDVMJobResult, in clear or by encryption().
import NDK, { NDKDVMJobFeedback, NDKDVMJobResult, NDKDVMRequest, NDKPrivateKeySigner } from '@nostr-dev-kit/ndk'
import { orders, say, wallet } from './market.mjs'

const pay = await wallet(orders.wallet)

async function buy(job) {
  const signer = NDKPrivateKeySigner.generate()
  const ndk = new NDK({ explicitRelayUrls: [orders.relay], signer, enableOutboxModel: false })
  await ndk.connect(5000)
  const node = ndk.getUser({ pubkey: job.node })
  const request = new NDKDVMRequest(ndk, { kind: 5050, content: '' })
  request.addInput(job.prompt, 'text')
  request.output = 'text/plain'
  request.bid = 100000
  request.tags.push(['relays', orders.relay])
  if (job.encrypted) await request.encryption(node, signer)
  else request.dvm = node
  await request.sign()

  const heard = { name: job.name, id: request.id, said: [] }
  let paying = Promise.resolve() // the result may come before the wallet's answer
  await new Promise((done, fail) => {
    const hear = async (ev) => {
      if (ev.kind === 7000) {
        const m = await NDKDVMJobFeedback.from(ev)
        heard.said.push(m.status)
        say('hears', { job: job.name, status: m.status })
        if (m.status === 'payment-required') {
          const [, amount, bolt11] = m.getMatchingTags('amount')[0]
          heard.amount = Number(amount)
          paying = pay('pay_invoice', { invoice: bolt11 })
          heard.preimage = (await paying).preimage
          say('paid', { job: job.name, amount })
        }
        return
      }
      const m = NDKDVMJobResult.from(ev)
      if (m.getMatchingTags('encrypted').length > 0) await m.decrypt(node, signer)
      heard.content = m.result
      heard.status = m.status
      heard.about = m.jobRequestId
      heard.request = m.jobRequest?.id
      await paying
      done()
    }
    ndk.subscribe({ kinds: [7000, 6050], '#e': [request.id] }, { closeOnEose: false, groupable: false }, { onEvent: (ev) => hear(ev).catch(fail) })
    request.publish().then((relays) => say('asked', { job: job.name, relays: relays.size }), fail)
  })
  return heard
}

await Promise.all(orders.jobs.map(async (job) => say('job', await buy(job))))
process.exit(0)
