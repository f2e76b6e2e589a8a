// Signing in without an extension: the daemon's own key by 'infernet open', a bunker whose address is pasted, a bunker that
// scans the page's code, one that says no. With each a job is bought: the page has no key, the signer signs.
import { execFileSync } from 'node:child_process';
import * as nip44 from 'nostr-tools/nip44';
import { finalizeEvent, generateSecretKey, getPublicKey } from 'nostr-tools/pure';
import { config, connect, must, say, story, ws } from './browser.mjs';

// bunker is a remote signer (NIP-46) at the relay. It answers who knows its secret, and who it called itself.
async function bunker(browser) {
  const secret = generateSecretKey(), me = getPublicKey(secret), word = 'w' + Math.random().toString(36).slice(2);
  const asked = [], known = new Set();
  const b = { me, asked, deny: false, address: `bunker://${me}?relay=${encodeURIComponent(ws)}&secret=${word}` };
  const send = (peer, body) => socket.send(['EVENT', finalizeEvent({
    kind: 24133, created_at: Math.floor(Date.now() / 1000), tags: [['p', peer]], content: nip44.encrypt(JSON.stringify(body), nip44.getConversationKey(secret, peer)),
  }, secret)]);
  const socket = await connect(browser, ([type, , ev]) => {
    if (type !== 'EVENT' || ev?.kind !== 24133) return;
    const { id, method, params } = JSON.parse(nip44.decrypt(ev.content, nip44.getConversationKey(secret, ev.pubkey)));
    asked.push(method);
    const answer = (result, error) => send(ev.pubkey, { id, result, ...(error ? { error } : {}) });
    if (method === 'connect') {
      if (params[1] !== word && !known.has(ev.pubkey)) return answer('', 'unknown secret');
      known.add(ev.pubkey);
      return answer('ack');
    }
    if (!known.has(ev.pubkey)) return answer('', 'not connected');
    if (method === 'get_public_key') return answer(me);
    if (method === 'ping') return answer('pong');
    if (b.deny) return answer('', 'rejected by its user');
    if (method === 'sign_event') return answer(JSON.stringify(finalizeEvent(JSON.parse(params[0]), secret)));
    if (method === 'nip44_encrypt') return answer(nip44.encrypt(params[1], nip44.getConversationKey(secret, params[0])));
    if (method === 'nip44_decrypt') return answer(nip44.decrypt(params[1], nip44.getConversationKey(secret, params[0])));
    answer('', 'unknown method');
  });
  await socket.send(['REQ', 'b', { kinds: [24133], '#p': [me] }]);
  // scan connects to who shows a nostrconnect:// address.
  b.scan = (uri) => {
    const at = new URL(uri), peer = at.host || at.pathname.replace(/\//g, '');
    known.add(peer);
    send(peer, { id: 'scan', result: at.searchParams.get('secret') });
  };
  b.close = () => socket.close();
  return b;
}

await story(async ({ browser, page, go, shot, accessible, connectWallet, quiet }) => {
  const out = () => page.getByRole('button', { name: 'Sign out' });
  async function buys(prompt) {
    await go('new');
    await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
    await page.getByRole('combobox', { name: 'Model', exact: true }).selectOption('echo');
    await page.getByRole('radio', { name: /One node/ }).check();
    for (const name of [/comes back/, /Result first/]) await page.getByRole('checkbox', { name }).uncheck();
    await page.getByRole('button', { name: 'Order', exact: true }).click();
  }
  async function bought(prompt) {
    await buys(prompt);
    await page.getByTestId('receipt').getByText('Signed by the node').waitFor();
    must((await page.getByTestId('answer').innerText()).trim() === prompt, 'another answer');
  }
  // with the daemon's own key, and its play money
  const address = execFileSync(config.program, ['open', '--print', '--data-dir', config.data], { encoding: 'utf8' }).trim();
  await page.goto(address);
  await out().waitFor();
  must(!page.url().includes('token'), 'the token stays in the address: ' + page.url());
  await bought('By the key of this machine.');
  say('infernet open: signed in with the daemon’s key, its wallet pays, the token is out of the address');
  const again = await browser.newPage();
  await again.goto(address);
  await again.getByRole('alert').getByText('does not know this page').waitFor();
  await again.close();
  say('the same address a second time signs nobody in');
  await page.reload();
  await out().waitFor();
  await out().click();

  // with a bunker whose address is pasted
  const b = await bunker(browser);
  await page.bringToFront();
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Sign in' }).first().click();
  await dialog.getByLabel('Bunker').fill('bunker://nothing');
  await dialog.getByRole('button', { name: 'Connect' }).click();
  await dialog.getByText('This is no bunker address').waitFor();
  await accessible('the dialog');
  await shot('signin');
  await dialog.getByLabel('Bunker').fill(b.address);
  await dialog.getByRole('button', { name: 'Connect' }).click();
  await out().waitFor();
  await connectWallet();
  await bought('By a bunker.');
  must(b.asked.includes('sign_event') && b.asked.includes('nip44_encrypt') && b.asked.includes('nip44_decrypt'), 'the bunker was asked ' + b.asked);
  say(`a bunker signs, encrypts and decrypts: ${new Set(b.asked).size} methods`);
  b.deny = true;
  await buys('Refused.');
  await page.getByRole('alert').filter({ hasText: 'said no' }).waitFor();
  b.deny = false;
  say('a bunker that says no sends nothing, and is said in words');
  await page.reload();
  await out().waitFor();
  say('after a reload the bunker is connected again');
  await out().click();

  // with a bunker that scans the code
  await page.getByRole('button', { name: 'Sign in' }).first().click();
  await dialog.getByRole('button', { name: 'Show a QR code' }).click();
  const invite = await dialog.getByTestId('invite').innerText();
  await shot('signin-qr');
  b.scan(invite);
  await out().waitFor();
  await bought('By a bunker that scanned.');
  say('a bunker that scanned the page’s code signs');
  await b.close();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  must(!/nsec1/.test(kept), 'a secret key is kept in the page');
  quiet('the page');
}, { extension: false });
