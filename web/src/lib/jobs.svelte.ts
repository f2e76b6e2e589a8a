// The jobs of who is signed in: what was asked for, what was said about it, and what this page wrote down for it.
import * as db from './db';
import { open, Kind, type Message, type Request, type Said, Malformed } from '@sdk/events';
import { fold, isOver, type Job, type State } from '@sdk/fold';
import { kinds } from './kinds';
import type { Event } from './relay';
import { session } from './session.svelte';

// Facts are what money depends on. They are on the disk before it moves.
export interface Facts { hash?: string; bolt11?: string; amount?: number; at?: number; preimage?: string; void?: string; max?: number; ended?: string; group?: string; firstMs?: number; tookMs?: number }
interface Row { id: string; owner: string; req: Event; plain?: string; events: { ev: Event; plain?: string }[]; facts: Facts; log: { at: number; text: string }[] }

// Entry is one job.
export class Entry {
  req = $state.raw<Request>()!;
  said = $state.raw<Said[]>([]);
  facts = $state.raw<Facts>({});
  log = $state.raw<{ at: number; text: string }[]>([]);
  stream = $state('');
  row: Row;
  private folded?: { at: number; said: Said[]; job: Job };

  constructor(row: Row, req: Request) {
    this.row = row;
    this.req = req;
    this.facts = row.facts;
    this.log = row.log;
  }
  get id() { return this.row.id; }

  // at is where the job stands.
  at(now: number): Job {
    const said = this.said;
    if (!this.folded || this.folded.said !== said || (this.folded.at !== now && !isOver(this.folded.job.state))) this.folded = { at: now, said, job: fold(this.req, said, now) };
    return this.folded.job;
  }
  state(now: number): State { return this.at(now).state; }

  note(text: string) {
    this.log = this.row.log = [...this.log.slice(-199), { at: Date.now() / 1000, text }];
    jobs.save(this);
  }
  // fact writes facts down; it returns once they are on the disk.
  async fact(facts: Facts) {
    this.facts = this.row.facts = { ...this.facts, ...facts };
    await db.put('jobs', [$state.snapshot(this.row)]);
  }
}

const mostSaid = 600; // of one job

class Jobs {
  list = $state.raw<Entry[]>([]);
  loaded = $state(false);
  private byID = new Map<string, Entry>();
  private early = new Map<string, Event[]>(); // about jobs that are not known yet
  private stops: (() => void)[] = [];
  private saving = new Set<Entry>();
  private due?: ReturnType<typeof setTimeout>;
  private showing?: ReturnType<typeof setTimeout>;
  private me = '';

  async begin(me: string) {
    if (this.me === me) return;
    this.end();
    this.me = me;
    for (const row of await db.all<Row>('jobs').catch(() => [])) {
      if (row.owner !== me) continue;
      const req = await this.read(row.req, row.plain).catch(() => undefined);
      if (req?.type !== 'Request') continue;
      const e = new Entry(row, req);
      this.byID.set(row.id, e);
      const said: Said[] = [];
      for (const { ev, plain } of row.events) {
        const m = await this.read(ev, plain).catch(() => undefined);
        if (m) said.push(m as Said);
      }
      e.said = said;
    }
    this.loaded = true;
    this.show();
    const numbers = kinds.map((k) => k.number);
    this.stops = [
      session.pool.subscribe([{ kinds: [...numbers, Kind.cancel, Kind.feedback], authors: [me], limit: 2000 }], (ev) => this.hear(ev)),
      session.pool.subscribe([{ kinds: [Kind.feedback, ...numbers.map((n) => n + 1000)], '#p': [me], limit: 4000 }], (ev) => this.hear(ev)),
    ];
  }

  end() {
    for (const stop of this.stops) stop();
    this.stops = [];
    this.byID.clear();
    this.early.clear();
    this.me = '';
    this.loaded = false;
    this.list = [];
  }

  // read reads an event, opened before where plain says what was in it.
  private read(ev: Event, plain?: string): Promise<Message> {
    return open(ev, plain === undefined ? undefined : { pubkey: this.me, decrypt: async () => plain });
  }

  get(id: string) { return this.byID.get(id); }

  // add takes a job of this page's own; it is on the disk when it returns.
  async add(ev: Event, req: Request, plain: string | undefined, facts: Facts): Promise<Entry> {
    const e = new Entry({ id: ev.id, owner: this.me, req: ev, plain, events: [], facts, log: [] }, req);
    await db.put('jobs', [e.row]);
    this.byID.set(e.id, e);
    this.show();
    return e;
  }

  // hear takes what a relay told; plain is what was in it, where it was opened.
  async hear(ev: Event, plain?: string, m?: Message) {
    if (ev.created_at > Date.now() / 1000 + 60) return;
    try {
      m ??= await this.read(ev, plain);
    } catch (err) {
      if (!(err instanceof Malformed)) throw err;
      return;
    }
    if (m.type === 'Request') {
      if (this.byID.has(ev.id) || m.Author !== this.me) return;
      const e = new Entry({ id: ev.id, owner: this.me, req: ev, plain, events: [], facts: {}, log: [] }, m);
      this.byID.set(ev.id, e);
      for (const one of this.early.get(ev.id) ?? []) await this.hear(one);
      this.early.delete(ev.id);
      this.show();
      this.save(e);
      return;
    }
    if (!('Job' in m) || m.type === 'Chunk') return;
    const e = this.byID.get(m.Job);
    if (!e) {
      const waits = this.early.get(m.Job) ?? [];
      if (this.early.size < 5000 && waits.length < 20) this.early.set(m.Job, [...waits, ev]);
      return;
    }
    const have = e.row.events.findIndex((x) => x.ev.id === ev.id);
    if (have >= 0 && (plain === undefined || e.row.events[have].plain !== undefined)) return;
    if (have >= 0) {
      e.row.events[have] = { ev, plain };
      e.said = e.said.map((s) => (s.ID === ev.id ? (m as Said) : s));
    } else {
      if (e.row.events.length >= mostSaid) return;
      e.row.events.push(plain === undefined ? { ev } : { ev, plain });
      e.said = [...e.said, m as Said];
    }
    this.save(e);
    this.show();
  }

  save(e: Entry) {
    this.saving.add(e);
    this.due ??= setTimeout(() => {
      this.due = undefined;
      const rows = [...this.saving].map((x) => x.row);
      this.saving.clear();
      db.put('jobs', rows).catch(() => {});
    }, 500);
  }

  private show() {
    this.showing ??= setTimeout(() => {
      this.showing = undefined;
      this.list = [...this.byID.values()].sort((a, b) => b.req.At - a.req.At);
    }, 60);
  }

  // openAll opens what is still closed of a job, with the signer: it may ask its user.
  async openAll(e: Entry) {
    const signer = session.signer;
    if (!signer) return;
    const remember = (plain: { text?: string }) => ({ pubkey: signer.pubkey, decrypt: async (peer: string, text: string) => (plain.text = await signer.decrypt(peer, text)) });
    if (e.req.Closed) {
      const plain: { text?: string } = {};
      const m = await open(e.row.req, remember(plain));
      if (m.type === 'Request') {
        e.row.plain = plain.text;
        e.req = m;
      }
    }
    for (const { ev, plain } of [...e.row.events]) {
      if (plain !== undefined || !ev.tags.some((t) => t[0] === 'encrypted')) continue;
      const opened: { text?: string } = {};
      const m = await open(ev, remember(opened)).catch((err) => { if (err instanceof Malformed) return undefined; throw err; });
      if (m && opened.text !== undefined) await this.hear(ev, opened.text, m);
    }
    this.save(e);
  }
}

export const jobs = new Jobs();
