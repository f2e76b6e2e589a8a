// Signatures are checked in a worker, in the order in which they came, so that a thousand events do not stop the page.
import type { Event } from './relay';

let worker: Worker | undefined;
const waiting: ((good: boolean) => void)[] = [];

function start(): Worker {
  const w = new Worker(new URL('./verify.worker.ts', import.meta.url), { type: 'module' });
  w.onmessage = (m: MessageEvent<boolean[]>) => {
    for (const good of m.data) waiting.shift()?.(good);
  };
  return w;
}

let batch: (Event | null)[] = [];

// verified says whether an event's id and signature are right. Without an event it answers after all that was asked before.
export function verified(ev: Event | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    batch.push(ev ?? null);
    if (batch.length > 1) return;
    queueMicrotask(() => {
      worker ??= start();
      worker.postMessage(batch);
      batch = [];
    });
  });
}
