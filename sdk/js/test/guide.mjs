// Example: Submit an inference job using the JavaScript SDK
import { InfernetClient } from 'infernet-sdk';

const client = new InfernetClient({
  apiKey: 'your-api-key',
  nostrPublicKey: 'your-nostr-public-key'
});

const job = await client.createInferenceJob({
  model: 'stable-diffusion-xl',
  input: {
    prompt: 'A futuristic city with flying cars and neon lights',
    negative_prompt: 'blurry, low quality',
    num_inference_steps: 50
  },
  resources: {
    gpu_type: 'NVIDIA_A100',
    priority: 'medium'
  },
  budget: {
    max_cost_sats: 10000
  }
});

// Poll for results
const result = await client.waitForJobCompletion(job.id);
console.log(result.output);
// Example: Stream inference results using WebSockets
const socket = client.connectToJobStream(job.id);

socket.on('progress', (progress) => {
  console.log(`Job progress: ${progress.percentage}%`);
});

socket.on('result', (partialResult) => {
  // Handle streaming results as they arrive
  updateUI(partialResult);
});

socket.on('complete', (finalResult) => {
  console.log('Job completed:', finalResult);
  socket.disconnect();
});
