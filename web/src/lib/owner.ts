// An owner and the nodes that obey it (docs/protocol.md, section 11): commands and answers over relays, encrypted between the two.
import { readKey } from './format';
import { Pool, type Event } from './relay';
import { session } from './session.svelte';
import { readRelay } from './settings.svelte';

export const commandKind = 24591, listKind = 30000, listName = 'infernet/nodes';

export interface Owned { node: string; name: string; relays: string[] }
export interface Sum { jobs: number; delivered: number; failed: number; paid: number; owed: number }
export interface Sample { at: number; cpu: number; memory: number; free: number; cards: { id: string; busy: number; used: number; celsius: number; watts: number }[] }
export interface Report {
  node: string; name: string; relays: string[]; version: string; at: number; since: number; state: string; why?: string; engine: string; wallet: string; running: number; waiting: number; slots: number; open: number;
  machine: { cpu: string; cores: number; memory: number; cards: { id: string; name: string; memory: number }[] }; load?: Sample; today: Sum; alerts: number; refused?: string;
}
export interface Setting { name: string; value: string; source: string }
export interface NodeModel { id: string; kinds: number[]; context?: number; slots: number; price: { base?: number; in?: number; out?: number; ms?: number }; sold: boolean }
export interface NodeJob { job: string; seq: number; kind: number; model: string; peer: string; at: number; done: number; end: string; paid: number; owed: number }
export interface Earned { days: ({ day: string } & Sum)[]; models: Record<string, Sum>; total: Sum }
export interface Told { notices: { id: string; at: number; level: string; title: string; text: string }[]; open: string[] }

export class OwnerError extends Error {
  constructor(readonly code: string, text: string, readonly seq = 0) { super(`node:${code}:${text}`); }
}

let own: Pool | undefined; // for nodes at other relays than the page's
function poolOf(relays: string[]): Pool {
  if (!relays.length || relays.some((r) => session.pool.urls.includes(r))) return session.pool;
  own ??= new Pool();
  own.use([...new Set([...own.urls, ...relays])].slice(-20));
  return own;
}

let last = 0;
// command asks a node for something; it answers its owner only. A node that has heard a later command of another device says so,
// and is asked again.
export async function command<T>(to: Owned, method: string, params: object = {}, again = true): Promise<T> {
  const signer = session.signer;
  if (!signer) throw new Error('signer:none');
  const pool = poolOf(to.relays), seq = (last = Math.max(Date.now(), last + 1)), now = Math.floor(Date.now() / 1000);
  const id = [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, '0')).join('');
  const ev = await signer.sign({ kind: commandKind, created_at: now, tags: [['p', to.node]], content: await signer.encrypt(to.node, JSON.stringify({ id, seq, exp: now + 60, method, params })) });
  const answer = await new Promise<any>((resolve, reject) => {
    const end = (then: () => void) => {
      clearTimeout(timer);
      stop();
      then();
    };
    const timer = setTimeout(() => end(() => reject(new OwnerError('SILENT', ''))), 10_000);
    const stop = pool.subscribe([{ kinds: [commandKind], authors: [to.node], '#p': [signer.pubkey] }], async (said: Event) => {
      const m = await signer.decrypt(to.node, said.content).then(JSON.parse).catch(() => undefined);
      if (m?.id === id) end(() => resolve(m));
    });
    pool.publish(ev, 10_000).catch((err) => end(() => reject(err)));
  });
  if (!answer.error) return answer.result as T;
  const { code = 'FAILED', text = '', seq: at = 0 } = answer.error;
  if (code === 'STALE' && again && Number.isSafeInteger(at)) {
    last = Math.max(last, at);
    return command(to, method, params, false);
  }
  throw new OwnerError(String(code), String(text).slice(0, 200));
}

// readAddress reads what somebody typed, pasted or scanned: infernet:npub1…?code=…&relay=…, an npub, a key in hex, or the name of
// the node's machine, which is asked who it is.
export async function readAddress(text: string): Promise<{ node: string; relays: string[]; code: string }> {
  text = text.trim();
  const [name, query] = text.replace(/^infernet:(\/\/)?/, '').split('?');
  const key = readKey(name ?? ''), q = new URLSearchParams(query ?? '');
  if (key) return { node: key, relays: q.getAll('relay').map(readRelay).filter((r) => r !== undefined), code: q.get('code') ?? '' };
  if (!/^[a-z0-9.:[\]-]+$/i.test(name!) || !/[.:]|localhost/.test(name!)) throw new Error('node:address');
  const here = /^(localhost|127\.|\[::1\])/.test(name!);
  const who = await fetch(`${here ? 'http' : 'https'}://${name}/api/v1/node`).then((a) => (a.ok ? a.json() : undefined)).catch(() => undefined);
  if (!who || !/^[0-9a-f]{64}$/.test(who.node)) throw new Error('node:unreachable');
  return { node: who.node, relays: (who.relays ?? []).map((r: unknown) => readRelay(String(r))).filter(Boolean), code: '' };
}

// claim makes who is signed in the owner of a node. The code is not said, but proved.
export async function claim(to: Owned, code: string): Promise<{ name: string; relays: string[] }> {
  const params: { proof?: string } = {};
  if (code) {
    const [{ scryptAsync }, { hmac }, { sha256 }, { bytesToHex, utf8ToBytes }] = await Promise.all([import('@noble/hashes/scrypt.js'), import('@noble/hashes/hmac.js'), import('@noble/hashes/sha2.js'), import('@noble/hashes/utils.js')]);
    const key = await scryptAsync(utf8ToBytes(code.trim().toLowerCase()), utf8ToBytes('infernet/claim/v1 ' + to.node), { N: 32768, r: 8, p: 1, dkLen: 32 });
    params.proof = bytesToHex(hmac(sha256, key, utf8ToBytes(session.signer!.pubkey)));
  }
  return command(to, 'claim', params);
}

// list gives the nodes that the owner has written down, encrypted to itself.
export async function list(): Promise<Owned[]> {
  const signer = session.signer!;
  const found = (await session.pool.collect([{ kinds: [listKind], authors: [signer.pubkey], '#d': [listName] }])).sort((a, b) => b.created_at - a.created_at)[0];
  if (!found?.content) return [];
  const rows: unknown = JSON.parse(await signer.decrypt(signer.pubkey, found.content));
  if (!Array.isArray(rows)) return [];
  return rows.filter((r) => Array.isArray(r) && r[0] === 'p' && /^[0-9a-f]{64}$/.test(r[1])).map((r) => ({ node: r[1], name: String(r[3] ?? ''), relays: [r[2], ...r.slice(4)].map((x) => readRelay(String(x ?? ''))).filter((x) => x !== undefined) }));
}

export async function write(all: Owned[]) {
  const signer = session.signer!;
  const rows = all.map((n) => ['p', n.node, n.relays[0] ?? '', n.name, ...n.relays.slice(1)]);
  await session.pool.publish(await signer.sign({ kind: listKind, created_at: Math.floor(Date.now() / 1000), tags: [['d', listName]], content: await signer.encrypt(signer.pubkey, JSON.stringify(rows)) }));
}
