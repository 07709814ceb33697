// Sign-in and sign-out through identity providers by other people, over plain HTTP. Argument: JSON
// with the addresses of Rolegates, and where people sign out at the provider behind each.

import { createServer } from 'node:http';

import {
  equal, isInConsole, must, newTab, noProblems, run, screenshot, signOut, step,
} from './driver.mjs';

const SHOP = '222233334444';
const READER = `arn:aws:iam::${SHOP}:role/ReadOnly`;
const NAME = 'campus-ada';
const LINK = `console/${SHOP}/ReadOnly?destination=s3&region=eu-central-1`;

const visiting = ({ logout }) => ({ strangers: [new URL(logout).origin] });

/** Presses the provider's button, and waits until our own form for passwords is gone. */
async function choose(page) {
  const button = page.locator('form[action="/login/campus"] button');
  await button.waitFor();
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), button.click()]);
}

/** Fills in the provider's form, which stands somewhere else than Rolegate. */
async function enter(page, url, username = 'ada') {
  await page.waitForSelector('[name=password]');
  must(!page.url().startsWith(url), `the password is asked for elsewhere than at ${page.url()}`);
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', `${username}-idp`);
  await page.press('[name=password]', 'Enter');
}

async function openFromPicker(page, url) {
  await page.waitForURL(url);
  const tab = await newTab(page, () => page.click(`[data-all] [data-role-arn="${READER}"]`));
  await isInConsole(tab, SHOP, 'ReadOnly', NAME);
  await tab.close();
}

/** By redirect or by form, whichever this Rolegate sends its requests by. */
async function thereAndBack(newPage, name, provider) {
  const { url, logout } = provider;
  const page = await newPage(visiting(provider));
  step(`${name}: signs in at the provider and opens a role`);
  await page.goto(url);
  await choose(page);
  await enter(page, url);
  await openFromPicker(page, url);

  step(`${name}: signing out here ends the session there`);
  await signOut(page);
  await page.waitForURL('**/signed-out?provider=ended');
  await page.click('a.primary');
  await choose(page);

  step(`${name}: signing out there ends the session here`);
  await enter(page, url);
  await page.waitForURL(url);
  await page.goto(logout);
  await page.waitForLoadState('networkidle');
  must(!page.url().startsWith(url), `the provider has the last word, not ${page.url()}`);
  await page.goto(url);
  await page.waitForURL('**/login?**');
  noProblems(page);
  await page.context().close();
}

async function withoutJavaScript(newPage, provider) {
  const { url } = provider;
  step('without JavaScript there are buttons on the way there and on the way back');
  const page = await newPage({ javaScript: false, ...visiting(provider) });
  await page.goto(url);
  await choose(page);
  must(page.url().startsWith(url), `our page carries the request, not ${page.url()}`);
  await screenshot(page, 'departure-without-javascript');
  await page.click('form[data-auto-submit] button');
  await enter(page, url);
  await page.click('form[action$="/acs"] button');
  await openFromPicker(page, url);
  await signOut(page);
  await page.waitForURL('**/signed-out?provider=ended');
  await page.context().close();
}

async function withTheKeyboard(newPage, provider) {
  const { url } = provider;
  step('the keyboard alone is enough');
  const page = await newPage(visiting(provider));
  const focused = (selector) => page.evaluate((s) => document.activeElement.matches(s), selector);
  await page.goto(url);
  for (let stops = 0; !(await focused('form[action="/login/campus"] button')); stops += 1) {
    must(stops < 10, 'Tab leads to the button of the provider');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.waitForSelector('[name=password]');
  await page.keyboard.press('Tab');
  await page.keyboard.type('ada');
  await page.keyboard.press('Tab');
  await page.keyboard.type('ada-idp');
  await page.keyboard.press('Enter');
  await page.waitForURL(url);
  must(await focused('#search'), 'the search has the focus');
  await page.keyboard.type('shop read');
  await page.waitForSelector('.chip.best mark');
  const tab = await newTab(page, () => page.keyboard.press('Enter'));
  await isInConsole(tab, SHOP, 'ReadOnly', NAME);
  await tab.close();

  step('the provider that was used last comes first, and has the focus');
  await signOut(page);
  await page.waitForURL('**/signed-out**');
  await page.click('a.primary');
  await page.waitForURL('**/login');
  must(await focused('form[action="/login/campus"] button'), 'the button has the focus');
  noProblems(page);
  await page.context().close();
}

async function deepLinks(newPage, provider) {
  const { url } = provider;
  step('a deep link opens its role after the provider without a further click');
  const page = await newPage(visiting(provider));
  await page.goto(url + LINK);
  await choose(page);
  await enter(page, url);
  await page.waitForSelector('#account');
  const facts = await isInConsole(page, SHOP, 'ReadOnly', NAME);
  equal(facts.region, 'eu-central-1', 'the region');
  must(facts.destination.includes('/s3'), `the destination is kept, not ${facts.destination}`);

  step('so it does while the provider asks for no password');
  await page.goto(url);
  await page.context().clearCookies({ name: 'rolegate' });
  await page.goto(url + LINK);
  await choose(page);
  await page.waitForSelector('#account');
  noProblems(page);
  await page.context().close();

  step('a link on another site waits for a click after the provider');
  const site = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><title>Wiki</title><a href="${url}${LINK}">the console</a>`);
  });
  site.unref();
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const visitor = await newPage(visiting(provider));
  await visitor.goto(`http://localhost:${site.address().port}/`);
  await visitor.click('a');
  await choose(visitor);
  await enter(visitor, url);
  await visitor.waitForSelector('form[action="/console"]');
  await visitor.waitForLoadState('networkidle');
  equal(await visitor.locator('h1').textContent(), 'Open the AWS console', 'the page');
  await visitor.click('form[action="/console"] button');
  await visitor.waitForSelector('#account');
  await isInConsole(visitor, SHOP, 'ReadOnly', NAME);
  noProblems(visitor);
  await visitor.context().close();
}

async function twoTabs(newPage, provider) {
  const { url } = provider;
  step('two tabs sign in at once and end where each began');
  const first = await newPage(visiting(provider));
  const second = await first.context().newPage();
  for (const [tab, search] of [[first, 'shop'], [second, 'read']]) {
    await tab.goto(`${url}?q=${search}`);
    await choose(tab);
    await tab.waitForSelector('[name=password]');
  }
  await enter(second, url);
  await second.waitForURL(`${url}?q=read`);
  await enter(first, url);
  await first.waitForURL(`${url}?q=shop`);
  const names = (await first.context().cookies(url)).map(({ name }) => name);
  must(!names.some((name) => name.includes('attempt')), `no attempt is left: ${names}`);
  noProblems(first);
  await first.context().close();
}

async function unasked(newPage, provider) {
  const { url, start } = provider;
  step('a sign-in that began at the provider waits for a click');
  const page = await newPage(visiting(provider));
  await page.goto(start);
  await enter(page, url);
  await page.waitForSelector('form[action$="/acs/confirm"]');
  equal(await page.locator('h1').textContent(), 'Sign in as Ada Lovelace?', 'the page');
  await page.click('form[action$="/acs/confirm"] button');
  await openFromPicker(page, url);
  noProblems(page);
  await page.context().close();
}

await run(async ({ newPage }, [json]) => {
  const { simplesamlphp, pysaml2, samlify, posting } = JSON.parse(json);
  await Promise.all([
    (async () => {
      await thereAndBack(newPage, 'SimpleSAMLphp', simplesamlphp);
      await unasked(newPage, simplesamlphp);
      await thereAndBack(newPage, 'pysaml2', pysaml2);
      await thereAndBack(newPage, 'samlify by form', posting);
    })(),
    (async () => {
      await thereAndBack(newPage, 'samlify', samlify);
      await withTheKeyboard(newPage, samlify);
      await deepLinks(newPage, samlify);
      await twoTabs(newPage, samlify);
      await withoutJavaScript(newPage, posting);
    })(),
  ]);
});
