// What the stories share: Chromium with the test's own signer in it, pictures, and what every view is held to. A story prints
// a line for each thing that it showed; what fails ends it with status 1.
//   usage: node STORY.mjs '{"url":…,"wallet":…,"chromium":…,"dist":…,"data":…,"program":…,"shots":…}'
import { build } from 'esbuild';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const config = JSON.parse(process.argv[2]);
export const { url } = config;
export const ws = url.replace(/^http/, 'ws').replace(/\/$/, '');
const here = import.meta.dirname, axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const began = Date.now();
export const say = (text) => console.log(`ok ${text} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
export const must = (good, text) => { if (!good) throw new Error(text); };

// connect opens a WebSocket to the relay, in an empty page of the browser: node 20 has none of its own.
export async function connect(browser, hear) {
  const page = await browser.newPage();
  await page.exposeFunction('hear', (text) => hear(JSON.parse(text)));
  await page.evaluate((relay) => new Promise((resolve, reject) => {
    window.socket = new WebSocket(relay);
    window.socket.onmessage = (m) => window.hear(m.data);
    window.socket.onopen = () => resolve();
    window.socket.onerror = reject;
  }), ws);
  return { send: (message) => page.evaluate((text) => window.socket.send(text), JSON.stringify(message)), close: () => page.close() };
}

// story runs in a browser of its own: with a signer that can be told to refuse, unless extension is false.
export async function story(run, { extension = true, args = [], ...options } = {}) {
  const place = mkdtempSync(join(tmpdir(), 'infernet-page-'));
  const given = process.env.NIP07_EXTENSION_DIR; // another signer: then its user clicks
  if (extension) {
    const dir = given || join(place, 'signer');
    if (!given) {
      cpSync(join(here, 'signer'), dir, { recursive: true });
      await build({ entryPoints: [join(here, 'signer/bg.ts')], bundle: true, outfile: join(dir, 'bg.js'), logLevel: 'error' });
    }
    args = [...args, `--disable-extensions-except=${dir}`, `--load-extension=${dir}`];
  }
  const browser = await chromium.launchPersistentContext(join(place, 'profile'), {
    executablePath: config.chromium, chromiumSandbox: false, viewport: { width: 1280, height: 860 }, locale: 'en-US', args, ...options,
  });
  const page = browser.pages()[0] ?? (await browser.newPage()), complaints = [];
  page.setDefaultTimeout(45_000);
  page.on('console', (m) => { if (m.type() === 'error') complaints.push(m.text()); });
  page.on('pageerror', (err) => complaints.push(String(err)));
  const b = {
    browser, page, complaints,
    go: (path) => page.goto(url + '#/' + path),
    async shot(name) {
      if (!config.shots) return;
      mkdirSync(config.shots, { recursive: true });
      await page.screenshot({ path: join(config.shots, name + '.png') });
    },
    // accessible holds the view to axe: nothing serious.
    async accessible(where) {
      await page.evaluate(axe + ';0').catch(() => {}); // the page's policy forbids script elements, not the debugger
      // what fades in or out has no colours of its own yet
      await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime < Infinity).map((a) => a.finished.catch(() => {}))));
      const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      const bad = found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
      must(bad.length === 0, `${where}: axe: ${bad.map((v) => `${v.id} (${v.nodes.map((n) => n.target).slice(0, 3).join(', ')}): ${v.help}`).join('; ')}`);
    },
    // deny has the signer refuse from now on, or not any more. Another's signer cannot be told.
    async deny(on) {
      if (given) return false;
      const worker = () => browser.serviceWorkers().find((w) => w.url().startsWith('chrome-extension:'));
      await (worker() ?? (await browser.waitForEvent('serviceworker', { predicate: (w) => w.url().startsWith('chrome-extension:') }))).evaluate((v) => globalThis.deny(v), on);
      return true;
    },
    async signIn() {
      await page.getByRole('button', { name: 'Sign in' }).first().click();
      await page.getByRole('button', { name: /Browser extension/ }).click();
      await page.getByRole('button', { name: 'Sign out' }).waitFor();
    },
    // connectWallet connects the play money of the daemon's customer.
    async connectWallet() {
      await b.go('settings');
      await page.locator('#main input[type=password]').fill(readFileSync(config.wallet, 'utf8').trim());
      await page.locator('#main').getByRole('button', { name: 'Connect', exact: true }).click();
      await page.getByTestId('balance').waitFor();
      return page.getByTestId('balance').innerText();
    },
    quiet(where) { must(complaints.length === 0, `the console of ${where}: ` + complaints.join(' | ')); },
  };
  try {
    await run(b);
  } catch (err) {
    await b.shot('failed').catch(() => {});
    console.error('not ok ' + (err.stack ?? err));
    console.error('the page says: ' + (await page.locator('#main').innerText({ timeout: 2000 }).catch(() => 'nothing')).replace(/\s+/g, ' ').slice(0, 1500));
    if (complaints.length) console.error('the console: ' + complaints.join(' | '));
    process.exitCode = 1;
  } finally {
    await browser.close();
    rmSync(place, { recursive: true, force: true });
  }
}
