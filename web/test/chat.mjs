// A conversation, and the ways to pay that need no connection: a QR code that somebody else pays, and the browser's wallet.
import { execFileSync } from 'node:child_process';
import { config, must, say, story } from './browser.mjs';

const pay = (invoice) => JSON.parse(execFileSync(config.program, ['wallet', 'pay', invoice, '--json', '--data-dir', config.data, '--relay', config.url.replace(/^http/, 'ws').replace(/\/$/, '')], { encoding: 'utf8' })).preimage;

await story(async ({ browser, page, go, shot, accessible, signIn, connectWallet, quiet }) => {
  let paid = 0;
  await page.exposeFunction('walletPays', (invoice) => { paid++; return pay(invoice); });
  await page.addInitScript(() => { window.webln = { enable: async () => {}, sendPayment: async (invoice) => ({ preimage: await window.walletPays(invoice) }) }; });
  await go('market');
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  await signIn();
  const prepaid = async (prompt) => {
    await go('new');
    await page.getByRole('combobox', { name: 'Model', exact: true }).selectOption('echo');
    await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt);
    for (const name of [/comes back/, /Result first/]) await page.getByRole('checkbox', { name }).uncheck();
    await page.getByRole('button', { name: 'Get offers' }).click();
  };
  const bought = async (prompt) => {
    await page.getByTestId('receipt').getByText('Signed by the node').waitFor();
    must((await page.getByTestId('answer').innerText()).trim() === prompt, 'another answer');
  };
  await prepaid('Paid by a code.');
  const code = page.getByRole('region', { name: 'Pay this invoice' });
  await code.getByRole('img').waitFor();
  await shot('pay-qr');
  await accessible('an invoice');
  pay(await code.locator('code').innerText());
  await bought('Paid by a code.');
  say('without a wallet the invoice is a QR code; the job goes on once somebody has paid it');

  await go('settings');
  await page.getByRole('button', { name: /WebLN/ }).click();
  await prepaid('Paid by the browser’s wallet.');
  await bought('Paid by the browser’s wallet.');
  await page.getByTestId('receipt').getByText('Payment proven').waitFor();
  must(paid === 1, 'the browser’s wallet paid ' + paid + ' times');
  say('the browser’s wallet (WebLN) pays');
  await go('settings');
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await connectWallet();

  await go('chat');
  const log = page.getByRole('log'), turn = async (text) => {
    await page.getByRole('textbox', { name: 'Write a message' }).fill(text);
    await page.keyboard.press('Enter');
  };
  await page.getByRole('combobox', { name: 'Model' }).selectOption({ label: (await page.locator('option', { hasText: 'echo ·' }).first().innerText()).trim() });
  await turn('Hello, sea.');
  await log.getByText('Receipt').first().waitFor();
  await turn('And again?');
  await page.waitForFunction(() => document.querySelectorAll('[role=log] a').length === 2);
  await accessible('chat');
  await shot('chat');
  await page.reload();
  await log.getByText('And again?').first().waitFor();
  say('two turns of a conversation, encrypted to one node, each with its receipt; it is there after a reload');
  quiet('the page');
});
