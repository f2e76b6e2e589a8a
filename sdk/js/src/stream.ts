import { pause, type InfernetClient } from './client.js';
import { InfernetError } from './errors.js';
import { wholeJob, wholePartial } from './files.js';
import type { Job, Partial, Progress, StreamEntry } from './types.js';

/** What a stream tells, and what its listeners are given. */
export interface StreamEvents {
  progress: Progress;
  result: Partial;
  complete: Job;
  /** The job failed or was cancelled. */
  failed: InfernetError;
  /** The stream itself is lost for good. */
  error: InfernetError;
  close: undefined;
}

interface Place { base: string; key?: string; signed: boolean }
type Listener<K extends keyof StreamEvents> = (data: StreamEvents[K]) => void;

const protocol = 'infernet.v1';
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/; // of a subprotocol
const tries = 8;

/** A job's stream: over a WebSocket, or server-sent events where requests are signed. It connects again by itself, and misses nothing. */
export class JobStream implements AsyncIterable<StreamEntry> {
  readonly #listeners = new Map<string, Set<Listener<any>>>();
  readonly #ended = new AbortController();
  #after: number;
  #kept: StreamEntry[] = [];

  constructor(readonly client: InfernetClient, readonly job: string, after: number, private readonly place: Place) {
    this.#after = after;
    void pause(0).then(() => this.#run()); // listeners come first
  }

  on<K extends keyof StreamEvents>(name: K, listener: Listener<K>): this {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    return this;
  }

  off<K extends keyof StreamEvents>(name: K, listener: Listener<K>): this {
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  once<K extends keyof StreamEvents>(name: K, listener: Listener<K>): this {
    const only: Listener<K> = (data) => (this.off(name, only), listener(data));
    return this.on(name, only);
  }

  /** Ends the stream; the job goes on. */
  disconnect(): void {
    this.#ended.abort(new InfernetError('disconnected', 0, 'disconnected'));
  }

  close(): void {
    this.disconnect();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEntry> {
    yield* this.client.follow(this.job, { after: this.#after, signal: this.#ended.signal });
  }

  #tell<K extends keyof StreamEvents>(name: K, data: StreamEvents[K]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(data);
  }

  /** One entry; true at the job's end. */
  #take(entry: StreamEntry): boolean {
    if (entry.seq <= this.#after) return false;
    this.#after = entry.seq;
    switch (entry.event) {
      case 'progress': this.#tell('progress', entry.data as Progress); return false;
      case 'result': this.#tell('result', wholePartial(this.place.base, entry.data as Partial)); return false;
      case 'complete': this.#tell('complete', wholeJob(this.place.base, entry.data as Job)); return true;
      case 'failed': {
        this.#tell('failed', InfernetError.failed(wholeJob(this.place.base, entry.data as Job)));
        return true;
      }
    }
    return false;
  }

  async #run(): Promise<void> {
    try {
      if (this.place.signed) {
        for await (const entry of this) if (this.#take(entry)) return;
        return;
      }
      for (let lost = 0; !this.#ended.signal.aborted; lost++) {
        const before = this.#after;
        if (await this.#socket()) return;
        if (this.#after > before) lost = 0;
        if (lost >= tries) {
          await this.client.getJob(this.job); // it says better why than a socket does
          throw new InfernetError(`the stream of job ${this.job.slice(0, 8)} is lost; the job goes on: waitForJobCompletion waits for it`, 0, 'stream');
        }
        await pause(Math.min(50 * 2 ** lost, 3000), this.#ended.signal);
      }
    } catch (why) {
      if (!this.#ended.signal.aborted) this.#tell('error', why instanceof InfernetError ? why : new InfernetError(String(why)));
    } finally {
      this.#tell('close', undefined);
    }
  }

  /** One connection, until it is lost. True at the job's end. */
  async #socket(): Promise<boolean> {
    const url = `${this.place.base.replace(/^http/, 'ws')}/api/v1/jobs/${encodeURIComponent(this.job)}/stream?after=${this.#after}`;
    const key = this.place.key && token.test(this.place.key) ? ['key.' + this.place.key] : [];
    const Socket = globalThis.WebSocket ?? ((await import('ws')).WebSocket as unknown as typeof WebSocket);
    return new Promise((resolve, reject) => {
      let end = false;
      const socket = new Socket(url, [protocol, ...key]);
      const stop = () => socket.close();
      this.#ended.signal.addEventListener('abort', stop, { once: true });
      if (this.#ended.signal.aborted) stop();
      socket.onmessage = (message: MessageEvent) => {
        if (this.#ended.signal.aborted) return;
        try {
          end = this.#take(JSON.parse(String(message.data)) as StreamEntry) || end;
        } catch (why) { // of a listener: it is its own
          this.#ended.signal.removeEventListener('abort', stop);
          socket.close();
          reject(why);
        }
      };
      socket.onerror = () => {}; // close follows
      socket.onclose = () => {
        this.#ended.signal.removeEventListener('abort', stop);
        resolve(end || this.#ended.signal.aborted);
      };
    });
  }
}
