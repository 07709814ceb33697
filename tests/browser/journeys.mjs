// Sign in, find a role, land in the console: by search, by deep link, by pasting; and what the
// pages remember. Argument: the address of Rolegate.

import { createServer } from 'node:http';

import {
  consoleFacts, equal, isInConsole, must, newTab, noProblems, run, signIn, step,
} from './driver.mjs';

const SHOP = '222233334444';
const STAGING = '111122224444';

/** Another site that links here: `localhost` and `127.0.0.1` are two sites to a browser. */
async function otherSite(target) {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><title>Wiki</title><a href="${target}">the shop's console</a>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://localhost:${server.address().port}/`, close: () => server.close() };
}

/** Ends the page's sign-in session from another browser of the same person. */
async function expire(newPage, url, username) {
  const other = await newPage();
  await other.goto(url);
  await signIn(other, username);
  await other.goto(`${url}sessions`);
  await other.click('form[action="/sessions/sign-out-everywhere"] button');
  await other.waitForURL('**/signed-out');
  await other.context().close();
}

async function searchAndEnter(page, url) {
  step('signs in, finds a role by typing and opens it with Enter');
  await page.goto(url);
  await signIn(page, 'ada');
  await page.waitForURL(url);
  equal(await page.evaluate(() => document.activeElement.id), 'search', 'the focus');
  await page.keyboard.type('shop prod edit');
  await page.waitForSelector('.chip.best mark');
  const tab = await newTab(page, () => page.keyboard.press('Enter'));
  await isInConsole(tab, SHOP, 'ContentEditor', 'ada');
  equal(page.url().startsWith(url), true, 'the picker stays where it was');
  equal(await tab.evaluate(() => opener === null && document.referrer), '', 'what the tab knows');

  step('the console session that expired leads back to the same role');
  const link = await tab.getAttribute('#issuer', 'href');
  must(link.startsWith(`${url}console/${SHOP}/ContentEditor`), `the way back, not ${link}`);
  await tab.close();

  step('shows what is open and what was opened last');
  await page.goto(url);
  await page.waitForSelector('section.opened li');
  must((await page.textContent('section.opened')).includes('ContentEditor'), 'it is shown as open');
  const again = await newTab(page, () => page.click('section.opened button'));
  await isInConsole(again, SHOP, 'ContentEditor', 'ada');
  await again.close();
}

async function pasting(page, url) {
  step('pastes an ARN and lands on ranked roles, then at the resource');
  await page.goto(url);
  const arn = `arn:aws:lambda:eu-central-1:${STAGING}:function:settle-payments`;
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text', text);
    const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
    document.getElementById('search').dispatchEvent(paste);
  }, arn);
  await page.waitForSelector('#pasted');
  const accounts = await page.locator('.results:not([data-results]) [data-account-id]')
    .evaluateAll((rows) => rows.map((row) => row.dataset.accountId));
  equal(accounts.join(), STAGING, 'the accounts offered');
  equal(await page.evaluate(() => document.activeElement.id), 'search', 'the focus');
  const tab = await newTab(page, () => page.keyboard.press('Enter'));
  const facts = await consoleFacts(tab);
  equal(facts.account, STAGING, 'the account');
  equal(facts.region, 'eu-central-1', 'the region');
  must(facts.destination.includes('settle-payments'), `the function, not ${facts.destination}`);
  await tab.close();

  step('opens a pasted console address with the options of a role');
  await page.goto(`${url}?q=${encodeURIComponent('https://eu-west-1.console.aws.amazon.com/s3/buckets/reports')}`);
  await page.click('.results:not([data-results]) .chip a >> nth=0');
  await page.waitForSelector('#role-dialog[open] #role-card');
  must((await page.inputValue('#destination')).includes('reports'), 'the destination is in the dialog');
  const other = await newTab(page, () => page.click('#role-dialog [data-role-arn]'));
  must((await consoleFacts(other)).destination.includes('/s3/buckets/reports'), 'the bucket');
  await other.close();
}

async function deepLinks(newPage, page, url) {
  const link = `console/${SHOP}/ReadOnly?destination=s3&region=eu-central-1`;
  step('a deep link opens by itself in a browser that is signed in');
  await page.goto(url + link);
  await page.waitForSelector('#account');
  equal((await isInConsole(page, SHOP, 'ReadOnly', 'ada')).region, 'eu-central-1', 'the region');

  step('a deep link whose sign-in had expired asks for it and goes on');
  await expire(newPage, url, 'ada');
  await page.goto(url + link);
  await page.waitForURL('**/login?**');
  must((await page.textContent('[role=alert]')).includes('signed out'), 'it says why');
  await signIn(page, 'ada');
  await page.waitForSelector('#account');
  const facts = await isInConsole(page, SHOP, 'ReadOnly', 'ada');
  must(facts.destination.includes('/s3'), `the destination is kept, not ${facts.destination}`);
  equal(facts.region, 'eu-central-1', 'the region');

  step('coming back does not open it again');
  await page.goBack();
  await page.waitForSelector('form[action="/console"]');
  equal(await page.locator('h1').textContent(), 'Open the AWS console', 'the page');

  for (const [isSignedIn, words] of [[true, 'signed in'], [false, 'signed out']]) {
    step(`a link on another site waits for a click (${words})`);
    const site = await otherSite(url + link);
    const visitor = await newPage();
    if (isSignedIn) {
      await visitor.goto(url);
      await signIn(visitor, 'ada');
      await visitor.waitForURL(url);
    }
    await visitor.goto(site.url);
    await visitor.click('a');
    if (!isSignedIn) {
      await visitor.waitForSelector('[name=password]');
      await signIn(visitor, 'ada');
    }
    await visitor.waitForSelector('form[action="/console"]');
    // Long enough for a script to have posted: the page is idle and still there.
    await visitor.waitForLoadState('networkidle');
    equal(await visitor.locator('h1').textContent(), 'Open the AWS console', 'the page');
    await visitor.click('form[action="/console"] button');
    await visitor.waitForSelector('#account');
    await isInConsole(visitor, SHOP, 'ReadOnly', 'ada');
    noProblems(visitor);
    await visitor.context().close();
    site.close();
  }
}

async function signInPage(newPage, url) {
  step('a wrong password keeps the user name and the focus on the password');
  const page = await newPage();
  await page.goto(url);
  await signIn(page, 'ada', 'wrong');
  await page.waitForSelector('[role=alert]');
  equal(await page.inputValue('[name=username]'), 'ada', 'the user name');
  equal(await page.inputValue('[name=password]'), '', 'the password');
  equal(await page.evaluate(() => document.activeElement.name), 'password', 'the focus');

  step('says that Caps Lock is on, and that it is off again');
  const capsLock = (isOn) => page.evaluate((modifierCapsLock) => {
    const key = new KeyboardEvent('keyup', { key: 'A', bubbles: true, modifierCapsLock });
    document.activeElement.dispatchEvent(key);
  }, isOn);
  await capsLock(true);
  equal(await page.textContent('[data-caps-lock]'), 'Caps Lock is on.', 'the hint');
  await capsLock(false);
  equal(await page.textContent('[data-caps-lock]'), '', 'the hint');
  noProblems(page);
  await page.context().close();

  step('a sign-in that expired comes back to the same place');
  const other = await newPage();
  await other.goto(`${url}?q=staging`);
  await signIn(other, 'ada');
  await other.waitForURL('**/?q=staging');
  await expire(newPage, url, 'ada');
  await other.reload();
  await other.waitForURL('**/login?**');
  must((await other.textContent('[role=alert]')).includes('signed out'), 'it says why');
  await signIn(other, 'ada');
  await other.waitForURL('**/?q=staging');
  noProblems(other);
  await other.context().close();
}

async function remembering(page, url) {
  step('favourites survive a reload');
  await page.goto(url);
  const role = page.locator(`[data-all] [data-role-arn="arn:aws:iam::${SHOP}:role/ReadOnly"]`);
  await role.focus();
  await Promise.all([
    page.waitForResponse((response) => response.url().endsWith('/favourites')),
    page.keyboard.press('f'),
  ]);
  await page.reload();
  equal(await page.locator('section[aria-labelledby=favourites] .star').count(), 1, 'favourites');
  await role.focus();
  await Promise.all([
    page.waitForResponse((response) => response.url().endsWith('/favourites')),
    page.keyboard.press('f'),
  ]);
  await page.reload();
  equal(await page.locator('#favourites').count(), 0, 'favourites');

  step('refreshes the roles and says as of when they are');
  await page.click('form.refresh button');
  await page.waitForURL(url);
  must(/as of .*\d\d:\d\d/.test(await page.textContent('form.refresh')), 'it says as of when');

  step('remembers light or dark');
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await colour();
  await page.click('[data-menu] summary');
  await page.click('[data-theme-switch] [value=dark]');
  must((await colour()) !== light, 'it turns dark');
  const dark = await colour();
  await page.reload();
  equal(await colour(), dark, 'the colour after a reload');
  equal(await page.getAttribute('html', 'data-theme'), 'dark', 'what the server sends');
  await page.click('[data-menu] summary');
  await page.click('[data-theme-switch] [value=""]');
  equal(await colour(), light, 'the colour of the device again');
}

await run(async ({ newPage }, [url]) => {
  const page = await newPage();
  await searchAndEnter(page, url);
  await pasting(page, url);
  await deepLinks(newPage, page, url);
  noProblems(page);
  await signInPage(newPage, url);
  await page.goto(url);
  if (new URL(page.url()).pathname === '/login') await signIn(page, 'ada');
  await remembering(page, url);
  noProblems(page);
});
