// The port of events and Fold that the page is built with (the SDK's), held to the program's test vectors. Prints how many were replayed; a difference ends it.
//   usage: node vectors.mjs VECTORS
import { build } from 'esbuild';
import { readFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import * as nip44 from 'nostr-tools/nip44';
import { getPublicKey, verifyEvent } from 'nostr-tools/pure';

const [vectors] = process.argv.slice(2), read = (name) => JSON.parse(readFileSync(join(vectors, name + '.json'), 'utf8'));
const out = mkdtempSync(join(import.meta.dirname, 'port-'));
await build({ entryPoints: ['../sdk/js/src/events', '../sdk/js/src/fold', 'src/lib/sealed'].map((n) => ({ in: join(import.meta.dirname, `../${n}.ts`), out: n.split('/').pop() })), bundle: true, format: 'esm', outdir: out, logLevel: 'error', external: ['svelte'] });
const { parse, open, cost, ceilSat, Malformed } = await import(join(out, 'events.js'));
const { fold } = await import(join(out, 'fold.js'));
const { unseal } = await import(join(out, 'sealed.js'));
const bytes = (hex) => Uint8Array.from(hex.match(/../g), (b) => parseInt(b, 16));
let wrong = 0;
const differs = (what, ...said) => { wrong++; console.error('differs:', what, ...said); };

// what the vector has, the port has; a field that is missing is null, 0 or empty
function same(want, have) {
  if (want === null || want === undefined || want === 0 || want === '' || want === false) return !have || (Array.isArray(have) && !have.length) || (typeof have === 'object' && !Object.keys(have).length);
  if (Array.isArray(want)) return Array.isArray(have) && want.length === have.length && want.every((v, i) => same(v, have[i]));
  if (typeof want === 'object') return !!have && Object.keys(want).every((k) => same(want[k], have[k]));
  return want === have;
}
// fields that the port does not read
const unread = { Result: ['Files'], Announcement: ['Profile'] };
let messages = 0;
for (const v of read('messages')) {
  if (!/plain/.test(v.name)) {
    messages++;
    if (!verifyEvent({ ...v.event })) differs(v.name, 'signature');
    for (const secret of v.peer ? [v.signer, v.peer] : [v.signer]) {
      const key = bytes(secret), who = { pubkey: getPublicKey(key), decrypt: async (peer, text) => nip44.decrypt(text, nip44.getConversationKey(key, peer)) };
      const m = await open(v.event, who).catch((err) => err);
      const fields = Object.fromEntries(Object.entries(v.message).filter(([k]) => k !== 'Encrypted' && !(unread[v.type] ?? []).includes(k)));
      if (m.type !== v.type || !same(fields, m)) differs(v.name, JSON.stringify(m), m.stack ?? '');
    }
  }
}
let folds = 0;
for (const v of read('folds')) {
  folds++;
  const said = (v.said ?? []).map((s) => ({ type: s.type, ...s.message }));
  for (let i = 0; i < 5; i++) {
    const job = fold(v.request, said, v.now), flags = [job.cancelled && 'cancelled', job.conflict && 'conflict'].filter(Boolean);
    if (job.state !== v.state || (job.best?.node ?? '') !== (v.node ?? '') || String(flags) !== String(v.flags ?? [])) differs(v.name, job.state, flags);
    for (let k = said.length - 1; k > 0; k--) { const r = Math.floor(Math.random() * (k + 1)); [said[k], said[r]] = [said[r], said[k]]; }
    if (said.length) said.push(said[0]);
  }
}
let prices = 0;
for (const v of read('prices')) {
  prices++;
  const p = { base: 0, in: 0, out: 0, ms: 0, ...v.price }, use = { In: 0, Out: 0, Ms: 0, ...v.usage };
  const c = cost(p, use, v.percent);
  if (c !== v.msat || (c > 0 && c + 999 <= Number.MAX_SAFE_INTEGER && v.invoice && ceilSat(c) !== v.invoice)) differs('price', JSON.stringify(v), c);
}
const sealed = read('sealed');
let seals = 0;
for (const v of Array.isArray(sealed) ? sealed : [sealed]) {
  seals++;
  const s = Uint8Array.from(Buffer.from(v.S, 'base64')), of = { job: v.Job, node: v.Node, customer: v.Customer };
  if (unseal(of, v.R, s, v.X) !== v.Text) differs('sealed');
  const other = v.R.replace(/^./, (c) => (c === '0' ? '1' : '0'));
  try { unseal(of, other, s, v.X); differs('sealed opens with another key'); } catch { /* as it should be */ }
}
let refused = 0, lenient = [];
for (const v of read('malformed')) {
  try { parse(v.event); lenient.push(v.name); } catch { refused++; }
}
console.log(`${messages} messages, ${folds} folds, ${prices} prices, ${seals} seals replayed; ${refused} malformed refused; not refused, for only relays and nodes ask for it: ${lenient.join('; ') || 'none'}`);
if (refused < 60) differs('malformed: fewer are refused than were');
if (folds < 70 || messages < 20) differs('fewer vectors than there were');
process.exitCode = wrong ? 1 : 0;
