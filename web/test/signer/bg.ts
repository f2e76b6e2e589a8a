// The signer itself. The test says by deny(true) that its user refuses from now on.
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import * as nip44 from 'nostr-tools/nip44';

declare const chrome: any;
const key = generateSecretKey();
let denied = false;
(globalThis as any).deny = (on: boolean) => { denied = on; };
(globalThis as any).asked = [] as string[];

chrome.runtime.onMessage.addListener((m: any, _: unknown, answer: (v: unknown) => void) => {
  (globalThis as any).asked.push(m.method);
  try {
    if (denied && m.method !== 'getPublicKey') throw new Error('user denied');
    const [a, b] = m.params;
    const secret = (peer: string) => nip44.getConversationKey(key, peer);
    answer({
      result: m.method === 'getPublicKey' ? getPublicKey(key)
        : m.method === 'signEvent' ? finalizeEvent({ kind: a.kind, created_at: a.created_at, tags: a.tags, content: a.content }, key)
        : m.method === 'encrypt' ? nip44.encrypt(b, secret(a)) : nip44.decrypt(b, secret(a)),
    });
  } catch (err) {
    answer({ error: String((err as Error).message) });
  }
  return true;
});
