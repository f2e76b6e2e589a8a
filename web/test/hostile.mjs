// What strangers may publish: HTML, scripts, text that turns around, names without end, prices that are none. It is shown as
// text; nothing runs, nothing is fetched, nothing grows, and the content security policy has nothing to complain of.
import { finalizeEvent, generateSecretKey } from 'nostr-tools/pure';
import { must, say, story, url, ws } from './browser.mjs';

await story(async ({ page, go, shot, accessible, quiet }) => {
  const outside = [];
  page.on('request', (r) => { if (!r.url().startsWith(url) && /^(https?|ftp):/.test(r.url())) outside.push(r.url()); });
  page.on('dialog', (d) => { outside.push('dialog ' + d.message()); d.dismiss(); });
  const now = Math.floor(Date.now() / 1000), evil = '<img src=https://evil.example/x.png onerror="window.pwned=1"><script>window.pwned=1</script>';
  const texts = [evil, '\u202e' + 'gnitseretni '.repeat(20), 'x'.repeat(5000), '=HYPERLINK("https://evil.example")', 'javascript:window.pwned=1', '\u0000\u0007\u200f]]>'];
  const events = texts.flatMap((text, i) => {
    const key = generateSecretKey(), market = { v: 1, concurrency: 1, pay: ['prepaid'], delivery: ['plain'], gpus: [{ name: text, vram_mb: 24000 }], models: [{ id: text.slice(0, 2000), kinds: [5050], context: 9, price: { base: 0, in: i * 1e15, out: 1 } }] };
    return [
      finalizeEvent({ kind: 31990, created_at: now, content: JSON.stringify({ name: text, about: text, picture: 'https://evil.example/p.png', market }), tags: [['d', 'x'], ['k', '5050'], ['t', 'x']] }, key),
      finalizeEvent({ kind: 11998, created_at: now, content: '', tags: [['status', 'ready'], ['k', '5050'], ['capacity', '1'], ['load', '0'], ['queue', '0'], ['expiration', String(now + 360)]] }, key),
    ];
  });
  const wrong = finalizeEvent({ kind: 31990, created_at: now, content: JSON.stringify({ name: 'no such market', market: { v: 1, models: { a: 1 } } }), tags: [['d', 'x']] }, generateSecretKey());
  await go('market');
  const taken = await page.evaluate(({ events, relay }) => new Promise((resolve) => {
    let left = events.length, ok = 0;
    const ws = new WebSocket(relay);
    ws.onopen = () => events.forEach((ev) => ws.send(JSON.stringify(['EVENT', ev])));
    ws.onmessage = (m) => { const [type, , good] = JSON.parse(m.data); if (type === 'OK') { ok += good ? 1 : 0; if (--left === 0) resolve(ok); } };
  }), { events: [...events, wrong], relay: ws });
  must(taken >= 2, 'the relay took none of the hostile events');
  await page.getByRole('button', { name: /^Nodes/ }).click();
  await page.getByText('window.pwned').first().waitFor(); // shown as text
  must(!(await page.evaluate(() => window.pwned)), 'a script of a stranger ran');
  must((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, 'a stranger made the page wider');
  await accessible('market with strangers');
  await shot('market-strangers');
  await go('new');
  await page.getByRole('heading', { level: 1 }).waitFor();
  must(!(await page.evaluate(() => window.pwned)) && outside.length === 0, 'a stranger reached out: ' + outside.join(' '));
  const blocked = await page.evaluate(async () => {
    const violated = new Promise((resolve) => document.addEventListener('securitypolicyviolation', (v) => resolve(v.effectiveDirective), { once: true }));
    document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.pwned=1' }));
    return violated;
  });
  must(blocked === 'script-src-elem' && !(await page.evaluate(() => window.pwned)), 'the policy let a script in: ' + blocked);
  say(`${taken} hostile events are shown as text: nothing runs, nothing is fetched, nothing grows; the policy blocks a script that is put in (${blocked})`);
}, { extension: false });
