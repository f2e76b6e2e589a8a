// The client beyond the guide: each line says what works. INFERNET_URL names a gateway with the model echo, for free and slow.
import { createRequire } from 'node:module';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { InfernetClient, InfernetError, events, fold, kinds } from 'infernet-sdk';

const [key, owner] = process.argv.slice(2);
let failed = 0;
async function check(name, does) {
  try {
    console.log('ok:', name, JSON.stringify((await does()) ?? ''));
  } catch (why) {
    failed++;
    console.log('failed:', name, why.stack ?? why);
  }
}
const is = (have, want, what) => {
  if (JSON.stringify(have) !== JSON.stringify(want)) throw new Error(`${what}: ${JSON.stringify(have)}, not ${JSON.stringify(want)}`);
};
const refusal = async (does) => does().then((got) => { throw new Error('it was not refused: ' + JSON.stringify(got)); }, (why) => {
  if (!(why instanceof InfernetError)) throw why;
  return why;
});
const told = (stream) => new Promise((resolve, reject) => {
  let text = '';
  stream.on('result', (piece) => { text = piece.whole ? piece.text : text + piece.text; });
  stream.on('complete', (job) => resolve({ text, job }));
  stream.on('failed', reject).on('error', reject);
});

const client = new InfernetClient();
let job;
await check('a job, and its stream while it runs', async () => {
  job = await client.createInferenceJob({ model: 'echo', input: 'one two three four', params: { temperature: 0 } });
  const { text, job: done } = await told(client.connectToJobStream(job.id));
  is([text, done.output, done.status], ['one two three four', 'one two three four', 'completed'], 'the text');
});
await check('the same, late, and from the middle', async () => {
  const all = [];
  for await (const entry of client.follow(job.id)) all.push(entry.seq);
  const rest = [];
  for await (const entry of client.connectToJobStream(job.id, { after: 2 })) rest.push(entry.seq);
  is(rest, all.slice(2), 'entries after 2');
  is((await told(client.connectToJobStream(job.id))).text, 'one two three four', 'the text');
});
await check('waiting, with less patience than it takes', async () => {
  const slow = await client.createInferenceJob({ model: 'echo', input: { prompt: 'word '.repeat(200) } });
  const why = await refusal(() => client.waitForJobCompletion(slow.id, { timeoutMs: 100 }));
  is(why.code, 'timeout', why.message);
  const heard = new Promise((resolve) => client.connectToJobStream(slow.id).on('failed', resolve));
  is((await client.cancelJob(slow.id)).status, 'cancelled', 'status');
  is((await heard).code, 'cancelled', 'the stream');
  is((await refusal(() => client.waitForJobCompletion(slow.id))).job.status, 'cancelled', 'waiting');
  is((await refusal(() => client.cancelJob(slow.id))).status, 409, 'again');
});
await check('lists, estimates and the market', async () => {
  is((await client.listJobs({ status: 'completed' })).jobs[0].id, job.id, 'the list');
  is((await client.estimate({ model: 'echo', input: 'hi' })).enough, true, 'the estimate');
  is([(await client.models()).length, (await client.offers({ model: 'echo' })).length, (await client.nodes()).length > 0], [2, 1, true], 'the market');
  return (await client.budgets()).map((b) => b.key);
});
await check('what is wrong is said', async () => {
  const unknown = await refusal(() => client.createInferenceJob({ model: 'ecco', input: 'hi' }));
  is([unknown.status, unknown.code, /there is echo/.test(unknown.message)], [404, 'model_not_found', true], unknown.message);
  const field = await refusal(() => client.createInferenceJob({ model: 'echo', input: 'hi', speed: 9 }));
  is([field.status, /speed/.test(field.message)], [422, true], field.message);
  is((await refusal(() => client.getJob('0'.repeat(64)))).code, 'job_not_found', 'no job');
  const gone = await new Promise((resolve) => client.connectToJobStream('0'.repeat(64)).on('error', resolve));
  is(gone.code, 'job_not_found', gone.message);
  const nobody = await refusal(() => new InfernetClient({ baseUrl: 'http://127.0.0.1:1' }).models());
  is([nobody.code, /infernet up/.test(nobody.message)], ['unreachable', true], nobody.message);
  is((await refusal(() => new InfernetClient({ apiKey: 'ifn_wrong' }).models())).status, 401, 'a wrong key');
});
await check('an app key sees its own', async () => {
  const app = new InfernetClient({ apiKey: key });
  const own = await app.createInferenceJob({ model: 'echo', input: 'mine' });
  is((await told(app.connectToJobStream(own.id))).text, 'mine', 'its stream, with the key as a subprotocol');
  is((await app.listJobs()).jobs.map((j) => j.id), [own.id], 'its list');
  is((await refusal(() => app.getJob(job.id))).status, 404, "another's");
});
await check('requests that a Nostr key signs', async () => {
  const sign = (secret) => ({ signEvent: async (draft) => finalizeEvent(draft, secret) });
  const mine = new InfernetClient({ signer: sign(Uint8Array.from(owner.match(/../g), (b) => parseInt(b, 16))) });
  const signed = await mine.createInferenceJob({ model: 'echo', input: 'signed by me' });
  is((await told(mine.connectToJobStream(signed.id))).text, 'signed by me', 'its stream');
  is((await mine.waitForJobCompletion(signed.id)).output, 'signed by me', 'its output');
});
await check('require() gives the same', async () => {
  const sdk = createRequire(import.meta.url)('infernet-sdk');
  const { text } = await told(new sdk.InfernetClient().connectToJobStream(job.id));
  is([text, typeof sdk.fold, typeof sdk.events.parse, sdk.kinds], ['one two three four', 'function', 'function', kinds], 'it');
  is([typeof fold, typeof events.open, getPublicKey(generateSecretKey()).length], ['function', 'function', 64], 'ours');
});
console.log('end', failed);
process.exitCode = failed ? 1 : 0;
