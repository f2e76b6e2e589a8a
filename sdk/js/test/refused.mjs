// An A100 that nobody has: the guide's first sample ends with an error that says so.
import { InfernetClient, InfernetError } from 'infernet-sdk';

const client = new InfernetClient({ apiKey: 'your-api-key', nostrPublicKey: 'your-nostr-public-key' });
try {
  await client.createInferenceJob({ model: 'stable-diffusion-xl', input: { prompt: 'A futuristic city' }, resources: { gpu_type: 'NVIDIA_A100' }, budget: { max_cost_sats: 10000 } });
  console.log('it was ordered');
} catch (why) {
  console.log(why instanceof InfernetError, why.status, why.code, why.message);
}
