// Fold says where a job stands from the messages seen so far, in any order, with repeats (docs/protocol.md, section 4).
import type { Award, Invoice, Offer, Receipt, Refusal, Request, Result, Review, Running, Said } from './events';

export type State = 'settled' | 'delivered' | 'running' | 'await payment' | 'awarded' | 'failed' | 'no show' | 'unpaid' | 'cancelled' | 'offered' | 'open' | 'expired';
const best: State[] = ['settled', 'delivered', 'running', 'await payment', 'awarded', 'failed', 'no show', 'unpaid'];

export interface Engagement { node: string; state: State; awards: Award[]; invoices: Invoice[]; runs: Running[]; errors: Refusal[]; results: Result[]; receipts: Receipt[] }
export interface Job { state: State; best?: Engagement; engaged: Engagement[]; offers: Offer[]; reviews: Review[]; cancelled: boolean; conflict: boolean }

export const isFinal = (s: State) => s === 'settled' || s === 'delivered';
export const isOver = (s: State) => !['open', 'offered', 'awarded', 'await payment', 'running'].includes(s);

const byTime = (a: { At: number; ID: string }, b: { At: number; ID: string }) => a.At - b.At || (a.ID < b.ID ? -1 : a.ID > b.ID ? 1 : 0);
const less = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const promises = (run: Running) => run.Plain || run.Lease > 0;
const latest = (all: { Until: number }[]) => Math.max(...all.map((m) => m.Until));

export function fold(req: Request, said: Said[], now: number): Job {
  const to = req.To ?? [], nodes = new Map<string, Engagement>();
  const job: Job = { state: 'open', engaged: [], offers: [], reviews: [], cancelled: false, conflict: false };
  const at = (node: string) => {
    let e = nodes.get(node);
    if (!e) nodes.set(node, (e = { node, state: 'awarded', awards: [], invoices: [], runs: [], errors: [], results: [], receipts: [] }));
    return e;
  };
  if (to.length === 1 && !req.Bids) at(to[0]);
  for (const m of once(said)) {
    if (!('Job' in m) || m.Job !== req.ID) continue;
    const own = m.Author === req.Author;
    if (m.type === 'Award') {
      if (own && req.Bids) at(m.Node).awards.push(m);
      continue;
    }
    if (m.type === 'Cancel') {
      job.cancelled ||= own;
      continue;
    }
    if (m.type === 'Review') {
      if (own) job.reviews.push(m);
      continue;
    }
    if ((to.length && !to.includes(m.Author)) || (own && !to.length)) continue;
    switch (m.type) {
      case 'Offer': job.offers.push(m); break;
      case 'Invoice': at(m.Author).invoices.push(m); break;
      case 'Running': at(m.Author).runs.push(m); break;
      case 'Refusal': at(m.Author).errors.push(m); break;
      case 'Result': if (m.Kind === req.Kind + 1000) at(m.Author).results.push(m); break;
      case 'Receipt': at(m.Author).receipts.push(m); break;
    }
  }
  let awarded = 0;
  for (const e of nodes.values()) {
    if (e.awards.length) awarded++;
    for (const set of [e.awards, e.invoices, e.runs, e.errors, e.results, e.receipts]) set.sort(byTime);
    const plain = !req.Profile && (e.results.length > 0 || e.runs.some(promises));
    if (!e.awards.length && !(to.length === 1 && !req.Bids && to[0] === e.node) && !plain) continue;
    e.state = judge(e, req, now);
    job.engaged.push(e);
    job.conflict ||= new Set(e.results.filter((r) => !r.Closed).map((r) => r.Content)).size > 1;
  }
  job.conflict ||= awarded > 1;
  job.reviews = job.reviews.filter((m) => nodes.get(m.Node)?.results.length).sort(byTime);
  const lowest = (e: Engagement) => e.awards.reduce((low, m) => (m.ID < low ? m.ID : low), '~');
  job.engaged.sort((a, b) => best.indexOf(a.state) - best.indexOf(b.state) || less(lowest(a), lowest(b)) || less(a.node, b.node));
  job.offers.sort((a, b) => a.Cap - b.Cap || a.ETA - b.ETA || less(a.ID, b.ID));
  job.best = job.engaged[0];
  if (job.best && isFinal(job.best.state)) job.state = job.best.state;
  else if (job.cancelled) job.state = 'cancelled';
  else if (job.best) job.state = job.best.state;
  else if (now > req.Deadline) job.state = 'expired';
  else if (job.offers.some((o) => now <= (o.Plain ? req.Deadline : Math.min(o.Until, req.Deadline)))) job.state = 'offered';
  return job;
}

// once drops repeats. Of one event seen closed and opened, the opened counts.
function once(said: Said[]): Iterable<Said> {
  const seen = new Map<string, Said>();
  for (const m of said) {
    const have = seen.get(m.ID);
    if (m.ID && (!have || have.type === 'Closed' || ('Closed' in have && have.Closed))) seen.set(m.ID, m);
  }
  return seen.values();
}

function judge(e: Engagement, req: Request, now: number): State {
  const during = (until: number, then: State, after: State) => (now <= Math.min(until, req.Deadline) ? then : after);
  if (e.receipts.some((m) => e.results.some((r) => r.ID === m.Result))) return 'settled';
  if (e.results.length) return 'delivered';
  if (e.errors.length) return 'failed';
  if (e.runs.some(promises)) return during(e.runs.some((r) => r.Plain) ? req.Deadline : Math.max(...e.runs.map((r) => r.Lease)), 'running', 'no show');
  if (e.invoices.length) return during(latest(e.invoices), 'await payment', 'unpaid');
  return during(e.awards.length ? latest(e.awards) : req.Deadline, 'awarded', 'no show');
}
