// The SDK's events and Fold, held to the market's test vectors. Prints how many were replayed; a difference ends it badly.
//   usage: node vectors.mjs VECTORS KINDS      KINDS are the program's, in JSON
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as nip44 from 'nostr-tools/nip44';
import { getPublicKey, verifyEvent } from 'nostr-tools/pure';
import { events, fold, kinds } from 'infernet-sdk';
import { parse as sameParse } from 'infernet-sdk/events';
import { fold as sameFold } from 'infernet-sdk/fold';

const [folder, known] = process.argv.slice(2), read = (name) => JSON.parse(readFileSync(join(folder, name + '.json'), 'utf8'));
const bytes = (hex) => Uint8Array.from(hex.match(/../g), (b) => parseInt(b, 16));
let wrong = 0;
const differs = (what, ...said) => { wrong++; console.log('differs:', what, ...said); };
if (sameParse !== events.parse || sameFold !== fold) differs('the doors of the package');
if (JSON.stringify(Object.values(kinds).sort()) !== JSON.stringify(JSON.parse(known).sort())) differs('kinds', known);

// what the vector has, the port has; a field that is missing is null, 0 or empty
function same(want, have) {
  if (want === null || want === undefined || want === 0 || want === '' || want === false) return !have || (typeof have === 'object' && !Object.keys(have).length);
  if (Array.isArray(want)) return Array.isArray(have) && want.length === have.length && want.every((v, i) => same(v, have[i]));
  if (typeof want === 'object') return !!have && Object.keys(want).every((k) => same(want[k], have[k]));
  return want === have;
}
let messages = 0, plain = 0;
for (const v of read('messages')) {
  if (/plain/.test(v.name)) {
    plain++; // of parties without this profile: the SDK does not read them
    continue;
  }
  messages++;
  if (!verifyEvent({ ...v.event })) differs(v.name, 'its signature');
  for (const secret of v.peer ? [v.signer, v.peer] : [v.signer]) {
    const key = bytes(secret), who = { pubkey: getPublicKey(key), decrypt: async (peer, text) => nip44.decrypt(text, nip44.getConversationKey(key, peer)) };
    const m = await events.open(v.event, who).catch((err) => err);
    // how it travelled is the event's to say, and imeta of files is not read
    const fields = Object.fromEntries(Object.entries(v.message).filter(([k]) => !['Encrypted', 'Files'].includes(k)));
    if (v.type === 'Announcement') fields.Profile = { name: v.message.Profile.name, market: v.message.Profile.market };
    if (m.type !== v.type || !same(fields, m)) differs(v.name, JSON.stringify(m), m.stack ?? '');
  }
}
let folds = 0;
for (const v of read('folds')) {
  folds++;
  const said = (v.said ?? []).map((s) => ({ type: s.type, ...s.message }));
  for (let i = 0; i < 10; i++) {
    const job = fold(v.request, said, v.now), flags = [job.cancelled && 'cancelled', job.conflict && 'conflict'].filter(Boolean);
    if (job.state !== v.state || (job.best?.node ?? '') !== (v.node ?? '') || String(flags) !== String(v.flags ?? [])) differs(v.name, job.state, flags);
    for (let k = said.length - 1; k > 0; k--) { const r = Math.floor(Math.random() * (k + 1)); [said[k], said[r]] = [said[r], said[k]]; }
    if (said.length) said.push(said[0]); // repeats count once
  }
}
let prices = 0;
for (const v of read('prices')) {
  prices++;
  const cost = events.cost({ base: 0, in: 0, out: 0, ms: 0, ...v.price }, { In: 0, Out: 0, Ms: 0, ...v.usage }, v.percent);
  if (cost !== v.msat) differs('price', JSON.stringify(v), cost);
}
let refused = 0;
const lenient = [];
for (const v of read('malformed')) {
  try { events.parse(v.event); lenient.push(v.name); } catch (why) { why instanceof events.Malformed ? refused++ : differs(v.name, why.stack); }
}
console.log(`${messages} messages, ${folds} folds, ${prices} prices replayed; ${refused} malformed refused, ${lenient.length} not: ${lenient.join('; ')}; ${plain} plain ones left out`);
process.exitCode = wrong ? 1 : 0;
