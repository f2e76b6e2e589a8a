import sdk = require('infernet-sdk');

const client = new sdk.InfernetClient();
export const job: Promise<sdk.Job> = client.waitForJobCompletion('id');
export const state: sdk.State = 'settled';
