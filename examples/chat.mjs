// Asks what a job would cost, buys it, and prints its text as it comes. node 20 or newer, with infernet-sdk.
//   usage: eval "$(infernet connect sdk)"; node examples/chat.mjs [MODEL]
import { InfernetClient } from 'infernet-sdk';

const client = new InfernetClient();
const order = { type: 'text', model: process.argv[2], input: { prompt: 'Write one sentence about the sea.', max_tokens: 64 }, budget: { max_cost_sats: 100 } };

const { about_msat, candidates } = await client.estimate(order);
console.log(`about ${about_msat / 1000} sat, ${candidates.length} nodes could do it`);

const job = await client.createInferenceJob(order);
for await (const { event, data } of client.follow(job.id)) if (event === 'result') process.stdout.write(data.text);
const { cost, node } = await client.waitForJobCompletion(job.id);
console.log(`\npaid ${cost.paid_msat / 1000} sat to ${node.slice(0, 8)}, receipt ${cost.receipt?.slice(0, 8) ?? 'none'}`);
