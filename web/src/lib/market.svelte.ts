// The market as the relays tell it: who is there, what they run, for how much.
import * as db from './db';
import { alive, cost, parse, Kind, type Announcement, type Heartbeat, type Market as Facts, type Model, type Review } from '@sdk/events';
import { foreign } from './format';
import type { Event } from './relay';
import { session } from './session.svelte';

export interface Node { key: string; name: string; about: string; said: Announcement; beat?: Heartbeat; market: Facts; alive: boolean; reviews: number; rating: number; gpu: string; vram: number }
export interface Listing { id: string; node: Node; model: Model; name: string; typical: number; type: string; size: number }

const most = 5000; // nodes that are kept in mind: a relay may tell of more than anybody looks at

// sizeOf reads how many billion parameters a model has from its name, as people write it: llama-3.1-8b, 135m. 0 if it does
// not say.
export function sizeOf(id: string): number {
  const m = /(?:^|[^a-z0-9.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z])/i.exec(id);
  return m ? Number(m[1]) * (m[2].toLowerCase() === 'b' ? 1 : 0.001) : 0;
}

class Market {
  nodes = $state.raw<Node[]>([]);
  listings = $state.raw<Listing[]>([]);
  loaded = $state(false);
  private said = new Map<string, { m: Announcement; ev: Event }>();
  private beats = new Map<string, { m: Heartbeat; ev: Event }>();
  private reviews = new Map<string, Review>(); // by author and job: one each
  private stop?: () => void;
  private due?: ReturnType<typeof setTimeout>;

  // begin shows what was seen before, then listens.
  async begin() {
    for (const { ev } of await db.all<{ ev: Event }>('market').catch(() => [])) this.hear(ev);
    this.show();
    this.stop = session.pool.subscribe([{ kinds: [Kind.announcement, Kind.heartbeat], limit: most }, { kinds: [Kind.review], limit: 1000 }], (ev) => {
      this.hear(ev);
      this.later();
    }, () => {
      this.show();
      this.loaded = true;
    });
    setInterval(() => this.show(), 15_000);
    setInterval(() => this.keep(), 60_000);
  }

  again() {
    this.stop?.();
    this.said.clear();
    this.beats.clear();
    this.reviews.clear();
    this.loaded = false;
    db.all<{ id: string }>('market').then((rows) => db.remove('market', rows.map((r) => r.id))).catch(() => {});
    this.begin();
  }

  hear(ev: Event) {
    try {
      if (ev.created_at > Date.now() / 1000 + 60) return;
      const m = parse(ev);
      if (m.type === 'Announcement' && m.Profile.market) {
        const have = this.said.get(ev.pubkey);
        if (!have || have.m.At < m.At || (have.m.At === m.At && m.ID < have.m.ID)) this.said.set(ev.pubkey, { m, ev });
        if (this.said.size > most) this.forgetOne();
      } else if (m.type === 'Heartbeat') {
        const have = this.beats.get(ev.pubkey);
        if ((!have || have.m.At < m.At) && this.beats.size < 2 * most) this.beats.set(ev.pubkey, { m, ev });
      } else if (m.type === 'Review' && this.reviews.size < 20_000) this.reviews.set(m.Author + m.Job, m);
    } catch {
      /* not ours, or malformed: it is not shown */
    }
  }

  private forgetOne() {
    const now = Date.now() / 1000;
    for (const key of this.said.keys()) {
      const beat = this.beats.get(key);
      if (beat && alive(beat.m, now)) continue;
      this.said.delete(key);
      return;
    }
    this.said.delete(this.said.keys().next().value!);
  }

  private later() { this.due ??= setTimeout(() => this.show(), 250); }

  private show() {
    clearTimeout(this.due);
    this.due = undefined;
    const now = Date.now() / 1000, rated = new Map<string, [number, number]>();
    for (const r of this.reviews.values()) {
      const [n, sum] = rated.get(r.Node) ?? [0, 0];
      rated.set(r.Node, [n + 1, sum + r.Rating]);
    }
    const nodes: Node[] = [], listings: Listing[] = [];
    for (const [key, { m }] of this.said) {
      const market = m.Profile.market!, beat = this.beats.get(key)?.m, [n, sum] = rated.get(key) ?? [0, 0];
      const card = (market.gpus ?? []).reduce((best, g) => (g.vram_mb > best.vram_mb ? g : best), { name: '', vram_mb: 0 });
      const node: Node = {
        key, name: foreign(m.Profile.name || m.Name, 60) || 'unnamed', about: foreign(m.Profile.about, 300), said: m, beat, market, alive: !!beat && alive(beat, now), reviews: n, rating: n ? sum / n : 0,
        gpu: foreign(card.name, 40), vram: card.vram_mb,
      };
      nodes.push(node);
      for (const model of market.models.slice(0, 500)) {
        listings.push({ id: key + model.id, node, model, name: foreign(model.id, 80), typical: cost(model.price, { In: 1000, Out: 1000 }, market.percent?.normal ?? 100), type: '', size: sizeOf(model.id) });
      }
    }
    this.nodes = nodes.sort((a, b) => Number(b.alive) - Number(a.alive) || (a.key < b.key ? -1 : 1));
    this.listings = listings.sort((a, b) => Number(b.node.alive) - Number(a.node.alive) || a.typical - b.typical || (a.id < b.id ? -1 : 1));
  }

  // ready waits a moment for the relays to have told what they have: the page may just have been opened.
  async ready() {
    for (const till = Date.now() + 5000; !this.loaded && Date.now() < till; ) await new Promise((r) => setTimeout(r, 50));
  }

  node(key: string) { return this.nodes.find((n) => n.key === key); }

  private async keep() {
    const rows = [...this.said].slice(-1000).flatMap(([key, { ev }]) => [{ id: 'a' + key, ev }, ...(this.beats.has(key) ? [{ id: 'b' + key, ev: this.beats.get(key)!.ev }] : [])]);
    await db.put('market', rows).catch(() => {});
  }
  keepNow() { return this.keep(); }
}

export const market = new Market();
