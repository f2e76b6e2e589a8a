// An app made of OpenAI's own client, against a gateway whose models are tiny and echo. It says the name of each thing that
// works.
import assert from 'node:assert/strict'
import OpenAI from 'openai'

const orders = JSON.parse(process.env.INFERNET_PEER)
const client = new OpenAI({ baseURL: orders.url + '/v1', apiKey: orders.key, maxRetries: 0 })
const counted = '1 2 3 4 5 6 7 8 9 10 11 12'
const ask = { model: 'tiny', messages: [{ role: 'user', content: 'Count to 12' }], temperature: 0 }

// fails wants an error of the client's, by its class, code and words
const fails = async (doing, type, code, says) => {
  await assert.rejects(doing, (err) => {
    assert.ok(err instanceof type, `${err.constructor.name} ${err.status}: ${err.message}`)
    assert.equal(err.code, code)
    assert.match(err.message, says)
    return true
  })
}

const suite = {
  async models() {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    assert.deepEqual(ids.sort(), ['echo', 'tiny'])
    assert.equal((await client.models.retrieve('tiny')).object, 'model')
  },
  async chat() {
    const { data, response } = await client.chat.completions.create(ask).withResponse()
    assert.equal(data.choices[0].message.content.trim(), counted)
    assert.equal(data.choices[0].message.role, 'assistant')
    assert.equal(data.choices[0].finish_reason, 'stop')
    assert.ok(data.usage.completion_tokens > 10 && data.usage.total_tokens > data.usage.completion_tokens)
    assert.equal(response.headers.get('x-infernet-cost-msat'), String(data.infernet.cost_msat))
    assert.match(response.headers.get('x-infernet-receipt'), /^[0-9a-f]{64}$/)
    assert.ok(data.infernet.cost_msat > 0)
  },
  async stream() {
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })
    let text = '', chunks = 0, finish, usage, bill
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? ''
      finish ??= chunk.choices[0]?.finish_reason
      usage ??= chunk.usage
      bill ??= chunk.infernet
      chunks++
    }
    assert.equal(text.trim(), counted)
    assert.ok(chunks > 3, `${chunks} chunks`)
    assert.equal(finish, 'stop')
    assert.ok(usage.completion_tokens > 10)
    assert.ok(bill.cost_msat > 0 && usage.infernet.cost_msat === bill.cost_msat)
  },
  async helper() {
    const runner = client.chat.completions.stream(ask)
    let heard = ''
    runner.on('content', (delta) => { heard += delta })
    assert.equal((await runner.finalContent()).trim(), counted)
    assert.equal(heard.trim(), counted)
  },
  async conversation() {
    const short = await client.chat.completions.create(ask)
    const long = await client.chat.completions.create({
      ...ask, max_completion_tokens: 8,
      messages: [{ role: 'developer', content: 'You count.' }, { role: 'user', content: [{ type: 'text', text: 'Spell lantern' }] }, { role: 'assistant', content: 'l a n t e r n' }, ...ask.messages],
    })
    assert.ok(long.usage.prompt_tokens > short.usage.prompt_tokens + 20)
    assert.equal(long.choices[0].finish_reason, 'length')
    assert.ok(long.usage.completion_tokens <= 8)
  },
  async stop() {
    const got = await client.chat.completions.create({ ...ask, stop: ['7', 'zebra'], seed: 3, top_p: 0.9, user: 'somebody', an_unknown_field: 'survives' })
    assert.equal(got.choices[0].message.content.trim(), '1 2 3 4 5 6')
  },
  async completions() {
    const got = await client.completions.create({ model: 'tiny', prompt: 'Count to 12', temperature: 0 })
    assert.equal(got.choices[0].text.trim(), counted)
    let text = ''
    for await (const chunk of await client.completions.create({ model: 'tiny', prompt: 'Count to 12', temperature: 0, stream: true })) text += chunk.choices[0].text
    assert.equal(text.trim(), counted)
  },
  async embeddings() {
    const packed = await client.embeddings.create({ model: 'tiny', input: ['hello', 'Count to 12'] }) // the client asks for base64
    const plain = await client.embeddings.create({ model: 'tiny', input: 'hello', encoding_format: 'float' })
    assert.equal(packed.data.length, 2)
    assert.equal(packed.data[0].embedding.length, plain.data[0].embedding.length)
    for (const [i, x] of plain.data[0].embedding.entries()) assert.ok(Math.abs(x - packed.data[0].embedding[i]) < 1e-4)
    assert.ok(packed.usage.prompt_tokens > 0)
  },
  async 'unknown model'() {
    await fails(client.chat.completions.create({ ...ask, model: 'tinny' }), OpenAI.NotFoundError, 'model_not_found', /there is tiny/)
    await fails(client.models.retrieve('tinny'), OpenAI.NotFoundError, 'model_not_found', /there is tiny/)
  },
  async 'wrong key'() {
    const other = new OpenAI({ baseURL: orders.url + '/v1', apiKey: 'ifn_wrong', maxRetries: 0 })
    await fails(other.chat.completions.create(ask), OpenAI.AuthenticationError, 'invalid_api_key', /not known/)
  },
  async 'giant prompt'() {
    const giant = (size) => client.chat.completions.create({ ...ask, messages: [{ role: 'user', content: 'Count to 12. '.repeat(size) }] })
    await fails(giant(60), OpenAI.BadRequestError, 'context_length_exceeded', /TOO_LARGE|too large|context/i)
    await fails(giant(6000), OpenAI.BadRequestError, 'context_length_exceeded', /tokens of context/)
  },
  async 'what is not carried'() {
    await fails(client.chat.completions.create({ ...ask, n: 2 }), OpenAI.BadRequestError, 'unsupported_parameter', /one answer/)
  },
  async 'no money'() {
    const poor = new OpenAI({ baseURL: orders.url + '/v1', apiKey: orders.poor }) // with the client's own retries: it does not
    await fails(poor.chat.completions.create(ask), OpenAI.APIError, 'insufficient_quota', /the budget of the app key/)
    await fails(client.chat.completions.create(ask, { headers: { 'X-Infernet-Max-Cost': '1' } }), OpenAI.APIError, 'insufficient_quota', /raise max_cost_sats to [0-9]+/)
  },
  async cancel() {
    const { data: stream, response } = await client.chat.completions.create({ model: 'echo', messages: [{ role: 'user', content: 'again and again' }], stream: true, max_tokens: 400 }).withResponse()
    let chunks = 0
    for await (const _ of stream) if (++chunks === 4) break // which hangs up
    console.log('cancelled: ' + JSON.stringify(response.headers.get('x-infernet-job')))
  },
}

for (const [name, test] of Object.entries(suite)) {
  try {
    await test()
    console.log('ok: ' + JSON.stringify(name))
  } catch (err) {
    console.log('failed: ' + JSON.stringify(`${name}: ${err.message}`))
  }
}
console.log('end: {}')
