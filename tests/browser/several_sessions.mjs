// One browser, several AWS sessions: AWS lets it hold one or five. Arguments: the address of a
// Rolegate whose stand-in is a single-session browser's, and of one whose stand-in holds five.

import {
  equal, isInConsole, must, newTab, noProblems, run, signIn, step,
} from './driver.mjs';

const arn = (account, name) => `arn:aws:iam::${account}:role/${name}`;
const ROLES = [
  ['222233334444', 'ReadOnly'],
  ['222233334444', 'ContentEditor'],
  ['222233335555', 'Developer'],
  ['222233335555', 'Preview'],
  ['333344446666', 'Analyst'],
  ['333344446666', 'Engineer'],
];

async function signedIn(newPage, url) {
  const page = await newPage();
  await page.goto(url);
  await signIn(page, 'ada');
  await page.waitForURL(url);
  return page;
}

function chip(page, place) {
  return page.locator(`[data-all] [data-role-arn="${arn(...ROLES[place])}"]`);
}

function open(page, place) {
  return newTab(page, () => chip(page, place).click());
}

async function isRefused(tab, words) {
  must((await tab.textContent('main')).includes(words), `AWS says "${words}"`);
  await tab.close();
}

async function options(page, place) {
  await chip(page, place).focus();
  await page.keyboard.press('Shift+Enter');
  await page.waitForSelector('#role-dialog[open] #role-card');
}

async function oneSession(newPage, url) {
  const page = await signedIn(newPage, url);
  step('a browser of one session refuses the second role');
  const first = await open(page, 0);
  await isInConsole(first, ...ROLES[0], 'ada');
  await isRefused(await open(page, 1), 'You must first log out');
  await isInConsole(await open(page, 0), ...ROLES[0], 'ada');

  step('"sign this browser out of AWS, then open" opens it');
  await options(page, 1);
  await page.check('#role-dialog [data-sign-out-first]');
  const second = await newTab(page, () => page.click('#role-dialog [data-role-arn]'));
  await isInConsole(second, ...ROLES[1], 'ada');
  await first.reload();
  must(!(await first.textContent('body')).includes('as ReadOnly'), 'the first role is signed out');

  step('the choice is remembered: a chip opens the next role without a refusal');
  await page.reload();
  await isInConsole(await open(page, 2), ...ROLES[2], 'ada');
  await options(page, 3);
  must(await page.isChecked('#role-dialog [data-sign-out-first]'), 'the dialog shows the choice');
  await page.uncheck('#role-dialog [data-sign-out-first]');
  await page.keyboard.press('Escape');
  await isRefused(await open(page, 3), 'You must first log out');
  noProblems(page);

  step('the page on which AWS turns several sessions on is linked, and turning them on helps');
  await options(page, 3);
  const link = new URL(await page.getAttribute('#role-dialog a[href*="opt-in"]', 'href'));
  const optIn = await page.context().newPage();
  // The link leads to AWS itself; the stand-in has the same page.
  await optIn.goto(new URL(link.pathname, second.url()).href);
  must((await optIn.textContent('main')).includes('five console sessions'), 'it is turned on');
  await optIn.close();
  await page.keyboard.press('Escape');
  await isInConsole(await open(page, 3), ...ROLES[3], 'ada');
  noProblems(page);
}

async function fiveSessions(newPage, url) {
  const page = await signedIn(newPage, url);
  step('a browser of five sessions holds five roles');
  for (let place = 0; place < 5; place += 1) {
    const tab = await open(page, place);
    await isInConsole(tab, ...ROLES[place], 'ada');
    equal(await tab.locator('#sessions li').count(), place + 1, 'the open sessions');
    await tab.close();
  }

  step('the sixth is refused, one of the five is renewed');
  await isRefused(await open(page, 5), 'five console sessions already');
  const renewed = await open(page, 2);
  await isInConsole(renewed, ...ROLES[2], 'ada');
  equal(await renewed.locator('#sessions li').count(), 5, 'the open sessions');

  step('signing the browser out of AWS makes room');
  await options(page, 5);
  await page.check('#role-dialog [data-sign-out-first]');
  const sixth = await newTab(page, () => page.click('#role-dialog [data-role-arn]'));
  await isInConsole(sixth, ...ROLES[5], 'ada');
  equal(await sixth.locator('#sessions li').count(), 1, 'the open sessions');
  noProblems(page);
}

await run(async ({ newPage }, [single, five]) => {
  await oneSession(newPage, single);
  await fiveSessions(newPage, five);
});
