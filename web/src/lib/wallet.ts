// Paying: a wallet connection (NIP-47), the browser's own wallet (WebLN), or an invoice that somebody else pays.
import { Pool, type Event } from './relay';

export class PayError extends Error {
  // gone says that the wallet's word is final: nothing was paid, nothing will be.
  constructor(message: string, readonly gone = false) { super(message); }
}

export interface Wallet {
  name: string;
  pay(bolt11: string, hash: string): Promise<string>; // the preimage
  sent?(hash: string): Promise<string | undefined>; // the preimage of what was paid; undefined if nobody knows
  balance?(): Promise<number>;
  close(): void;
}

export interface Address { wallet: string; relays: string[]; secret: string }

// readAddress reads nostr+walletconnect://… and the play money address of 'infernet up'.
export function readAddress(text: string): Address | undefined {
  text = text.trim();
  const play = /^play\+(wss?:\/\/[^?\s]+)\?(.+)$/.exec(text), nwc = /^nostr\+?walletconnect:(?:\/\/)?([0-9a-f]{64})\/?\?(.+)$/.exec(text);
  const query = new URLSearchParams((play ?? nwc)?.[2] ?? '');
  const found = { wallet: play ? query.get('wallet') ?? '' : nwc?.[1] ?? '', relays: [...(play ? [play[1]] : []), ...query.getAll('relay')], secret: query.get('secret') ?? '' };
  if (!/^[0-9a-f]{64}$/.test(found.wallet) || !/^[0-9a-f]{64}$/.test(found.secret) || !found.relays.length || !found.relays.every((r) => /^wss?:\/\//.test(r))) return;
  return found;
}

// final are the errors after which a payment cannot happen any more.
const final = ['INSUFFICIENT_BALANCE', 'QUOTA_EXCEEDED', 'RESTRICTED', 'UNAUTHORIZED', 'NOT_IMPLEMENTED', 'PAYMENT_FAILED', 'UNSUPPORTED_ENCRYPTION'];

export async function connect(address: Address): Promise<Wallet> {
  const [nip44, pure] = await Promise.all([import('nostr-tools/nip44'), import('nostr-tools/pure')]);
  const secret = Uint8Array.from(address.secret.match(/../g)!, (b) => parseInt(b, 16)), me = pure.getPublicKey(secret);
  const key = nip44.getConversationKey(secret, address.wallet), pool = new Pool();
  pool.use(address.relays);
  const ask = (method: string, params: object, within: number): Promise<any> => new Promise((resolve, reject) => {
    const request = pure.finalizeEvent({
      kind: 23194, created_at: Math.floor(Date.now() / 1000), content: nip44.encrypt(JSON.stringify({ method, params }), key),
      tags: [['p', address.wallet], ['encryption', 'nip44_v2']],
    }, secret) as unknown as Event;
    const end = (then: () => void) => {
      clearTimeout(timer);
      stop();
      then();
    };
    const timer = setTimeout(() => end(() => reject(new PayError('the wallet does not answer'))), within);
    const stop = pool.subscribe([{ kinds: [23195], authors: [address.wallet], '#p': [me], '#e': [request.id] }], (ev) => {
      let answer: any;
      try {
        answer = JSON.parse(nip44.decrypt(ev.content, key));
      } catch {
        return;
      }
      if (answer.error) end(() => reject(new PayError(String(answer.error.message || answer.error.code).slice(0, 200), final.includes(answer.error.code))));
      else end(() => resolve(answer.result ?? {}));
    });
    pool.publish(request, within).catch((err) => end(() => reject(new PayError(String(err.message)))));
  });
  const preimage = (v: unknown) => (typeof v === 'string' && /^[0-9a-f]{64}$/.test(v) ? v : undefined);
  return {
    name: 'NWC',
    pay: async (bolt11) => preimage((await ask('pay_invoice', { invoice: bolt11 }, 660_000)).preimage) ?? Promise.reject(new PayError('the wallet gives no proof of payment')),
    sent: async (hash) => {
      const tx = await ask('lookup_invoice', { payment_hash: hash }, 15_000).catch(() => undefined);
      return preimage(tx?.preimage);
    },
    balance: async () => Number((await ask('get_balance', {}, 15_000)).balance),
    close: () => pool.use([]),
  };
}

export function webln(): Wallet | undefined {
  const ln = window.webln;
  if (!ln) return;
  return {
    name: 'WebLN', close: () => {},
    pay: async (bolt11) => {
      await ln.enable();
      return (await ln.sendPayment(bolt11)).preimage;
    },
  };
}
