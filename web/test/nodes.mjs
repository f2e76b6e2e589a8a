// The owner's story: a node is claimed by the code that it shows, is seen, gets another price, which its next announcement
// carries; is paused and resumed; an alert when it goes away. Nothing is shown where the program has no owner control.
import { execFileSync } from 'node:child_process';
import { config, must, say, story, ws } from './browser.mjs';

const run = (...args) => execFileSync(config.program, [...args, '--data-dir', config.data, '--relay', ws], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

await story(async ({ page, go, shot, accessible, signIn, quiet }) => {
  await page.clock.install();
  await go('nodes');
  await page.getByText('Sign in to go on').waitFor();
  await signIn();
  await page.getByText('No nodes yet').waitFor();
  await accessible('no nodes');
  await shot('nodes-empty');
  const form = page.getByRole('form', { name: 'Add Node' }), address = form.getByRole('textbox', { name: /key/ });
  await address.fill('no such thing');
  await form.getByRole('button', { name: 'Add Node' }).click();
  await form.getByText('This is no key, IP address or domain').waitFor();
  say('without a node the view says what to do first; what is no address is said in words');
  let shown;
  try {
    shown = run('provide', 'owner', '--qr=false').trim().split('\n')[0];
  } catch {
    return say('skipped: this program has no owner control');
  }
  await address.fill(shown);
  await form.getByRole('button', { name: 'Add Node' }).click();
  const node = page.locator('main li a').first();
  await node.waitFor();
  await accessible('nodes');
  await shot('nodes');
  await node.click();
  await page.getByTestId('node-state').getByText(/ready|busy/).waitFor();
  const settings = page.getByRole('region', { name: 'Settings' });
  await settings.getByRole('textbox').first().waitFor();
  await page.getByRole('region', { name: 'Alerts' }).waitFor();
  await accessible('a node');
  await shot('node');
  say('a node is claimed by its code, and answers: state, machine, earnings, models, settings');

  await settings.getByRole('textbox', { name: 'price base', exact: true }).fill('7000');
  await settings.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved: the node has taken it over.').waitFor();
  await go('market');
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  await page.getByText('87 sat').first().waitFor(); // 7 + 20 + 60
  say('its new price is in the market');
  await page.goBack();
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByTestId('node-state').getByText('paused').waitFor();
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByTestId('node-state').getByText(/ready|busy/).waitFor();
  must(/price.base +7000/.test(run('provide', 'settings')), 'the node says another price');
  say('it is paused and resumed');
  await settings.getByRole('textbox', { name: 'hours', exact: true }).fill('never');
  await settings.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').getByText('does not take this value').waitFor();
  say('a value that the node does not take is said in words, and changes nothing');

  await page.clock.fastForward('10:00'); // no heartbeat is young any more
  await page.getByText(/is offline$/).first().waitFor();
  await go('alerts');
  await page.getByRole('link', { name: /is offline/ }).first().waitFor();
  await accessible('alerts');
  await shot('alerts');
  say('a node that is not heard any more is an alert');
  quiet('the page');
});
