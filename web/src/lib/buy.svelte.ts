// Buying one job: request, offers, award, payment, stream, result, receipt. The same steps as the Go consumer, top to bottom.
// Each first looks at what was said before, so that running it again goes on after a reload.
import * as events from '@sdk/events';
import { close, open, Kind, type Draft, type Offer, type Request, type Result, type Message } from '@sdk/events';
import { isOver } from '@sdk/fold';
import { kindOf } from './kinds';
import { jobs, type Entry } from './jobs.svelte';
import { market } from './market.svelte';
import { notices } from './notices.svelte';
import type { Event } from './relay';
import { session } from './session.svelte';
import { settings } from './settings.svelte';
import type { Signer } from './signer';
import { PayError } from './wallet';
import { t } from '../strings';

export interface Order {
  kind: number; inputs: events.Input[]; params: [string, string][]; output?: string; way: 'auction' | 'direct'; node?: string; max: number; pay: string[];
  priority: 'low' | 'normal' | 'high'; require: [string, string][]; life: number; window: number; choice: 'auto' | 'manual' | 'first'; group?: string;
  others?: Set<string>; // nodes that have it already: the same job goes to different ones
}
export type Phase = 'sign' | 'publish' | 'offers' | 'award' | 'answer' | 'invoice' | 'shown' | 'paying' | 'work' | 'open' | 'receipt' | 'done' | 'failed';

export class BuyError extends Error {}
const now = () => Math.floor(Date.now() / 1000);
const randomHex = (bytes: number) => [...crypto.getRandomValues(new Uint8Array(bytes))].map((b) => b.toString(16).padStart(2, '0')).join('');
const answerIn = 15, receiptIn = 4, most = 24;

export class Purchase {
  entry = $state.raw<Entry>();
  phase = $state<Phase>('sign');
  error = $state('');
  invoice = $state.raw<{ bolt11: string; amount: number }>(); // that waits to be paid by its user
  result = $state.raw<Result>();
  text = $state(''); // of the result, or of the stream while it lasts
  began = performance.now();
  readonly submitted: Promise<void>; // when it has an entry, or has ended without
  readonly ended: Promise<void>; // when run has ended, well or not
  private end: () => void = () => {};
  private sent: () => void = () => {};
  private picked?: Offer;
  private node = '';
  private wake: () => void = () => {};
  private stop: () => void = () => {};
  private chunks = new Map<number, string>();
  private seq = 0;
  private queue: Promise<unknown> = Promise.resolve();
  private over = false;

  constructor(readonly order: Order | undefined, readonly signer: Signer) {
    this.ended = new Promise((resolve) => { this.end = resolve; });
    this.submitted = new Promise((resolve) => { this.sent = resolve; });
  }

  get offers(): Offer[] { return this.entry?.at(now()).offers ?? []; }

  // run buys; its end is in phase and error.
  async run() {
    try {
      if (!this.entry) await this.submit();
      this.sent();
      this.listen();
      await this.choose();
      await this.award();
      await this.pay();
      await this.await();
      await this.verify();
      this.phase = 'done';
      const e = this.entry!;
      await e.fact({ ended: 'delivered', tookMs: e.facts.tookMs ?? performance.now() - this.began });
      if (!['chat', 'batch'].includes(e.facts.group ?? '') || document.hidden) notices.tell('done', 'success', t.notice.done(e.id.slice(0, 8)), `jobs/${e.id}`);
    } catch (err) {
      this.error = t.error(err);
      this.phase = 'failed';
      await this.entry?.fact({ ended: this.error });
      this.entry?.note(this.error);
      if (this.entry) notices.tell('failed', 'error', t.notice.failed(this.entry.id.slice(0, 8), this.error), `jobs/${this.entry.id}`);
    } finally {
      this.over = true;
      this.stop();
      running.delete(this.entry?.id ?? '');
      session.refreshBalance();
      this.sent();
      this.end();
    }
  }

  private tell(text: string) { this.entry?.note(text); }

  private draft(): Draft {
    const o = this.order!, at = now(), tags: string[][] = [];
    for (const i of o.inputs) tags.push(['i', i.Value, i.Type]);
    for (const [name, value] of o.params) tags.push(['param', name, value]);
    if (o.output) tags.push(['output', o.output]);
    const node = o.way === 'direct' ? market.node(o.node ?? '') : undefined;
    if (o.way === 'direct' && !node) throw new BuyError('buy:gone');
    const model = o.params.find(([name]) => name === 'model')?.[1]?.toLowerCase();
    const bid = node ? Math.min(o.max, mostAt(o, node.market)) : o.max;
    tags.push(['bid', String(bid)]);
    if (o.pay.length) tags.push(['pay', ...o.pay]);
    tags.push(['relays', ...session.pool.urls.slice(0, 5)]);
    if (o.priority !== 'normal') tags.push(['priority', o.priority]);
    for (const [name, value] of o.require) tags.push(['require', name, value]);
    if (node) tags.push(['a', `${Kind.announcement}:${node.key}:${node.said.Name}`], ['price', node.said.ID], ['p', node.key]);
    else {
      tags.push(['bids', String(Math.max(1, Math.round(o.window))), o.choice]);
      if (model) tags.push(['t', model]);
    }
    const deadline = at + o.life;
    tags.push(['profile', events.profile], ['deadline', String(deadline)], ['alt', node ? 'Encrypted job' : kindOf(o.kind)!.alt]);
    if (node) tags.push(['encrypted', 'nip44']);
    else tags.push(['salt', randomHex(8)]); // two equal jobs of one second would be one event
    tags.push(['expiration', String(deadline + events.keepJob)]);
    return { kind: o.kind, created_at: at, tags, content: '' };
  }

  private async submit() {
    await market.ready();
    let draft = this.draft(), plain: string | undefined;
    const to = draft.tags.find((tag) => tag[0] === 'p')?.[1];
    if (to) draft = await close(draft, to, (peer, text) => this.signer.encrypt(peer, (plain = text)));
    const ev = await this.signer.sign(draft);
    if (JSON.stringify(ev).length > events.maxEvent) throw new BuyError('buy:large');
    const req = (await open(ev, { pubkey: this.signer.pubkey, decrypt: async () => plain! })) as Request;
    this.phase = 'publish';
    this.entry = await jobs.add(ev, req, plain, { max: this.order!.max, group: this.order!.group });
    running.set(this.entry.id, this);
    this.listen();
    await session.pool.publish(ev);
    this.tell(t.log.published);
  }

  private listen() {
    this.stop();
    const req = this.entry!.req;
    this.stop = session.pool.subscribe([{ kinds: [Kind.feedback, Kind.chunk, req.Kind + 1000], '#e': [req.ID] }], (ev) => {
      this.queue = this.queue.then(() => this.hear(ev)).catch(() => {});
    });
  }

  // hear opens what was said. In the order in which it came: a signer may take its time.
  private heard = new Map<string, number>();
  private async hear(ev: Event) {
    const e = this.entry!;
    if (this.over || e.row.events.some((x) => x.ev.id === ev.id && (x.plain !== undefined || !events.isEncrypted(ev)))) return;
    if (e.req.To?.length && ev.pubkey !== e.req.Author && !e.req.To.includes(ev.pubkey)) return;
    const said = (this.heard.get(ev.pubkey) ?? 0) + 1; // little of each node that was not chosen: opening costs a signature's time
    this.heard.set(ev.pubkey, said);
    if (ev.pubkey !== this.node && ev.pubkey !== e.req.Author && (said > 4 || this.heard.size > 200)) return;
    let plain: string | undefined;
    const m: Message = await open(ev, { pubkey: this.signer.pubkey, decrypt: async (peer, text) => (plain = await this.signer.decrypt(peer, text)) });
    if (m.type === 'Chunk') return this.chunk(m);
    await jobs.hear(ev, plain, m);
    this.wake();
  }

  private chunk(m: events.Chunk) {
    if (m.Author !== this.node || m.Job !== this.entry!.id || m.Seq < this.seq || this.chunks.size > 1000) return;
    this.chunks.set(m.Seq, m.Delta);
    for (let delta; (delta = this.chunks.get(this.seq)) !== undefined; this.chunks.delete(this.seq++)) this.entry!.stream += delta;
    if (this.entry!.facts.firstMs === undefined && this.entry!.stream) this.entry!.facts = this.entry!.row.facts = { ...this.entry!.facts, firstMs: performance.now() - this.began };
    if (!this.result) this.text = this.entry!.stream;
  }

  // until waits for something to be true, at most till a moment (unix seconds).
  private async until<T>(till: number, look: () => T | undefined): Promise<T | undefined> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.entry!.at(now()).cancelled) throw new BuyError('buy:cancelled');
      const left = till * 1000 - Date.now();
      if (left <= 0) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 1000));
        this.wake = () => { clearTimeout(timer); resolve(); };
      });
    }
  }

  private mine() { return this.entry!.at(now()).engaged.find((e) => e.node === this.node); }

  // fits says whether an offer is one that the order allows.
  fits(o: Offer): boolean {
    const req = this.entry!.req, model = req.Params?.find((p) => p.Name === 'model')?.Values[0]?.toLowerCase();
    return !o.Plain && (!model || o.Model === model) && o.Until > now() && o.Cap <= (this.entry!.facts.max ?? 0)
      && (o.Cap === 0 ? o.Pay === 'free' : (req.Pay ?? []).includes(o.Pay)) && (o.Pay === 'sealed') === (o.Delivery === 'sealed');
  }
  fitting(): Offer[] {
    const seen = new Set<string>();
    return this.offers.filter((o) => this.fits(o) && !this.order?.others?.has(o.Author) && !seen.has(o.Author) && seen.add(o.Author));
  }

  // pick takes an offer, by its user's click.
  pick(o: Offer) {
    this.picked ??= o;
    this.wake();
  }

  private async choose() {
    const e = this.entry!, req = e.req;
    const awarded = e.said.find((m) => m.type === 'Award' && m.Author === req.Author) as events.Award | undefined;
    if (awarded) {
      this.node = awarded.Node;
      this.picked = this.offers.find((o) => o.ID === awarded.Offer);
      return;
    }
    if (!req.Bids) {
      this.node = req.To![0];
      return;
    }
    this.phase = 'offers';
    this.tell(t.log.collecting(req.Bids.Seconds));
    const till = req.Bids.Mode === 'manual' ? req.Deadline : req.At + req.Bids.Seconds;
    await this.until(till, () => (this.picked || (req.Bids!.Mode === 'first' && this.fitting().length) || this.offers.length >= most * 10 ? true : undefined));
    if (req.Bids.Mode !== 'manual') this.picked ??= this.fitting()[0];
    if (!this.picked) throw new BuyError(this.offers.length ? 'buy:dear' : 'buy:nooffers');
    this.node = this.picked.Author;
    this.order?.others?.add(this.node);
  }

  private async award() {
    const e = this.entry!, req = e.req, o = this.picked;
    if (!req.Bids || !o || e.said.some((m) => m.type === 'Award' && m.Author === req.Author)) return;
    this.phase = 'award';
    const until = Math.min(now() + answerIn, req.Deadline);
    const ev = await this.signer.sign({
      kind: Kind.feedback, created_at: now(), content: '',
      tags: [['e', req.ID], ['p', o.Author], ['status', 'processing'], ['step', 'award'], ['offer', o.ID], ['amount', String(o.Amount)], ['until', String(until)], ['expiration', String(req.Deadline + events.keepJob)]],
    });
    await jobs.hear(ev);
    await session.pool.publish(ev);
    this.tell(t.log.awarded(market.node(o.Author)?.name ?? o.Author.slice(0, 8), o.Amount));
  }

  private refused() {
    const no = this.mine()?.errors.at(-1);
    if (no) throw new BuyError(`refused:${no.Code}:${no.Text}`);
  }

  private get sealed() { return this.picked?.Pay === 'sealed'; }
  private get hold() { return this.picked?.Pay === 'hold' || this.mine()?.invoices[0]?.Pay === 'hold'; }

  private async pay() {
    if (this.sealed) return;
    if (this.entry!.facts.hash) return this.payAgain();
    this.phase = 'answer';
    const e = this.entry!, till = e.req.Bids ? Math.max(...(e.at(now()).best?.awards ?? []).map((a) => a.Until), 0) : e.req.At + answerIn;
    const answer = await this.until(Math.min(till + 2, e.req.Deadline), () => {
      const mine = this.mine();
      if (mine?.invoices.length) return mine.invoices[0];
      if (mine?.runs.length || mine?.results.length) return true;
      this.refused();
    });
    if (!answer) throw new BuyError('buy:noshow');
    if (answer === true) return;
    this.phase = 'invoice';
    await this.send(answer.Bolt11, answer.Amount);
  }

  // send checks an invoice, writes down that it is committed to, and pays it. It returns once the payment is under way.
  private paying?: Promise<void>;
  private payFailed?: Error;
  private async send(bolt11: string, said: number, hash?: string) {
    const e = this.entry!;
    await this.check(bolt11, said, hash);
    const { decode } = await import('./bolt11');
    const inv = decode(bolt11);
    await e.fact({ hash: inv.hash, bolt11, amount: inv.amount, at: now() });
    await this.payWith(inv.hash, bolt11, inv.amount);
  }

  // payAgain goes on with a payment that was committed to before the page was left: the wallet is asked first. The invoice is
  // the same, which can be paid once.
  private async payAgain() {
    const e = this.entry!, { hash, bolt11, amount, preimage } = e.facts, mine = this.mine();
    if (preimage || e.facts.void || mine?.runs.length || mine?.results.some((r) => !r.Sealed)) return;
    const known = await session.wallet?.sent?.(hash!).catch(() => undefined);
    if (known) return e.fact({ preimage: known });
    await this.payWith(hash!, bolt11!, amount!, true);
  }

  // payWith pays what is committed to; without a wallet it is shown. It returns once the payment is under way. A wallet that
  // refuses to pay again has not said that nothing was paid.
  async payWith(hash: string, bolt11: string, amount: number, again = false) {
    const e = this.entry!, wallet = session.wallet;
    if (!wallet) {
      this.invoice = { bolt11, amount };
      this.phase = 'shown';
      this.tell(t.log.shown);
      return;
    }
    this.invoice = undefined;
    this.phase = 'paying';
    this.tell(t.log.paying(amount, wallet.name));
    const { sha256Hex } = await import('./bolt11');
    this.paying = wallet.pay(bolt11, hash).then(async (preimage) => {
      if (sha256Hex(preimage) !== hash) throw new PayError('the wallet gave a proof that does not fit the invoice');
      await e.fact({ preimage });
      this.tell(t.log.paid(amount));
      session.refreshBalance();
    }).catch(async (err) => {
      this.payFailed = again ? new PayError(String((err as Error).message)) : err;
      if (!again && err instanceof PayError && err.gone) await e.fact({ void: err.message });
    }).finally(() => this.wake());
  }

  // check says why an invoice must not be paid. Nothing is sent then.
  private async check(bolt11: string, said: number, hash?: string) {
    const e = this.entry!, { decode, describes } = await import('./bolt11');
    const inv = decode(bolt11), limit = Math.min(e.facts.max ?? 0, this.picked ? this.picked.Cap : e.req.Bid ?? 0);
    const bad = (why: string): never => { throw new BuyError('invoice:' + why); };
    if (!inv.amount) bad('it names no amount');
    if (inv.amount !== events.ceilSat(said)) bad('it asks for another amount than its message');
    if (inv.amount > limit) bad('it asks for more than was agreed');
    if (inv.expires <= now()) bad('it has expired');
    if (!describes(inv, 'infernet ' + e.req.ID)) bad('it was made for something else');
    if (hash && inv.hash !== hash) bad('its preimage would not open the result');
    if (this.hold && (inv.minFinalCLTV < 40 || inv.minFinalCLTV > 80)) bad('it may lock the money for too long');
    const payee = market.node(this.node)?.market.payee;
    if (payee && payee !== inv.payee) bad('it pays somebody else than the node announced');
    if (jobs.list.some((j) => j.facts.hash === inv.hash && j.id !== e.id)) bad('its payment hash was used before');
    const today = jobs.list.reduce((sum, j) => sum + (j.facts.hash && !j.facts.void && (j.facts.at ?? 0) > now() - 86400 ? j.facts.amount ?? 0 : 0), 0);
    if (settings.budgetDay && today + inv.amount > settings.budgetDay * 1000) throw new BuyError('buy:budget');
    if (settings.budgetDay && today + inv.amount > settings.budgetDay * 800) notices.tell('budget', 'warning', t.notice.budget, 'settings');
  }

  private async await() {
    const e = this.entry!;
    if (!this.invoice && this.phase !== 'paying') this.phase = 'work';
    for (;;) {
      const mine = await this.until(e.req.Deadline + 1, () => {
        if (this.payFailed) return null;
        const m = this.mine();
        if (m?.results.some((r) => !r.Closed)) return m; // one that is still closed is being opened
        if (m?.runs.length && this.phase !== 'work') {
          this.phase = 'work';
          this.invoice = undefined;
        }
        this.refused();
        if (m?.state === 'no show' && !e.facts.hash) throw new BuyError('buy:noshow');
      });
      if (mine === null) { // the wallet's word ends it only where it is final
        const err = this.payFailed as PayError;
        const preimage = await session.wallet?.sent?.(e.facts.hash!);
        if (preimage) {
          await e.fact({ preimage });
          this.payFailed = undefined;
          continue;
        }
        if (err.gone || now() >= e.req.Deadline) throw new BuyError('pay:' + err.message);
        await new Promise((r) => setTimeout(r, 2000));
        continue;
      }
      if (!mine) throw new BuyError('buy:late');
      this.invoice = undefined;
      return;
    }
  }

  private async verify() {
    const e = this.entry!, m = this.mine()!.results.find((r) => !r.Closed)!;
    this.phase = 'open';
    const { textHash } = await import('./bolt11');
    const bad = (why: string): never => { throw new BuyError('result:' + why); };
    if (m.Status && m.Status !== 'success') bad('its status is ' + m.Status.slice(0, 40));
    if (m.To && m.To !== e.req.Author) bad('it is for somebody else');
    const want = this.picked?.Model || e.req.Params?.find((p) => p.Name === 'model')?.Values[0]?.toLowerCase();
    if (want && m.Model && m.Model !== want) bad('it is of another model than was agreed on');
    let text = m.Content;
    if (m.Sealed) text = await this.unseal(m);
    else if (this.sealed) bad('it should be sealed');
    else if (m.X && m.X !== textHash(text)) bad("its hash is not its text's");
    this.result = m;
    this.text = text;
    e.stream = text;
    this.phase = 'receipt';
    await e.fact({ tookMs: performance.now() - this.began });
    this.tell(t.log.delivered);
    await this.until(now() + receiptIn, () => this.mine()?.receipts[0]);
  }

  private async unseal(m: Result): Promise<string> {
    const e = this.entry!, { unbase64, sealedSum, unseal } = await import('./sealed');
    const sealed = unbase64(m.Content);
    if (sealedSum(sealed) !== m.Sealed!.Sum) throw new BuyError('result:the sealed bytes are not those that the node signed');
    if (m.Amount === null) throw new BuyError('result:it names no price');
    if (!e.facts.hash) await this.send(m.Bolt11, m.Amount, m.Sealed!.PaymentHash);
    else if (!e.facts.preimage && !this.paying) await this.payAgain();
    await this.until(e.req.Deadline, () => (e.facts.preimage || this.payFailed ? true : undefined));
    if (!e.facts.preimage) throw new BuyError('pay:' + (this.payFailed?.message ?? 'the invoice was not paid in time'));
    return unseal({ job: e.id, node: this.node, customer: e.req.Author }, e.facts.preimage, sealed, m.X);
  }
}

// mostAt is the most that a node's announced prices can make of an order: a unit is never less than a byte.
export function mostAt(o: Order, m: events.Market): number {
  const model = o.params.find(([n]) => n === 'model')?.[1]?.toLowerCase(), kind = kindOf(o.kind)!;
  const size = JSON.stringify([o.inputs, o.params]).length + 900 + 256 + o.inputs.filter((i) => i.Type !== 'text').length * 4096;
  const use = { In: size, Out: Number(o.params.find(([n]) => n === 'max_tokens')?.[1] ?? kind.outUnit) };
  let max = 0;
  for (const offer of m.models) {
    if ((model && offer.id !== model) || !offer.kinds.includes(o.kind)) continue;
    if (offer.price.ms) return Number.MAX_SAFE_INTEGER;
    const c = events.cost(offer.price, use, percent(m, o.priority));
    max = Math.max(max, c < 0 ? Number.MAX_SAFE_INTEGER : events.ceilSat(c && Math.max(c, m.minimum ?? 0)));
  }
  return max;
}
const percents: Record<string, number> = { low: 80, normal: 100, high: 150 };
export const percent = (m: events.Market, priority: string) => m.percent?.[priority] ?? percents[priority];

// estimate is about what an order costs at a node.
export function estimate(o: Order, m: events.Market, model: events.Model): number {
  const kind = kindOf(o.kind)!, text = o.inputs.filter((i) => i.Type === 'text').reduce((n, i) => n + i.Value.length, 0);
  const use = { In: Math.floor(text / 3) + 10 + o.inputs.filter((i) => i.Type !== 'text').length * 4096, Out: Number(o.params.find(([n]) => n === 'max_tokens')?.[1] ?? kind.outUnit) };
  const c = events.cost(model.price, use, percent(m, o.priority));
  return c <= 0 ? c : events.ceilSat(Math.max(c, m.minimum ?? 0));
}

export const running = new Map<string, Purchase>();

export function buy(order: Order): Purchase {
  const p = new Purchase(order, session.signer!);
  p.run();
  return p;
}

// copies buys the same job at several nodes, to compare their answers: in auctions each takes what the others did not, else
// the nodes are given. They share a group.
export function copies(order: Order, count: number, nodes: string[]): Purchase[] {
  const group = 'copies ' + randomHex(8), others = new Set<string>();
  if (order.way === 'direct') return nodes.slice(0, count).map((node) => buy({ ...order, node, group }));
  return Array.from({ length: count }, () => buy({ ...order, group, others }));
}

// resume goes on with a job that was left: the page was closed, or the network was away.
export function resume(e: Entry): Purchase | undefined {
  if (!session.signer) return;
  const have = running.get(e.id);
  if (have) return have;
  const p = new Purchase(undefined, session.signer);
  p.entry = e;
  p.began -= Math.max(0, now() - e.req.At) * 1000;
  running.set(e.id, p);
  p.run();
  return p;
}

export const resumable = (e: Entry) => !e.facts.ended && !e.req.Closed && now() < e.req.Deadline && !isOver(e.state(now()));

// cancel tells the market that a job is not wanted any more.
export async function cancel(e: Entry) {
  const node = e.at(now()).best?.node;
  const ev = await session.signer!.sign({
    kind: Kind.cancel, created_at: now(), content: '',
    tags: [['e', e.id], ['k', String(e.req.Kind)], ...(node ? [['p', node]] : []), ['expiration', String(e.req.Deadline + events.keepJob)]],
  });
  await jobs.hear(ev);
  await session.pool.publish(ev);
}
