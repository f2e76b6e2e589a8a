// Relays: subscribe, publish until a relay says OK, reconnect. Signatures are checked before anything is handed on.
import { verified } from './verify';

export interface Event {
  id: string; pubkey: string; created_at: number; kind: number; tags: string[][]; content: string; sig: string;
}
export interface Filter {
  ids?: string[]; kinds?: number[]; authors?: string[]; since?: number; until?: number; limit?: number; [tag: `#${string}`]: string[] | undefined;
}
export type Authenticate = (relay: string, challenge: string) => Promise<Event>;

interface Subscription {
  id: string; filters: Filter[]; event(ev: Event): void; stored(relay: string): void; closed(relay: string, why: string): void;
}

// Recent remembers ids in two generations, so that a feed that runs for days takes bounded memory.
export class Recent {
  private young = new Set<string>();
  private old = new Set<string>();
  constructor(private most = 20_000) {}
  // add says whether the id is new.
  add(id: string): boolean {
    if (this.young.has(id) || this.old.has(id)) return false;
    if (this.young.size >= this.most) [this.old, this.young] = [this.young, new Set()];
    this.young.add(id);
    return true;
  }
}

const isHex = (s: unknown, length: number) => typeof s === 'string' && s.length === length && /^[0-9a-f]+$/.test(s);

// readEvent holds what a relay sent against the shape of an event; undefined if it is none.
function readEvent(v: any): Event | undefined {
  if (!v || typeof v !== 'object' || !isHex(v.id, 64) || !isHex(v.pubkey, 64) || !isHex(v.sig, 128)) return;
  if (!Number.isSafeInteger(v.created_at) || !Number.isSafeInteger(v.kind) || typeof v.content !== 'string' || !Array.isArray(v.tags)) return;
  if (!v.tags.every((tag: unknown) => Array.isArray(tag) && tag.every((item) => typeof item === 'string'))) return;
  return { id: v.id, pubkey: v.pubkey, created_at: v.created_at, kind: v.kind, tags: v.tags, content: v.content, sig: v.sig };
}

class Relay {
  open = false;
  private socket?: WebSocket;
  private wait = 500;
  private timer?: ReturnType<typeof setTimeout>;
  private ended = false;
  private challenge = '';
  private authenticating?: Promise<void>;
  readonly subs = new Map<string, Subscription>();
  private readonly outbox = new Map<string, { ev: Event; done(ok: boolean, why: string): void; tries: number }>();

  constructor(readonly url: string, private pool: Pool) { this.connect(); }

  private connect() {
    if (this.ended) return;
    const socket = (this.socket = new WebSocket(this.url));
    socket.onopen = () => {
      this.open = true;
      this.wait = 500;
      this.pool.changed();
      for (const sub of this.subs.values()) this.request(sub);
      for (const { ev } of this.outbox.values()) this.send(['EVENT', ev]);
    };
    socket.onmessage = (m) => typeof m.data === 'string' && m.data.length < 1 << 20 && this.hear(m.data);
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.open = false;
      this.authenticating = undefined;
      this.pool.changed();
      if (this.ended) return;
      this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
      this.wait = Math.min(this.wait * 2, 30_000);
    };
  }

  // wake reconnects at once: the network is back, or the page is in front again.
  wake() {
    if (this.open || this.ended || this.socket?.readyState === WebSocket.CONNECTING) return;
    clearTimeout(this.timer);
    this.connect();
  }

  private send(message: unknown[]) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private request(sub: Subscription) { this.send(['REQ', sub.id, ...sub.filters]); }

  subscribe(sub: Subscription) {
    this.subs.set(sub.id, sub);
    if (this.open) this.request(sub);
  }

  unsubscribe(id: string) {
    if (this.subs.delete(id) && this.open) this.send(['CLOSE', id]);
  }

  publish(ev: Event, done: (ok: boolean, why: string) => void) {
    this.outbox.set(ev.id, { ev, done, tries: 0 });
    if (this.open) this.send(['EVENT', ev]);
  }

  forget(id: string) { this.outbox.delete(id); }

  private hear(text: string) {
    let m: any;
    try {
      m = JSON.parse(text);
    } catch {
      return;
    }
    if (!Array.isArray(m)) return;
    switch (m[0]) {
      case 'EVENT': {
        const sub = this.subs.get(m[1]), ev = readEvent(m[2]);
        if (sub && ev) sub.event(ev);
        return;
      }
      case 'EOSE':
        this.subs.get(m[1])?.stored(this.url);
        return;
      case 'CLOSED': {
        const sub = this.subs.get(m[1]), why = String(m[2] ?? '');
        if (!sub) return;
        if (why.startsWith('auth-required:')) {
          this.authenticate().then(() => this.request(sub), () => sub.closed(this.url, why));
          return;
        }
        sub.closed(this.url, why);
        return;
      }
      case 'OK': {
        const waits = this.outbox.get(m[1]), why = String(m[3] ?? '');
        if (!waits) return;
        if (m[2] !== true && why.startsWith('auth-required:') && waits.tries++ === 0) {
          this.authenticate().then(() => this.send(['EVENT', waits.ev]), () => waits.done(false, why));
          return;
        }
        this.outbox.delete(m[1]);
        waits.done(m[2] === true, why);
        return;
      }
      case 'AUTH':
        this.challenge = typeof m[1] === 'string' ? m[1] : '';
    }
  }

  private authenticate(): Promise<void> {
    const sign = this.pool.authenticate;
    if (!sign || !this.challenge) return Promise.reject(new Error('not signed in'));
    return (this.authenticating ??= sign(this.url, this.challenge).then((ev) => this.send(['AUTH', ev])));
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}

export class RelayError extends Error {}

export class Pool {
  authenticate?: Authenticate;
  private relays: Relay[] = [];
  private subs = new Map<string, Subscription>();
  private next = 1;
  constructor(private onchange: () => void = () => {}) {}

  changed() { this.onchange(); }

  get status() { return this.relays.map((r) => ({ url: r.url, open: r.open })); }
  get urls() { return this.relays.map((r) => r.url); }
  get connected() { return this.relays.some((r) => r.open); }

  // use connects to these relays and no others; subscriptions move along.
  use(urls: string[]) {
    for (const relay of this.relays) if (!urls.includes(relay.url)) relay.end();
    this.relays = urls.map((url) => this.relays.find((r) => r.url === url) ?? new Relay(url, this));
    for (const relay of this.relays) for (const sub of this.subs.values()) if (!relay.subs.has(sub.id)) relay.subscribe(sub);
    this.changed();
  }

  wake() { for (const relay of this.relays) relay.wake(); }

  // subscribe hands on every good event once, whichever relay brought it. stored is called once, when a connected relay has
  // sent what it has.
  subscribe(filters: Filter[], event: (ev: Event) => void, stored?: () => void): () => void {
    const id = `s${this.next++}`, seen = new Recent();
    let ended = false, told = false;
    const sub: Subscription = {
      id, filters,
      event: (ev) => {
        if (!seen.add(ev.id)) return;
        verified(ev).then((good) => good && !ended && event(ev));
      },
      stored: () => {
        if (told) return;
        told = true;
        verified(undefined).then(() => !ended && stored?.()); // after all that came before
      },
      closed: () => sub.stored(''),
    };
    this.subs.set(id, sub);
    for (const relay of this.relays) relay.subscribe(sub);
    return () => {
      ended = true;
      this.subs.delete(id);
      for (const relay of this.relays) relay.unsubscribe(id);
    };
  }

  // collect gives what the relays have stored.
  collect(filters: Filter[], within = 5000): Promise<Event[]> {
    return new Promise((resolve) => {
      const found: Event[] = [];
      let timer: ReturnType<typeof setTimeout>;
      const done = () => {
        clearTimeout(timer);
        stop();
        resolve(found);
      };
      const stop = this.subscribe(filters, (ev) => found.push(ev), () => done());
      timer = setTimeout(done, within);
    });
  }

  // publish returns once a relay says OK: sent is not stored. What is not answered is sent again after a reconnect.
  publish(ev: Event, within = 20_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const answers: string[] = [];
      const relays = [...this.relays];
      if (relays.length === 0) return reject(new RelayError('no relay is set'));
      const timer = setTimeout(() => {
        for (const relay of relays) relay.forget(ev.id);
        reject(new RelayError(answers[0] || 'no relay answers'));
      }, within);
      for (const relay of relays) {
        relay.publish(ev, (ok, why) => {
          if (ok || why.startsWith('duplicate:')) {
            clearTimeout(timer);
            resolve();
            return;
          }
          answers.push(why);
          if (answers.length === relays.length) {
            clearTimeout(timer);
            reject(new RelayError(why));
          }
        });
      }
    });
  }
}
