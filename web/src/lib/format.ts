// How numbers, times and keys read.
const grouped = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });

export const count = (n: number) => grouped.format(n);

// sat shows msat as satoshi; fractions only where they matter.
export function sat(msat: number): string {
  if (msat === 0) return 'free';
  const n = msat / 1000;
  return (n >= 100 ? grouped.format(Math.ceil(n)) : short.format(n)) + ' sat';
}
export const sats = (msat: number) => (msat === 0 ? '0 sat' : sat(msat));

export function ago(unix: number, now = Date.now() / 1000): string {
  const s = Math.max(0, Math.round(now - unix));
  if (s < 10) return 'just now';
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return new Date(unix * 1000).toLocaleDateString('en', { day: 'numeric', month: 'short', year: s > 300 * 86400 ? 'numeric' : undefined });
}

export const clock = (unix: number) => new Date(unix * 1000).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });
export const seconds = (ms: number) => (ms < 950 ? `${Math.round(ms)} ms` : `${short.format(Math.round(ms / 100) / 10)} s`);
export const bytes = (n: number) => (n < 1024 ? `${n} B` : n < 1 << 20 ? `${Math.round(n / 1024)} kB` : n >= 1 << 30 ? `${short.format(Math.round(n / 107374182.4) / 10)} GB` : `${short.format(Math.round(n / 104857.6) / 10)} MB`);

const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
function polymod(values: number[]): number {
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  let c = 1;
  for (const v of values) {
    const top = c >>> 25;
    c = ((c & 0x1ffffff) << 5) ^ v;
    for (let i = 0; i < 5; i++) if ((top >>> i) & 1) c ^= generators[i];
  }
  return c >>> 0;
}
const expand = (hrp: string) => [...[...hrp].map((c) => c.charCodeAt(0) >> 5), 0, ...[...hrp].map((c) => c.charCodeAt(0) & 31)];

function regroup(data: number[], from: number, to: number, pad: boolean): number[] | undefined {
  let bits = 0, value = 0;
  const out: number[] = [];
  for (const v of data) {
    value = ((value << from) | v) & 0xfff;
    bits += from;
    while (bits >= to) out.push((value >> (bits -= to)) & ((1 << to) - 1));
  }
  if (pad && bits) out.push((value << (to - bits)) & ((1 << to) - 1));
  else if (!pad && (bits >= from || ((value << (to - bits)) & ((1 << to) - 1)))) return;
  return out;
}

// npub is a key as NIP-19 writes it.
export function npub(hex: string): string {
  const data = regroup(hex.match(/../g)!.map((b) => parseInt(b, 16)), 8, 5, true)!;
  const sum = polymod([...expand('npub'), ...data, 0, 0, 0, 0, 0, 0]) ^ 1;
  return 'npub1' + [...data, ...[0, 1, 2, 3, 4, 5].map((i) => (sum >>> (5 * (5 - i))) & 31)].map((v) => alphabet[v]).join('');
}

// readKey reads a key as people paste it: npub1… or hex. Undefined if it is none.
export function readKey(text: string): string | undefined {
  text = text.trim().replace(/^nostr:/, '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  if (!text.startsWith('npub1')) return;
  const values = [...text.slice(5)].map((c) => alphabet.indexOf(c));
  if (values.includes(-1) || polymod([...expand('npub'), ...values]) !== 1) return;
  const bytes = regroup(values.slice(0, -6), 5, 8, false);
  return bytes?.length === 32 ? bytes.map((b) => b.toString(16).padStart(2, '0')).join('') : undefined;
}
export function shortKey(hex: string): string {
  const key = npub(hex);
  return key.slice(0, 10) + '…' + key.slice(-4);
}

// foreign is a stranger's text as one bounded line: no control characters, none that turn the direction of what follows.
export function foreign(text: unknown, most = 80): string {
  const line = String(text ?? '').slice(0, most * 8).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, ' ').replace(/\s+/g, ' ').trim();
  return line.length > most ? line.slice(0, most - 1) + '…' : line;
}

// csv writes rows as a file for spreadsheets. A cell that begins like a formula is quoted: it may be a stranger's.
export function csv(rows: (string | number)[][]): string {
  const cell = (v: string | number) => {
    let s = String(v);
    if (typeof v === 'string' && /^[=+\-@\t\r]/.test(s)) s = "'" + s;
    return /[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  return rows.map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

export function download(name: string, body: BlobPart, type = 'text/csv') {
  const url = URL.createObjectURL(new Blob([body], { type }));
  const a = Object.assign(document.createElement('a'), { href: url, download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
