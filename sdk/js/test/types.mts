import { InfernetClient, InfernetError, events, fold, type Job, type NewJob } from 'infernet-sdk';
import { parse } from 'infernet-sdk/events';

const client = new InfernetClient({ apiKey: 'k' });
const order: NewJob = { model: 'm', input: { prompt: 'p' }, resources: { gpu_type: 'NVIDIA_A100', priority: 'medium' }, budget: { max_cost_sats: 1 } };
const job: Job = await client.createInferenceJob(order);
const socket = client.connectToJobStream(job.id);
socket.on('progress', (p) => p.percentage.toFixed()).on('result', (r) => r.text.length).on('complete', (done) => done.cost.paid_msat.toFixed());
socket.on('failed', (why: InfernetError) => why.code);
// @ts-expect-error: there is no such event
socket.on('nothing', () => {});
// @ts-expect-error: there is no such priority
const wrong: NewJob = { input: 'x', priority: 'urgent' };
const message = parse({} as events.Event);
if (message.type === 'Request') fold(message, [], 0).state === 'open';
export { wrong };
