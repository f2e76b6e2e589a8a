import { InfernetError } from './errors.js';
import { wholeJob } from './files.js';
import { JobStream } from './stream.js';
import type { Budget, Estimate, Job, Model, NewJob, Node, Notice, Offer, Receipt, StreamEntry } from './types.js';

/** Signs requests by a Nostr key (NIP-98): a browser extension's `window.nostr` (NIP-07) is one. */
export interface Signer {
  signEvent(draft: { kind: number; created_at: number; tags: string[][]; content: string }): Promise<object>;
}

export interface ClientOptions {
  /** An app key of the gateway (`infernet appkey new`). A gateway on this machine needs none, unless it is set so. */
  apiKey?: string;
  /** The Nostr key that the app key acts for; the gateway refuses another's. */
  nostrPublicKey?: string;
  /** Signs each request instead of an app key. */
  signer?: Signer;
  /** $INFERNET_URL, else the page's own origin, else http://127.0.0.1:3000. */
  baseUrl?: string;
  fetch?: typeof fetch;
}

type Query = Record<string, string | number | boolean | undefined>;

function standard(): string {
  const env = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.INFERNET_URL;
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  return env || (page?.startsWith('http') ? page : '') || 'http://127.0.0.1:3000';
}

/** One gateway, and who asks there. */
export class InfernetClient {
  readonly baseUrl: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions = {}) {
    this.#options = options;
    this.baseUrl = (options.baseUrl ?? standard()).replace(/\/+$/, '');
    if (!/^https?:\/\//.test(this.baseUrl)) throw new InfernetError(`baseUrl ${JSON.stringify(options.baseUrl)} is no http(s) address, as http://127.0.0.1:3000`);
  }

  /** Orders a job. It is submitted once this resolves; what cannot be is refused with an InfernetError. */
  createInferenceJob(job: NewJob, options: { signal?: AbortSignal } = {}): Promise<Job> {
    return this.createJob(job, options);
  }

  async createJob(job: NewJob, options: { signal?: AbortSignal } = {}): Promise<Job> {
    return this.#job(await this.#ask<Job>('POST', '/jobs', { body: job, ...options }));
  }

  async getJob(id: string): Promise<Job> {
    return this.#job(await this.#ask<Job>('GET', `/jobs/${encodeURIComponent(id)}`));
  }

  async listJobs(query: { status?: Job['status']; before?: number; limit?: number } = {}): Promise<{ jobs: Job[]; next?: number }> {
    const page = await this.#ask<{ jobs: Job[]; next?: number }>('GET', '/jobs', { query });
    return { ...page, jobs: page.jobs.map((job) => this.#job(job)) };
  }

  async cancelJob(id: string): Promise<Job> {
    return this.#job(await this.#ask<Job>('POST', `/jobs/${encodeURIComponent(id)}/cancel`));
  }

  /** Waits for a job's end. Resolves to a completed job, with its `output`; one that failed or was cancelled is an InfernetError. */
  async waitForJobCompletion(id: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<Job> {
    const late = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
    const signals = [late, options.signal].filter((s) => s !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    let end: StreamEntry | undefined;
    try {
      for await (const entry of this.follow(id, { signal })) if (entry.event === 'complete' || entry.event === 'failed') end = entry;
    } catch (why) {
      if (late?.aborted) throw new InfernetError(`job ${id.slice(0, 8)} has not ended within ${options.timeoutMs} ms; it goes on: wait again, or cancel it`, 0, 'timeout');
      throw why;
    }
    const job = end ? this.#job(end.data as Job) : await this.getJob(id);
    if (job.status !== 'completed') throw InfernetError.failed(job);
    return job;
  }

  /** Listens to a job: from its beginning, also when it is over, or after an entry that is known. */
  connectToJobStream(id: string, options: { after?: number } = {}): JobStream {
    return new JobStream(this, id, options.after ?? 0, { base: this.baseUrl, key: this.#options.apiKey, signed: this.#options.signer !== undefined });
  }

  /** The entries of a job's stream, over server-sent events, until its end. A connection that is lost is made again. */
  async *follow(id: string, options: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<StreamEntry> {
    let after = options.after ?? 0;
    for (let lost = 0; ; ) {
      let news = false;
      try {
        const answer = await this.#fetch('GET', `/jobs/${encodeURIComponent(id)}/events`, { query: { after }, signal: options.signal });
        for await (const entry of entries(answer)) {
          after = entry.seq;
          news = true;
          yield entry;
          if (entry.event === 'complete' || entry.event === 'failed') return;
        }
      } catch (why) {
        if (options.signal?.aborted || (why instanceof InfernetError && why.status > 0)) throw why;
        if (!news && ++lost > 8) throw why;
      }
      if (news) lost = 0;
      else if (++lost > 8) throw new InfernetError(`the stream of job ${id.slice(0, 8)} ends again and again without the job's end; ask with getJob`, 0, 'stream');
      await pause(Math.min(50 * 2 ** lost, 3000), options.signal);
    }
  }

  /** What an order would cost, and where; nothing is bought. */
  estimate(job: NewJob): Promise<Estimate> {
    return this.#ask('POST', '/estimates', { body: job });
  }

  async models(query: Query = {}): Promise<Model[]> {
    return (await this.#ask<{ models: Model[] }>('GET', '/models', { query })).models;
  }

  async offers(query: Query = {}): Promise<Offer[]> {
    return (await this.#ask<{ offers: Offer[] }>('GET', '/offers', { query })).offers;
  }

  async nodes(query: Query = {}): Promise<Node[]> {
    return (await this.#ask<{ nodes: Node[] }>('GET', '/nodes', { query })).nodes;
  }

  async budgets(): Promise<Budget[]> {
    return (await this.#ask<{ budgets: Budget[] }>('GET', '/budgets')).budgets;
  }

  async receipts(query: { limit?: number } = {}): Promise<Receipt[]> {
    return (await this.#ask<{ receipts: Receipt[] }>('GET', '/receipts', { query })).receipts;
  }

  async notifications(query: { before?: number; limit?: number } = {}): Promise<Notice[]> {
    return (await this.#ask<{ notices: Notice[] }>('GET', '/notifications', { query })).notices;
  }

  /** A file of a job's result, as its `files` and the `output` of pictures and sounds name it. */
  async file(url: string): Promise<Blob> {
    const path = url.startsWith(this.baseUrl) ? url.slice(this.baseUrl.length) : url;
    return (await this.#fetch('GET', path.replace(/^\/api\/v1/, ''))).blob();
  }

  #job(job: Job): Job {
    return wholeJob(this.baseUrl, job);
  }

  async #ask<T>(method: string, path: string, options: { query?: Query; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
    return (await this.#fetch(method, path, options)).json() as Promise<T>;
  }

  async #fetch(method: string, path: string, { query = {}, body, signal }: { query?: Query; body?: unknown; signal?: AbortSignal } = {}): Promise<Response> {
    const url = new URL(this.baseUrl + '/api/v1' + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers: Record<string, string> = { accept: 'application/json, text/event-stream' };
    if (text !== undefined) headers['content-type'] = 'application/json';
    if (this.#options.signer) headers.authorization = await signed(this.#options.signer, method, url.href, text);
    else if (this.#options.apiKey) headers.authorization = 'Bearer ' + this.#options.apiKey;
    if (this.#options.nostrPublicKey && method === 'POST') headers['x-infernet-pubkey'] = this.#options.nostrPublicKey;
    let answer: Response;
    try {
      answer = await (this.#options.fetch ?? fetch)(url, { method, headers, body: text, signal });
    } catch (why) {
      if (signal?.aborted) throw why;
      throw new InfernetError(`no gateway answers at ${this.baseUrl}; start one ('infernet up' or 'infernet gateway'), or give its address as baseUrl or INFERNET_URL`, 0, 'unreachable', { cause: String((why as Error).cause ?? why) });
    }
    if (!answer.ok) throw InfernetError.of(answer.status, await answer.text());
    return answer;
  }
}

/** The Authorization header of a request that is signed (NIP-98). */
async function signed(signer: Signer, method: string, url: string, body?: string): Promise<string> {
  const tags = [['u', url], ['method', method]];
  if (body !== undefined) {
    const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body)));
    tags.push(['payload', Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('')]);
  }
  const event = await signer.signEvent({ kind: 27235, created_at: Math.floor(Date.now() / 1000), tags, content: '' });
  return 'Nostr ' + btoa(Array.from(new TextEncoder().encode(JSON.stringify(event)), (byte) => String.fromCharCode(byte)).join(''));
}

/** The entries of an answer of server-sent events. */
async function* entries(answer: Response): AsyncGenerator<StreamEntry> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let text = ''; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const fields: Record<string, string> = {};
        for (const line of text.slice(0, end).split('\n')) {
          const colon = line.indexOf(': ');
          if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
        }
        text = text.slice(end + 2);
        if (fields.event) yield { seq: Number(fields.id), at: 0, event: fields.event as StreamEntry['event'], data: JSON.parse(fields.data) };
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => (clearTimeout(timer), reject(signal!.reason));
    const timer = setTimeout(() => (signal?.removeEventListener('abort', stop), resolve()), ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
