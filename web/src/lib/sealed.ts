// A sealed result is sold by its key (docs/protocol.md, section 6): paying reveals r, which opens it.
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

export const unbase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
export const sealedSum = (sealed: Uint8Array) => bytesToHex(sha256(sealed));

// unseal opens S with the preimage and holds what comes out against x. Anything else than what was signed is an error.
export function unseal(of: { job: string; node: string; customer: string }, preimage: string, sealed: Uint8Array, x: string): string {
  const r = hexToBytes(preimage), info = utf8ToBytes('infernet/sealed/v1');
  const key = hkdf(sha256, r, hexToBytes(of.job), info, 32);
  const aad = concatBytes(info, hexToBytes(of.job), hexToBytes(of.node), hexToBytes(of.customer), sha256(r));
  const plain = chacha20poly1305(key, sealed.slice(0, 12), aad).decrypt(sealed.slice(12));
  if (bytesToHex(sha256(concatBytes(utf8ToBytes('infernet/x/v1'), plain))) !== x) throw new Error('sealed: it opens to another text than its node signed');
  return new TextDecoder('utf-8', { fatal: true }).decode(plain.slice(32));
}
