// Devices and tokens under My sessions: one is made by keyboard, copied, seen in the list, signed out.

import assert from 'node:assert/strict';

import { run, step } from './driver.mjs';
import { judge } from './looks.mjs';

await run(async ({ newPage }, [address]) => {
  const page = await newPage();
  const at = (path) => new URL(path, address).href;

  step('sign in');
  await page.goto(at('/login'));
  await page.fill('[name=username]', 'ada');
  await page.fill('[name=password]', 'ada-demo');
  await Promise.all([page.waitForURL(at('/')), page.press('[name=password]', 'Enter')]);

  step('the list');
  await page.goto(at('/sessions'));
  await page.getByRole('cell', { name: 'botocore-client-corp', exact: true }).waitFor();
  await judge(page, 'tokens-list');

  step('the form');
  await page.getByRole('link', { name: 'New token' }).click();
  await page.waitForURL(at('/sessions/tokens/new'));
  await judge(page, 'tokens-new');
  await page.getByLabel('Role', { exact: true }).selectOption({ label: 'Preview' });
  await page.getByLabel('Name', { exact: true }).fill('backup on db1');
  await page.getByLabel('1 day', { exact: true }).check();
  await page.getByLabel('Name', { exact: true }).press('Enter');

  step('the token');
  await page.getByRole('heading', { name: 'Token for Preview' }).waitFor();
  const token = (await page.locator('#token').textContent()).trim();
  assert.match(token, /^rgk_[A-Za-z0-9_-]{43}$/);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy the token', exact: true }).click();
  await page.getByText('Copied.', { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
  await judge(page, 'tokens-made');

  step('use it');
  const shown = await page.locator('#text-token-sh').textContent();
  const uri = /FULL_URI='([^']+)'/.exec(shown)[1];
  const answer = await fetch(uri, { headers: { authorization: token } });
  assert.equal(answer.status, 200);
  assert.equal((await answer.json()).Code, 'Success');

  step('sign it out');
  await page.goto(at('/sessions'));
  await page.getByRole('button', { name: 'Sign out backup on db1' }).click();
  await page.waitForURL(at('/sessions'));
  assert.equal(await page.getByText('backup on db1').count(), 0);
  assert.equal((await fetch(uri, { headers: { authorization: token } })).status, 401);
  assert.deepEqual(page.problems, []);
});
