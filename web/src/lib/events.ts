// The messages of infernet/1 as the page reads them (docs/protocol.md). Field names are those of the test vectors.
// Messages of plain NIP-90 parties are not read here: the page buys under the profile only.
import type { Event } from './relay';
import { kindOf } from './kinds';

export const Kind = { cancel: 5, feedback: 7000, heartbeat: 11998, chunk: 21999, review: 31117, announcement: 31990 } as const;
export const profile = 'infernet/1';
export const maxEncrypted = 40_000, maxEvent = 60_000, maxFuture = 60;
export const keepJob = 7 * 86400;

export interface Head { ID: string; Author: string; At: number; Expires: number }
export interface Price { base: number; in: number; out: number; ms?: number }
export interface Model { id: string; kinds: number[]; digest?: string; context?: number; price: Price }
export interface Market {
  v: number; models: Model[]; gpus?: { name: string; vram_mb: number }[]; concurrency: number; pay: string[]; delivery: string[];
  percent?: Record<string, number>; minimum?: number; payee?: string; attestation?: unknown;
}
export interface Announcement extends Head { type: 'Announcement'; Name: string; Kinds: number[]; Models: string[]; Relays: string[]; Owner: string; Profile: { name: string; about?: string; market?: Market } }
export interface Heartbeat extends Head { type: 'Heartbeat'; Status: string; Kinds: number[]; Capacity: number; Load: number; Queue: number }
export interface Offer extends Head { type: 'Offer'; Job: string; To: string; Amount: number; Cap: number; Model: string; ETA: number; Until: number; Delivery: string; Pay: string; Plain?: boolean }
export interface Award extends Head { type: 'Award'; Job: string; Offer: string; Node: string; Amount: number; Until: number }
export interface Invoice extends Head { type: 'Invoice'; Job: string; To: string; Amount: number; Bolt11: string; Pay: string; Until: number }
export interface Running extends Head { type: 'Running'; Job: string; To: string; Lease: number; Progress: number; Plain?: boolean }
export interface Refusal extends Head { type: 'Refusal'; Job: string; To: string; Code: string; Text: string; Owed: number }
export interface Receipt extends Head { type: 'Receipt'; Job: string; To: string; Result: string; Amount: number }
export interface Statement extends Head { type: 'Statement'; Job: string; To: string; Seq: number; Prev: string; Topped: number; Drawn: number; Withdrawn: number; Open: number }
export interface Chunk extends Head { type: 'Chunk'; Job: string; To: string; Seq: number; Delta: string; Fin: boolean; X: string }
export interface Cancel extends Head { type: 'Cancel'; Job: string; Kind: number; Node: string }
export interface Review extends Head { type: 'Review'; Job: string; Node: string; Rating: number; Text: string }
export interface Result extends Head {
  type: 'Result'; Kind: number; Job: string; To: string; Status: string; Model: string; Usage: { In: number; Out: number; Ms: number };
  Amount: number | null; Bolt11: string; Content: string; X: string; Sealed: { Sum: string; PaymentHash: string } | null; Closed?: boolean; Encrypted?: boolean;
}
export interface Input { Value: string; Type: string; Relay?: string; Marker?: string }
export interface Request extends Head {
  type: 'Request'; Kind: number; Profile: boolean; Inputs: Input[] | null; Params: { Name: string; Values: string[] }[] | null; Output: string; Bid: number | null; Pay: string[] | null;
  Relays: string[] | null; To: string[] | null; Deadline: number; SizeIn: number; SizeOut: number; Priority: string; Require: { Name: string; Value: string }[] | null;
  Bids: { Seconds: number; Mode: string; Open: boolean } | null; Models: string[] | null; Address: string; Price: string; Order: string; Retry: string; Credit: { Max: number; Last: string } | null; Encrypted?: boolean; Closed?: boolean;
}
export interface Closed extends Head { type: 'Closed'; Kind: number; Job: string; To: string }
export type Said = Offer | Award | Invoice | Running | Refusal | Receipt | Statement | Cancel | Review | Result | Closed;
export type Message = Said | Chunk | Request | Announcement | Heartbeat;

export class Malformed extends Error {}
const fail = (why: string): never => { throw new Malformed(why); };

const number = /^(0|[1-9][0-9]{0,15})$/, hex64 = /^[0-9a-f]{64}$/;

// Reader reads an event's tags under the grammar.
class Reader {
  constructor(readonly ev: Event) {
    for (const tag of ev.tags) if (!tag.length || tag[0] === '') fail('an empty tag');
  }
  head(): Head { return { ID: this.ev.id, Author: this.ev.pubkey, At: this.ev.created_at, Expires: this.number('expiration') }; }
  has(name: string) { return this.ev.tags.some((tag) => tag[0] === name); }
  all(name: string): string[][] {
    return this.ev.tags.filter((tag) => tag[0] === name).map((tag) => (tag.length > 1 ? tag.slice(1) : fail(`tag ${name} has no value`)));
  }
  one(name: string): string[] | undefined {
    const found = this.all(name);
    return found.length > 1 ? fail(`tag ${name} stands twice`) : found[0];
  }
  text(name: string) { return this.one(name)?.[0] ?? ''; }
  need(name: string) { return this.text(name) || fail(`there is no tag ${name}`); }
  parse(name: string, value: string): number {
    const n = Number(value);
    return number.test(value) && Number.isSafeInteger(n) ? n : fail(`tag ${name}: not a number`);
  }
  number(name: string) { return this.has(name) ? this.parse(name, this.text(name)) : 0; }
  needNumber(name: string) { return this.parse(name, this.need(name)); }
  moment(name: string) { return this.needNumber(name) || fail(`tag ${name} is 0`); }
  hex(name: string, value: string) { return hex64.test(value) ? value : fail(`tag ${name}: not 64 hex characters`); }
  id(name: string) { return this.has(name) ? this.hex(name, this.text(name)) : ''; }
  needID(name: string) { return this.hex(name, this.need(name)); }
  oneOf(name: string, value: string, ...of: string[]) { return of.includes(value) ? value : fail(`tag ${name} is none of ${of}`); }
  status(): [string, string] {
    const tag = this.one('status');
    if (tag && tag.length > 2) fail('status has more than three elements');
    return [tag?.[0] ?? '', tag?.[1] ?? ''];
  }
  amount(): [number, string] {
    const tag = this.one('amount');
    return tag ? [this.parse('amount', tag[0]), tag[1] ?? ''] : fail('there is no tag amount');
  }
}

export const isEncrypted = (ev: Event) => ev.tags.some((tag) => tag[0] === 'encrypted');
const isRequest = (kind: number) => kindOf(kind) !== undefined;
export const isResult = (kind: number) => isRequest(kind - 1000);

// parse reads an event. Of an encrypted one only what outsiders see: open reads the rest.
export function parse(ev: Event): Message {
  const r = new Reader(ev);
  if (!isEncrypted(ev)) return parseOpen(r);
  if (ev.kind === Kind.feedback || ev.kind === Kind.chunk) return { type: 'Closed', ...r.head(), Kind: ev.kind, Job: r.needID('e'), To: r.needID('p') };
  if (isResult(ev.kind)) return { ...parseResult(r), Closed: true };
  return { ...parseRequest(r), Closed: true };
}

function parseOpen(r: Reader): Message {
  switch (r.ev.kind) {
    case Kind.cancel: {
      const jobs = r.all('e');
      return { type: 'Cancel', ...r.head(), Job: r.hex('e', jobs[0]?.[0] ?? ''), Kind: r.number('k'), Node: r.id('p') };
    }
    case Kind.feedback: return parseFeedback(r);
    case Kind.chunk: return r.status()[0] === 'partial' ? parseChunk(r) : parseFeedback(r);
    case Kind.heartbeat: return { type: 'Heartbeat', ...r.head(), Status: r.status()[0], Kinds: kindsOf(r), Capacity: r.number('capacity'), Load: r.number('load'), Queue: r.number('queue') };
    case Kind.announcement: return parseAnnouncement(r);
    case Kind.review: {
      const rating = r.needNumber('rating');
      if (rating < 1 || rating > 5) fail('a rating is 1 to 5');
      if (r.need('d') !== r.needID('e')) fail('a review of another job');
      return { type: 'Review', ...r.head(), Job: r.needID('e'), Node: r.needID('p'), Rating: rating, Text: r.ev.content };
    }
  }
  if (isRequest(r.ev.kind)) return parseRequest(r);
  if (isResult(r.ev.kind)) return parseResult(r);
  return fail('not a message of the market');
}

const kindsOf = (r: Reader) => r.all('k').map((values) => r.parse('k', values[0]));

function parseFeedback(r: Reader): Message {
  const [status, text] = r.status();
  const about = () => ({ ...r.head(), Job: r.needID('e'), To: r.needID('p') });
  const expect = (want: string) => status === want || fail(`the status of this step is ${want}`);
  switch (r.text('step')) {
    case 'offer': {
      expect('payment-required');
      const m: Offer = {
        type: 'Offer', ...about(), Model: r.text('model'), ETA: r.number('eta'), Until: r.moment('until'), Cap: r.needNumber('cap'), Amount: r.amount()[0],
        Delivery: r.oneOf('delivery', r.need('delivery'), 'plain', 'encrypted', 'sealed'), Pay: r.oneOf('pay', r.need('pay'), 'free', 'prepaid', 'hold', 'sealed', 'credit', 'zap'),
      };
      if (m.Cap < m.Amount || (m.Pay === 'free') !== (m.Cap === 0)) fail('amount, cap and way to pay do not fit');
      return m;
    }
    case 'award': {
      expect('processing');
      if (r.has('encrypted')) fail('an award is always clear');
      return { type: 'Award', ...r.head(), Job: r.needID('e'), Offer: r.needID('offer'), Node: r.needID('p'), Until: r.moment('until'), Amount: r.amount()[0] };
    }
    case 'invoice': {
      expect('payment-required');
      const [Amount, Bolt11] = r.amount();
      if (!Bolt11) fail('an invoice has a bolt11');
      return { type: 'Invoice', ...about(), Amount, Bolt11, Pay: r.oneOf('pay', r.need('pay'), 'prepaid', 'hold', 'zap', 'credit'), Until: r.moment('until') };
    }
    case 'running':
    case 'progress': {
      expect('processing');
      const m: Running = { type: 'Running', ...about(), Lease: r.text('step') === 'running' ? r.moment('lease') : 0, Progress: r.number('progress') };
      return m.Progress > 100 ? fail('progress above 100') : m;
    }
    case 'refusal': {
      expect('error');
      const [, Code = '', Text = ''] = /^([A-Z_]+): ([\s\S]*)$/.exec(text) ?? [];
      if (!Code) fail('an error reads CODE: text');
      return { type: 'Refusal', ...about(), Code, Text, Owed: r.number('owed') };
    }
    case 'receipt':
      expect('success');
      if (!r.has('encrypted')) fail('a receipt is always encrypted');
      return { type: 'Receipt', ...about(), Result: r.needID('result'), Amount: r.amount()[0] };
    case 'statement': {
      expect('success');
      if (!r.has('encrypted')) fail('a statement is always encrypted');
      const m: Statement = {
        type: 'Statement', ...about(), Seq: r.needNumber('seq'), Prev: r.id('prev'), Topped: r.needNumber('topped'), Drawn: r.needNumber('drawn'),
        Withdrawn: r.needNumber('withdrawn'), Open: r.needNumber('open'),
      };
      if (m.Seq < 1 || !m.Prev !== (m.Seq === 1) || m.Drawn + m.Withdrawn + m.Open > m.Topped) fail('a statement whose numbers do not fit');
      return m;
    }
  }
  return fail('not a step of this profile');
}

function parseChunk(r: Reader): Chunk {
  const Seq = r.needNumber('seq'), Fin = r.has('fin');
  if (Fin && r.number('fin') !== Seq) fail('fin is not its seq');
  if (new TextEncoder().encode(r.ev.content).length > 4096) fail('a chunk above 4096 bytes');
  return { type: 'Chunk', ...r.head(), Job: r.needID('e'), To: r.needID('p'), Seq, Delta: r.ev.content, Fin, X: Fin ? r.text('x') : '' };
}

function parseResult(r: Reader): Result {
  const sealed = r.one('sealed'), usage = r.one('usage');
  if (usage && usage.length !== 2) fail('usage is units in and units out');
  if (sealed && (sealed.length !== 2 || sealed[0] !== '1')) fail('a seal of another version');
  const [Amount, Bolt11] = r.has('amount') ? r.amount() : [null, ''];
  const m: Result = {
    type: 'Result', ...r.head(), Kind: r.ev.kind, Job: r.needID('e'), To: r.id('p'), Status: r.status()[0], Model: r.text('model'),
    Usage: { In: usage ? r.parse('usage', usage[0]) : 0, Out: usage ? r.parse('usage', usage[1]) : 0, Ms: r.number('time') },
    Amount, Bolt11, Content: r.ev.content, X: r.text('x'), Encrypted: r.has('encrypted'),
    Sealed: sealed ? { Sum: r.hex('sealed', sealed[1]), PaymentHash: r.needID('payment_hash') } : null,
  };
  if (m.Sealed && (r.needID('x'), !m.Encrypted || !m.Bolt11)) fail('a sealed result is encrypted and carries a bolt11');
  if (!m.To && m.Status) fail('a result names its customer');
  const request = r.text('request');
  if (request) {
    let id: unknown = m.Job;
    try {
      id = JSON.parse(request).id;
    } catch {
      /* some write other notations; the e tag decides */
    }
    if (id !== m.Job) fail("another job's request");
  }
  return m;
}

const creditOf = (values: string[] | undefined, r: Reader) =>
  !values ? null : values.length === 2 ? { Max: r.parse('credit', values[0]), Last: r.hex('credit', values[1]) } : fail('a credit is an amount and a statement');

function parseRequest(r: Reader): Request {
  const size = r.one('size'), bids = r.one('bids'), p = r.all('p').map((v) => r.hex('p', v[0]));
  const prof = r.text('profile');
  if (prof && prof !== profile) fail('another profile');
  if (size && size.length !== 2) fail('size is units in and units out');
  if (r.text('priority')) r.oneOf('priority', r.text('priority'), 'low', 'normal', 'high');
  if (bids) r.oneOf('bids', bids[1] ?? '', 'auto', 'manual', 'first');
  return {
    type: 'Request', ...r.head(), Kind: r.ev.kind, Profile: prof === profile,
    Inputs: r.all('i').map(([Value, Type = 'text', Relay = '', Marker = '']) => ({ Value, Type, Relay, Marker })),
    Params: r.all('param').map(([Name, ...Values]) => ({ Name, Values })), Output: r.text('output'), Bid: r.has('bid') ? r.needNumber('bid') : null,
    Pay: r.one('pay') ?? null, Relays: r.one('relays') ?? null, To: p, Deadline: prof ? r.moment('deadline') : Math.min(r.number('expiration') || Infinity, r.ev.created_at + 3600),
    SizeIn: size ? r.parse('size', size[0]) : 0, SizeOut: size ? r.parse('size', size[1]) : 0, Priority: r.text('priority'),
    Require: r.all('require').map(([Name, Value]) => ({ Name, Value: Value ?? fail('a requirement without a value') })),
    Bids: bids ? { Seconds: r.parse('bids', bids[0]), Mode: bids[1], Open: bids[2] === 'open' } : null, Models: r.all('t').map((v) => v[0]),
    Address: r.text('a'), Price: r.id('price'), Order: r.id('order'), Retry: r.id('retry'), Credit: creditOf(r.one('credit'), r), Encrypted: r.has('encrypted'),
  };
}

const whole = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;

function parseAnnouncement(r: Reader): Announcement {
  let content: any = {};
  if (r.ev.content) {
    try {
      content = JSON.parse(r.ev.content);
    } catch {
      fail('the content is no JSON');
    }
    if (!content || typeof content !== 'object') fail('the content is no object');
  }
  const market = content.market === undefined ? undefined : readMarket(content.market);
  const text = (v: unknown) => (typeof v === 'string' ? v : '');
  return {
    type: 'Announcement', ...r.head(), Name: r.need('d'), Kinds: kindsOf(r), Models: [...new Set(r.all('t').map((v) => v[0]))], Relays: r.one('relays') ?? [],
    Owner: r.all('p').filter((p) => p[2] === 'owner').map((p) => r.hex('p', p[0])).at(-1) ?? '',
    Profile: { name: text(content.name), about: text(content.about), market },
  };
}

// readMarket holds a stranger's JSON to its types: what is shown, sorted and counted on is what it should be.
function readMarket(v: any): Market {
  const list = (x: unknown, each: (y: any) => boolean) => x === undefined || x === null || (Array.isArray(x) && x.every(each)) || fail('market: a list of another type');
  const text = (x: unknown) => typeof x === 'string';
  if (!v || typeof v !== 'object' || Array.isArray(v)) fail('market is no object');
  list(v.models, (m) => m && text(m.id) && m.price && typeof m.price === 'object' && list(m.kinds, whole)
    && ['base', 'in', 'out', 'ms'].every((k) => m.price[k] === undefined || whole(m.price[k]) || fail('market: a price out of range')) && (m.context === undefined || whole(m.context)));
  list(v.gpus, (g) => g && text(g.name) && whole(g.vram_mb ?? 0));
  list(v.pay, text);
  list(v.delivery, text);
  if (v.minimum !== undefined && !whole(v.minimum)) fail('market: a minimum out of range');
  if (v.payee !== undefined && !text(v.payee)) fail('market: payee is no key');
  return {
    v: Number(v.v) || 0, concurrency: whole(v.concurrency) ? v.concurrency : 0, pay: v.pay ?? [], delivery: v.delivery ?? [], minimum: v.minimum, payee: v.payee,
    attestation: v.attestation, percent: v.percent && typeof v.percent === 'object' ? Object.fromEntries(Object.entries(v.percent).filter(([, n]) => whole(n))) as Record<string, number> : undefined,
    gpus: (v.gpus ?? []).map((g: any) => ({ name: g.name, vram_mb: g.vram_mb ?? 0 })),
    models: (v.models ?? []).map((m: any) => ({ id: m.id, kinds: m.kinds ?? [], digest: text(m.digest) ? m.digest : undefined, context: m.context, price: { base: m.price.base ?? 0, in: m.price.in ?? 0, out: m.price.out ?? 0, ms: m.price.ms ?? 0 } })),
  };
}

// Opener opens what was encrypted for one of its two parties.
export interface Opener { pubkey: string; decrypt(peer: string, text: string): Promise<string> }

// open reads an event as parse does, opening it first where who is one of its two parties.
export async function open(ev: Event, who: Opener | undefined): Promise<Message> {
  const to = ev.tags.find((tag) => tag[0] === 'p')?.[1] ?? '';
  const peer = who && (who.pubkey === to ? ev.pubkey : who.pubkey === ev.pubkey ? to : '');
  if (!who || !peer || !isEncrypted(ev)) return parse(ev);
  const plain = await who.decrypt(peer, ev.content);
  if (isResult(ev.kind)) return parseOpen(new Reader({ ...ev, content: plain }));
  return parseOpen(new Reader(unpack(ev, plain)));
}

function unpack(ev: Event, plain: string): Event {
  let inside: unknown;
  try {
    inside = JSON.parse(plain);
  } catch {
    fail('what is encrypted is no JSON');
  }
  if (!Array.isArray(inside) || !inside.every((tag) => Array.isArray(tag) && tag.length && tag.every((item) => typeof item === 'string'))) fail('what is encrypted is no list of tags');
  const names = new Set<string>(), tags: string[][] = [];
  let content = '';
  for (const tag of inside as string[][]) {
    if (tag[0] === 'content' && tag.length > 1) content = tag[1];
    else if (tag[0] === 'p' || tag[0] === 'encrypted') continue; // whom it is for stands outside only
    else {
      const out = tag[0] === 'e' && ev.tags.find((t) => t[0] === 'e');
      if (out && out[1] !== tag[1]) fail('it is about one job outside and another inside');
      names.add(tag[0]);
      tags.push(tag);
    }
  }
  return { ...ev, content, tags: [...tags, ...ev.tags.filter((tag) => !names.has(tag[0]))] };
}

export interface Draft { kind: number; created_at: number; tags: string[][]; content: string }

// close moves what is secret of a draft into its encrypted content.
export async function close(draft: Draft, peer: string, encrypt: (peer: string, text: string) => Promise<string>): Promise<Draft> {
  const keep = draft.kind === Kind.feedback ? ['e', 'p', 'encrypted', 'expiration'] : ['p', 'encrypted', 'profile', 'deadline', 'expiration', 'alt'];
  const plain = JSON.stringify(draft.tags.filter((tag) => !keep.includes(tag[0]) || tag[0] === 'e'));
  if (new TextEncoder().encode(plain).length > maxEncrypted) fail('too long to travel encrypted: at most 40 kB');
  return { ...draft, tags: draft.tags.filter((tag) => keep.includes(tag[0])), content: await encrypt(peer, plain) };
}

export const alive = (m: Heartbeat, now: number) => now - m.At >= -60 && now - m.At <= 360 && (m.Expires === 0 || now < m.Expires);

// cost is a use's price: exact, rounded up once at the end.
export function cost(price: Price, use: { In: number; Out: number; Ms?: number }, percent = 100): number {
  const part = (units: number, p = 0) => (BigInt(units) * BigInt(p) + 999n) / 1000n;
  const sum = BigInt(price.base) + part(use.In, price.in) + part(use.Out, price.out) + part(use.Ms ?? 0, price.ms);
  const total = (sum * BigInt(percent) + 99n) / 100n;
  return total > BigInt(Number.MAX_SAFE_INTEGER) ? -1 : Number(total);
}
export const ceilSat = (msat: number) => Math.ceil(msat / 1000) * 1000;
