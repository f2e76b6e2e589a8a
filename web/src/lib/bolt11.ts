// Invoices (BOLT 11): what one asks for, what it was made for, and whose it is.
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

export interface Invoice { network: string; amount: number; hash: string; description: string; descriptionHash: string; expires: number; payee: string; minFinalCLTV: number }

const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const bad = (why: string): never => { throw new Error('invoice: ' + why); };

function checksum(hrp: string, words: number[]): boolean {
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let c = 1;
  for (const v of [...[...hrp].map((ch) => ch.charCodeAt(0) >> 5), 0, ...[...hrp].map((ch) => ch.charCodeAt(0) & 31), ...words]) {
    const top = c >>> 25;
    c = ((c & 0x1ffffff) << 5) ^ v;
    for (let i = 0; i < 5; i++) if ((top >>> i) & 1) c ^= generators[i];
  }
  return (c >>> 0) === 1;
}

function bytes(words: number[], pad = false): Uint8Array {
  let value = 0, bits = 0;
  const out: number[] = [];
  for (const w of words) {
    value = ((value << 5) | w) & 0xfff;
    if ((bits += 5) >= 8) out.push((value >> (bits -= 8)) & 255);
  }
  if (pad && bits) out.push((value << (8 - bits)) & 255);
  return Uint8Array.from(out);
}
const integer = (words: number[]) => words.reduce((n, w) => n * 32 + w, 0);

export function decode(text: string): Invoice {
  const raw = text.trim().replace(/^lightning:/i, '').toLowerCase();
  const split = raw.lastIndexOf('1');
  if (!raw.startsWith('ln') || split < 4 || raw.length > 7089) bad('this is none');
  const hrp = raw.slice(0, split), words = [...raw.slice(split + 1)].map((c) => alphabet.indexOf(c));
  if (words.includes(-1) || words.length < 117 || !checksum(hrp, words)) bad('its checksum is wrong');
  const [, network, digits, unit] = /^ln(bcrt|bc|tbs|tb)(?:([0-9]+)([munp])?)?$/.exec(hrp) ?? bad('of an unknown network');
  let amount = 0;
  if (digits) {
    const per = { m: 100_000_000n, u: 100_000n, n: 100n, p: 0n, '': 100_000_000_000n }[(unit ?? '') as 'm'];
    if (unit === 'p' && BigInt(digits) % 10n) bad('an amount below a millisatoshi');
    amount = Number(unit === 'p' ? BigInt(digits) / 10n : BigInt(digits) * per);
    if (!Number.isSafeInteger(amount)) bad('an amount out of range');
  }
  const body = words.slice(0, -6), signature = bytes(body.slice(-104)), data = body.slice(0, -104);
  const invoice: Invoice = { network, amount, hash: '', description: '', descriptionHash: '', expires: 0, payee: '', minFinalCLTV: 18 };
  const at = integer(data.slice(0, 7));
  let life = 3600;
  for (let i = 7; i + 3 <= data.length; ) {
    const tag = alphabet[data[i]], length = data[i + 1] * 32 + data[i + 2], field = data.slice(i + 3, i + 3 + length);
    if (field.length !== length) bad('a field is cut');
    if (tag === 'p' && length === 52 && !invoice.hash) invoice.hash = bytesToHex(bytes(field));
    if (tag === 'h' && length === 52 && !invoice.descriptionHash) invoice.descriptionHash = bytesToHex(bytes(field));
    if (tag === 'd') invoice.description = new TextDecoder().decode(bytes(field));
    if (tag === 'x') life = integer(field);
    if (tag === 'c') invoice.minFinalCLTV = integer(field);
    if (tag === 'n' && length === 53) invoice.payee = bytesToHex(bytes(field));
    i += 3 + length;
  }
  if (!invoice.hash) bad('it has no payment hash');
  invoice.expires = at + life;
  const signed = sha256(Uint8Array.from([...utf8ToBytes(hrp), ...bytes(data, true)]));
  if (invoice.payee) {
    if (!secp256k1.verify(signature.slice(0, 64), signed, hexToBytes(invoice.payee), { prehash: false })) bad('its signature is wrong');
  } else {
    const recovered = Uint8Array.from([signature[64], ...signature.slice(0, 64)]);
    invoice.payee = bytesToHex(secp256k1.recoverPublicKey(recovered, signed, { prehash: false }));
  }
  return invoice;
}

export const sha256Hex = (hex: string) => bytesToHex(sha256(hexToBytes(hex)));
export const textHash = (text: string) => bytesToHex(sha256(utf8ToBytes(text)));
// describes says whether an invoice was made for a text.
export const describes = (i: Invoice, text: string) => i.description === text || i.descriptionHash === textHash(text);
