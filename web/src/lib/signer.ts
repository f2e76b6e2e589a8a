// Who signs: a NIP-07 extension, a NIP-46 bunker, or the daemon that served the page. The page itself never holds the key.
import type { Draft, Opener } from '@sdk/events';
import type { Event } from './relay';
import { verified } from './verify';

export type How = 'extension' | 'bunker' | 'daemon';
export interface Signer extends Opener {
  how: How;
  sign(draft: Draft): Promise<Event>;
  encrypt(peer: string, text: string): Promise<string>;
  close?(): void;
}

interface Nip07 {
  getPublicKey(): Promise<string>;
  signEvent(draft: Draft & { pubkey?: string }): Promise<Event>;
  nip44?: { encrypt(peer: string, text: string): Promise<string>; decrypt(peer: string, text: string): Promise<string> };
}
declare global {
  interface Window { nostr?: Nip07; webln?: { enable(): Promise<void>; sendPayment(bolt11: string): Promise<{ preimage: string }> } }
}

export class SignError extends Error {}

// checked holds what a signer gave back against what was asked: it may be anybody's program.
async function checked(draft: Draft, pubkey: string, ev: Event): Promise<Event> {
  const same = ev && ev.pubkey === pubkey && ev.kind === draft.kind && ev.content === draft.content && ev.created_at === draft.created_at && JSON.stringify(ev.tags) === JSON.stringify(draft.tags);
  if (!same || !(await verified(ev))) throw new SignError('signer:changed');
  return ev;
}

// denied says in one word what happened when a signer did not sign.
function denied(err: unknown): SignError {
  const text = String((err as Error)?.message ?? err);
  return new SignError(/den|reject|refus|cancel/i.test(text) ? 'signer:denied' : 'signer:failed ' + text.slice(0, 120));
}

// hasExtension waits a moment for window.nostr: extensions put it there while the page loads, or shortly after.
export async function hasExtension(within = 1500): Promise<boolean> {
  for (const until = Date.now() + within; !window.nostr && Date.now() < until; ) await new Promise((r) => setTimeout(r, 50));
  return !!window.nostr;
}

export async function fromExtension(): Promise<Signer> {
  if (!(await hasExtension())) throw new SignError('signer:none');
  const nostr = window.nostr!;
  const pubkey = await nostr.getPublicKey().catch((err) => { throw denied(err); });
  if (!/^[0-9a-f]{64}$/.test(pubkey)) throw new SignError('signer:changed');
  const nip44 = () => nostr.nip44 ?? (() => { throw new SignError('signer:nip44'); })();
  return {
    how: 'extension', pubkey,
    sign: async (draft) => checked(draft, pubkey, await nostr.signEvent({ ...draft, pubkey }).catch((err) => { throw denied(err); })),
    encrypt: (peer, text) => nip44().encrypt(peer, text).catch((err) => { throw denied(err); }),
    decrypt: (peer, text) => nip44().decrypt(peer, text).catch((err) => { throw denied(err); }),
  };
}

const hexOf = (bytes: Uint8Array) => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));

// The key with which this page talks to a bunker. It signs nothing else, and can be thrown away.
function bunkerClient(): Uint8Array {
  const kept = localStorage.getItem('infernet.bunker.client');
  if (kept && /^[0-9a-f]{64}$/.test(kept)) return bytesOf(kept);
  const fresh = crypto.getRandomValues(new Uint8Array(32));
  localStorage.setItem('infernet.bunker.client', hexOf(fresh));
  return fresh;
}

type Bunker = import('nostr-tools/nip46').BunkerSigner;

async function wrap(bunker: Bunker): Promise<Signer> {
  const pubkey = await bunker.getPublicKey();
  return {
    how: 'bunker', pubkey,
    sign: async (draft) => checked(draft, pubkey, (await bunker.signEvent(draft).catch((err) => { throw denied(err); })) as Event),
    encrypt: (peer, text) => bunker.nip44Encrypt(peer, text).catch((err) => { throw denied(err); }),
    decrypt: (peer, text) => bunker.nip44Decrypt(peer, text).catch((err) => { throw denied(err); }),
    close: () => void bunker.close(),
  };
}

const within = <T>(ms: number, p: Promise<T>) => Promise.race([p, new Promise<T>((_, no) => setTimeout(() => no(new SignError('signer:silent')), ms))]);

// fromBunker connects to bunker://… . Where an approval is needed somewhere else, ask is told the address.
export async function fromBunker(address: string, ask: (url: string) => void): Promise<Signer> {
  const { BunkerSigner, BUNKER_REGEX } = await import('nostr-tools/nip46');
  const m = BUNKER_REGEX.exec(address.trim());
  if (!m) throw new SignError('signer:address');
  const query = new URLSearchParams(m[2] ?? '');
  const pointer = { pubkey: m[1], relays: query.getAll('relay'), secret: query.get('secret') };
  if (!pointer.relays.length) throw new SignError('signer:address');
  const bunker = BunkerSigner.fromBunker(bunkerClient(), pointer, { onauth: ask });
  await within(60_000, bunker.connect());
  return within(30_000, wrap(bunker));
}

// invite makes a nostrconnect:// address for a QR code; the signer that scans it connects by itself. bunker is where it is
// found again.
export async function invite(relays: string[], ask: (url: string) => void): Promise<{ uri: string; signer: Promise<Signer & { bunker: string }> }> {
  if (!relays.length) throw new SignError('signer:norelay');
  const [{ BunkerSigner, createNostrConnectURI, toBunkerURL }, { getPublicKey }, { SimplePool }] =
    await Promise.all([import('nostr-tools/nip46'), import('nostr-tools/pure'), import('nostr-tools/pool')]);
  const client = bunkerClient();
  const pool = new SimplePool(); // connected before anybody sees the code: whoever scans it says so once
  await Promise.any(relays.map((relay) => within(10_000, pool.ensureRelay(relay)))).catch(() => { throw new SignError('signer:silent'); });
  const uri = createNostrConnectURI({ clientPubkey: getPublicKey(client), relays, secret: hexOf(crypto.getRandomValues(new Uint8Array(8))), name: 'Infernet', perms: ['sign_event', 'nip44_encrypt', 'nip44_decrypt'] });
  const found = BunkerSigner.fromURI(client, uri, { pool, onauth: ask, skipSwitchRelays: true }, 300_000);
  return { uri, signer: found.then(async (b) => ({ ...(await wrap(b)), bunker: toBunkerURL({ ...b.bp, secret: null }) })).catch((err) => { throw denied(err); }) };
}

// exchange gives the token that this page shows from now on, for the one that 'infernet open' put into its address: that one
// is good once.
export async function exchange(once: string): Promise<string> {
  const answer = await fetch('./api/v1/page/session', { method: 'POST', headers: { Authorization: 'Bearer ' + once } }).catch(() => { throw new SignError('signer:silent'); });
  if (!answer.ok) throw new SignError('signer:token');
  return (await answer.json()).token;
}

// fromDaemon signs with the key of the daemon that served this page. It asks with a token that only who may read the
// daemon's data folder has.
export async function fromDaemon(token: string): Promise<Signer & { wallet?: string }> {
  const call = async (what: string, body?: unknown) => {
    const answer = await fetch(`./api/v1/page/${what}`, {
      method: body ? 'POST' : 'GET', body: body ? JSON.stringify(body) : undefined,
      headers: { Authorization: 'Bearer ' + token, ...(body ? { 'Content-Type': 'application/json' } : {}) },
    }).catch(() => { throw new SignError('signer:silent'); });
    if (answer.status === 401 || answer.status === 403 || answer.status === 404) throw new SignError('signer:token');
    if (!answer.ok) throw new SignError('signer:failed ' + answer.status);
    return answer.json();
  };
  const me = await call('key');
  return {
    how: 'daemon', pubkey: me.pubkey, wallet: me.wallet || undefined,
    sign: async (draft) => checked(draft, me.pubkey, (await call('sign', { event: JSON.stringify(draft) })).event),
    encrypt: async (peer, text) => (await call('encrypt', { peer, text })).text,
    decrypt: async (peer, text) => (await call('decrypt', { peer, text })).text,
  };
}
