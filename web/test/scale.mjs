// A thousand nodes and ten thousand jobs: only what is in sight is drawn. Times are printed, not judged: machines differ.
import { must, say, story } from './browser.mjs';

await story(async ({ page, go, shot, signIn, quiet }) => {
  await go('market');
  await signIn();
  await page.evaluate(async () => {
    const hex = (n, length = 64) => n.toString(16).padStart(length, '0'), now = Math.floor(Date.now() / 1000), sig = '0'.repeat(128);
    const me = await window.nostr.getPublicKey(), market = [], jobs = [];
    for (let i = 1; i <= 1000; i++) {
      const pubkey = hex(i), models = Array.from({ length: 3 }, (_, k) => ({ id: `model-${(i + k) % 200}-${1 + ((i + k) % 70)}b`, kinds: [5050], context: 8192, price: { base: 0, in: 1000 + i * 10, out: 3000 + k } }));
      market.push({ id: 'a' + pubkey, ev: { id: hex(i), pubkey, created_at: now, kind: 31990, sig, tags: [['d', 'x'], ['k', '5050']], content: JSON.stringify({ name: `node ${i}`, market: { v: 1, models, concurrency: 2, pay: ['prepaid'], delivery: ['plain', 'encrypted'], gpus: [{ name: i % 2 ? 'RTX 4090' : 'A100', vram_mb: 24000 }] } }) } });
      market.push({ id: 'b' + pubkey, ev: { id: hex(i + 5000), pubkey, created_at: now, kind: 11998, sig, content: '', tags: [['status', 'ready'], ['k', '5050'], ['capacity', '2'], ['load', '1'], ['queue', '0'], ['expiration', String(now + 360)]] } });
    }
    for (let i = 1; i <= 10_000; i++) {
      const id = hex(1e6 + i), at = now - i * 60, node = hex(1 + (i % 1000)), deadline = String(at + 300);
      const req = { id, pubkey: me, created_at: at, kind: 5050, sig, content: '', tags: [['i', `Prompt number ${i}`, 'text'], ['bid', '100000'], ['bids', '2', 'auto'], ['profile', 'infernet/1'], ['deadline', deadline], ['expiration', String(at + 604800)]] };
      const award = { id: hex(2e6 + i), pubkey: me, created_at: at + 2, kind: 7000, sig, content: '', tags: [['e', id], ['p', node], ['status', 'processing'], ['step', 'award'], ['offer', hex(3e6 + i)], ['amount', '32000'], ['until', String(at + 17)]] };
      const result = { id: hex(4e6 + i), pubkey: node, created_at: at + 5, kind: 6050, sig, content: `Answer ${i}`, tags: [['e', id], ['p', me], ['status', 'success'], ['model', 'model-1'], ['usage', '5', '5']] };
      jobs.push({ id, owner: me, req, events: [{ ev: award }, { ev: result }], facts: { hash: hex(5e6 + i), amount: 32000, tookMs: 1000 + (i % 500), max: 100000 }, log: [] });
    }
    const db = await new Promise((resolve, reject) => { const ask = indexedDB.open('infernet', 1); ask.onsuccess = () => resolve(ask.result); ask.onerror = reject; });
    const tx = db.transaction(['market', 'jobs'], 'readwrite');
    for (const row of market) tx.objectStore('market').put(row);
    for (const row of jobs) tx.objectStore('jobs').put(row);
    await new Promise((resolve, reject) => { tx.oncomplete = resolve; tx.onabort = reject; });
    db.close();
  });
  // timed says how long it takes until the next frame after something was done is drawn.
  const timed = (what) => page.evaluate(async (what) => {
    const box = document.querySelector('main input[type=search]'), list = document.querySelector('main [role=region]');
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    await frame();
    const began = performance.now();
    if (what === 'scroll') list.scrollTop += 20_000;
    else {
      box.value = what;
      box.dispatchEvent(new Event('input', { bubbles: true }));
    }
    await frame();
    return Math.round(performance.now() - began);
  }, what);
  const drawn = () => page.locator('main tbody tr').count(), figures = [];
  await page.reload();
  const paint = await page.evaluate(() => new Promise((resolve) => {
    const have = performance.getEntriesByName('first-contentful-paint')[0];
    if (have) return resolve(Math.round(have.startTime));
    new PerformanceObserver((list) => { const e = list.getEntriesByName('first-contentful-paint')[0]; if (e) resolve(Math.round(e.startTime)); }).observe({ type: 'paint', buffered: true });
  }));
  await page.getByRole('button', { name: /^Models 3,\d{3}/ }).waitFor();
  must(await drawn() < 100, `${await drawn()} rows are drawn of 3,000`);
  figures.push(`first paint ${paint} ms`, `market: filter ${await timed('4090')} ms, scroll ${await timed('scroll')} ms`);
  must(await drawn() < 100, 'too many rows are drawn');
  await shot('market-1000');
  await go('jobs');
  await page.getByText('10,000 rows').waitFor();
  must(await drawn() < 100, `${await drawn()} rows are drawn of 10,000`);
  figures.push(`jobs: filter ${await timed('number 99')} ms, scroll ${await timed('scroll')} ms`);
  await page.getByText(/^\d+ rows$/).waitFor();
  await timed('');
  await page.getByRole('button', { name: 'Cost' }).click();
  must(await drawn() < 100, 'too many rows are drawn');
  await shot('jobs-10000');
  say('1,000 nodes and 10,000 jobs: only what is in sight is drawn; ' + figures.join('; '));
  quiet('the page');
});
