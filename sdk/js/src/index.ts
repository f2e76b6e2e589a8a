// Buy compute on an infernet market through a gateway ('infernet up', 'infernet gateway'). Begin with InfernetClient.
export { InfernetClient, type ClientOptions, type Signer } from './client.js';
export { JobStream, type StreamEvents } from './stream.js';
export { InfernetError } from './errors.js';
export type { Budget, Estimate, File, Finding, Job, Model, NewJob, Node, Notice, Offer, Partial, Progress, Receipt, StreamEntry } from './types.js';
export * as events from './events.js';
export { fold, isFinal, isOver, type State } from './fold.js';
export { kinds } from './kinds.js';
