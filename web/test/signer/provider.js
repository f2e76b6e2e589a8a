// window.nostr (NIP-07): every call is carried to the extension and back.
const waiting = new Map();
addEventListener('message', (m) => {
  if (m.source !== window || !m.data || m.data.from !== 'signer') return;
  const { resolve, reject } = waiting.get(m.data.id) ?? {};
  waiting.delete(m.data.id);
  if (m.data.error) reject?.(new Error(m.data.error));
  else resolve?.(m.data.result);
});
const call = (method, ...params) => new Promise((resolve, reject) => {
  const id = crypto.randomUUID();
  waiting.set(id, { resolve, reject });
  postMessage({ from: 'page', id, method, params }, location.origin);
});
window.nostr = {
  getPublicKey: () => call('getPublicKey'),
  signEvent: (ev) => call('signEvent', ev),
  nip44: { encrypt: (peer, text) => call('encrypt', peer, text), decrypt: (peer, text) => call('decrypt', peer, text) },
};
