// The page of the API, for whoever writes a program: read, found by keyboard, copied from. Argument:
// JSON with the address of Rolegate.

import { equal, must, noProblems, run, step } from './driver.mjs';
import { judge, noFaults } from './looks.mjs';

await run(async ({ newPage }, [argument]) => {
  const { url } = JSON.parse(argument);
  const page = await newPage();

  step('nobody has to sign in');
  await page.goto(`${url}api/v1`);
  await judge(page, 'api');

  step('a link leads to its operation');
  await page.click('nav[aria-label=Operations] a[href="#credentials"]');
  const heading = page.locator('#credentials');
  must(await heading.isVisible(), 'the heading of the operation is shown');

  step('the command is copied as it is written');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const command = await page.textContent('#curl-credentials');
  await page.click('[data-copy-from="curl-credentials"]');
  await page.waitForFunction(() => document.querySelector('[data-copied]').textContent !== '');
  equal(await page.evaluate(() => navigator.clipboard.readText()), command, 'what was copied');
  noProblems(page);
  noFaults();
});
