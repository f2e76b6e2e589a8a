// Buying: sign in, refuse once, buy by auction and of one node with play money, watch it stream, verify the receipts; then
// every view in light and dark, on a phone, a tablet and a desktop.
import { must, say, story } from './browser.mjs';

await story(async ({ page, go, shot, accessible, deny, signIn, connectWallet, quiet }) => {
  await go('market');
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  say('the market shows the node');
  await accessible('market');
  await signIn();
  say('signed in by the extension');
  const before = await connectWallet();
  say(`the wallet has ${before}`);
  await accessible('settings');

  async function order(way, prompt) {
    await go('market');
    await page.getByRole('link', { name: /^Use echo / }).first().click();
    await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
    if (way === 'auction') await page.getByRole('radio', { name: /Auction/ }).check();
    await page.getByLabel('Maximum cost (sat)').fill('1000');
    for (const name of [/comes back/, /Result first/]) await page.getByRole('checkbox', { name }).uncheck(); // prepaid: it streams
    await page.getByRole('button', { name: way === 'auction' ? 'Get offers' : 'Order', exact: true }).click();
  }
  if (await deny(true)) {
    await order('auction', 'refused');
    await page.getByRole('alert').filter({ hasText: 'said no' }).waitFor();
    await deny(false);
    say('a refused signature sends nothing, and is said in words');
  }
  async function bought(way, prompt) {
    await order(way, prompt);
    await page.waitForURL(/#\/jobs\/[0-9a-f]{64}/);
    const answer = page.getByTestId('answer');
    await answer.waitFor();
    await page.getByTestId('receipt').getByText('Payment proven').waitFor();
    await page.getByTestId('receipt').getByText('Signed by the node').waitFor();
    const receipt = await page.getByTestId('receipt').innerText();
    must(!/does not hold/.test(receipt), 'the receipt: ' + receipt);
    await page.getByText('completed').first().waitFor();
    must((await answer.innerText()).trim() === prompt, 'the answer is another than the node gives: ' + (await answer.innerText()));
    say(`${way}: an answer of ${(await answer.innerText()).length} characters, paid ${await page.getByTestId('cost').innerText()}, receipt verified in the page`);
    await accessible('job');
    await shot('job-' + way);
  }
  await bought('auction', 'Write one sentence about the sea.');
  await bought('direct', 'Write one sentence about the moon.');
  await go('settings');
  await page.waitForFunction((was) => { const b = document.querySelector('[data-testid=balance]'); return b && b.textContent !== was; }, before);
  say(`the wallet has ${await page.getByTestId('balance').innerText()}`);

  const views = ['market', 'new', 'chat', 'jobs', 'nodes', 'alerts', 'settings'];
  for (const view of views) {
    await go(view);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await accessible(view);
  }
  for (const scheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [size, width, height] of [['phone', 390, 844], ['tablet', 820, 1180], ['desktop', 1280, 860]]) {
      await page.setViewportSize({ width, height });
      for (const view of views) {
        await go(view);
        await page.getByRole('heading', { level: 1 }).waitFor();
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        must(wide <= 0, `${view} is ${wide} pixels too wide on a ${size}`);
        await shot(`${view}-${size}-${scheme}`);
      }
    }
    await accessible('settings ' + scheme);
  }
  say('axe finds nothing serious in any view, and none is wider than a phone, a tablet or a desktop, dark and light');
  quiet('the page');
});
