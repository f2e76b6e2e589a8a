// Comparing, a batch, and one job at several nodes.
import { must, say, story } from './browser.mjs';

await story(async ({ page, go, shot, accessible, signIn, connectWallet, quiet }) => {
  await go('market');
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  await page.getByRole('searchbox').fill('echo');
  const ticks = page.getByRole('checkbox', { name: /^Compare echo at/ });
  await ticks.nth(1).waitFor();
  must(await ticks.count() >= 2, 'there are not two nodes to compare');
  await ticks.nth(0).check();
  await ticks.nth(1).check();
  await page.getByRole('link', { name: /^Compare selected/ }).click();
  await page.getByRole('heading', { name: 'Side by side' }).waitFor();
  must(await page.getByRole('columnheader').count() === 2, 'two are compared');
  await accessible('compare');
  await shot('compare');
  say('two nodes side by side');
  await go('market');
  await page.getByRole('searchbox').fill('nothing like this');
  await page.getByText('Nothing fits these filters').waitFor();
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await page.getByRole('link', { name: /^Use echo / }).first().waitFor();
  say('filters that nothing fits are said, and cleared');

  await signIn();
  await connectWallet();
  for (const [way, button] of [[/One node/, 'Order'], [/Auction/, 'Get offers']]) {
    await go('new?model=echo');
    await page.getByRole('textbox', { name: 'Prompt' }).fill('The same twice.');
    await page.getByRole('radio', { name: way }).check();
    for (const name of [/comes back/, /Result first/]) await page.getByRole('checkbox', { name }).uncheck();
    await page.getByRole('spinbutton', { name: /Number of nodes/ }).fill('2');
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.getByText('All answers agree').waitFor();
    const names = await page.getByRole('region', { name: 'Answers compared' }).getByRole('link').allInnerTexts();
    must(names.length === 2 && names[0] !== names[1], 'the same job went to ' + names);
    await accessible('answers compared');
    await shot('copies');
  }
  say('one job at two nodes, by auction and by order: their answers are compared');

  await go('batch');
  await page.getByRole('textbox', { name: 'Prompts' }).fill(Array.from({ length: 8 }, (_, i) => (i % 2 ? `Prompt ${i}` : JSON.stringify({ prompt: `Prompt ${i}` }))).join('\n'));
  await page.getByRole('spinbutton', { name: 'At once' }).fill('2');
  await page.getByRole('button', { name: 'Run 8 jobs' }).click();
  await page.waitForFunction(() => Number(document.querySelector('[data-testid=progress]')?.textContent.split(' ')[0]) >= 2);
  await page.reload(); // in the middle
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('8 / 8 done').waitFor();
  await accessible('a batch');
  await shot('batch');
  const costs = await page.getByRole('region', { name: 'Batch' }).getByText('Prompt 7').count();
  must(costs >= 1, 'the answers are not there');
  await go('jobs');
  const jobs = await page.getByRole('region', { name: 'Jobs' }).getByRole('link', { name: /^Encrypted job|Prompt \d/ }).count();
  must(jobs <= 8 + 2, `a batch of 8 made ${jobs} jobs`);
  say('a batch of 8, interrupted by a reload, goes on: nothing is bought twice');
  quiet('the page');
});
