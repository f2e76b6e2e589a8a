// No network: the page opens, with what it has seen. And nothing but a static file server: the same page, an extension, and a
// relay elsewhere.
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { config, must, say, story, url, ws } from './browser.mjs';

await story(async ({ browser, page, complaints, go, shot, signIn, connectWallet }) => {
  await go('market');
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  await signIn();
  await connectWallet();
  await go('new');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Something to remember.');
  await page.getByRole('button', { name: 'Get offers' }).click();
  await page.getByText('completed').first().waitFor();
  const listed = () => page.getByRole('region', { name: 'Jobs' }).getByText(/completed|delivered/).first().waitFor();
  await go('jobs');
  await listed();
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  await browser.setOffline(true);
  await page.reload();
  await page.getByText('Offline').waitFor();
  await listed();
  await shot('offline');
  await go('market');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await browser.setOffline(false);
  await page.getByText('1 relay').waitFor();
  say('without a network the page opens, with the jobs that were bought; and connects when it is back');

  const types = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', webmanifest: 'application/manifest+json' };
  const server = createServer((q, a) => {
    const file = join(config.dist, new URL(q.url, 'http://x').pathname.replace(/\/$/, '/index.html'));
    if (file.includes('..') || !existsSync(file)) return a.writeHead(404).end();
    a.writeHead(200, { 'Content-Type': types[file.split('.').pop()] ?? 'application/octet-stream' }).end(readFileSync(file));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  server.unref();
  complaints.length = 0;
  const other = `http://127.0.0.1:${server.address().port}/?relay=${encodeURIComponent(ws)}`;
  await page.goto(other);
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  await signIn();
  await page.goto(other + '#/jobs');
  await listed();
  must(complaints.filter((c) => !/404/.test(c)).length === 0, 'the console of the static page: ' + complaints.join(' | '));
  await shot('static');
  say('from a static file server: the market, the extension, and the jobs out of the relay');
});
