// Everything there is, with JavaScript off. Argument: the address of Rolegate.

import {
  equal, fitsWidth, isInConsole, must, newTab, noProblems, run, screenshot, signIn, step,
} from './driver.mjs';

const STAGING = '111122224444';
const DEVELOPER = `arn:aws:iam::${STAGING}:role/team/Developer`;

async function searching(page, url) {
  step('signs in and searches on the server');
  await page.goto(url);
  await signIn(page, 'ada', 'wrong');
  must(await page.isVisible('[role=alert]'), 'a wrong password is refused');
  await signIn(page, 'ada');
  equal(page.url(), url, 'the address after signing in');
  await page.fill('#search', 'staging dev');
  await page.press('#search', 'Enter');
  must(page.url().includes('?q=staging+dev'), `the search is in the address: ${page.url()}`);
  const found = await page.locator('[data-rows] [data-role-arn]').first().getAttribute('value');
  equal(found, DEVELOPER, 'the best role');
  must((await page.locator('[data-rows] mark').count()) > 0, 'what matched is marked');
  await screenshot(page, 'without-javascript-search');

  step('opens the console from the search');
  const tab = await newTab(page, () => page.locator('[data-rows] [data-role-arn]').first().click());
  await isInConsole(tab, STAGING, 'Developer', 'ada');
  await tab.close();
  await page.click('[data-clear]');
  equal(page.url(), url, 'the address after "Show all"');
}

async function choosing(page, url) {
  step('opens a role with length, read-only, region and destination of choice');
  await page.locator(`[data-all] .chip:has([value="${DEVELOPER}"]) a`).click();
  equal(new URL(page.url()).pathname, '/role', 'the page of options');
  await fitsWidth(page, 'the options');
  await page.check('[name=duration][value="1800"]');
  await page.check('[name=read_only]');
  await page.fill('[name=region]', 'eu-central-1');
  await page.fill('[name=destination]', 's3');
  const tab = await newTab(page, () => page.click('[data-role-arn]'));
  const facts = await isInConsole(tab, STAGING, 'Developer', 'ada');
  equal(facts.region, 'eu-central-1', 'the region');
  must(facts.destination.includes('/s3'), `the service, not ${facts.destination}`);
  await tab.close();

  step('shows credentials once, in every form');
  await page.click('[data-credentials]');
  equal(new URL(page.url()).pathname, '/credentials', 'the page of credentials');
  must((await page.locator('pre').first().textContent()).includes('ASIA'), 'the first form');
  await page.locator('details.format summary').nth(2).click();
  must(await page.locator('details.format pre').nth(2).isVisible(), 'another form opens');
  equal(await page.locator('[data-copy-from]:visible').count(), 0, 'buttons that cannot work');
  await page.click('text=Show my roles');
  equal(page.url(), url, 'the way back');
}

async function keeping(page, url) {
  step('keeps a favourite and gives it up');
  const favourites = page.locator('section[aria-labelledby=favourites] [data-role-arn]');
  const toggle = async (words) => {
    await page.locator(`[data-all] .chip:has([value="${DEVELOPER}"]) a`).click();
    await page.click(`text=${words}`);
    equal(page.url(), url, 'the way back');
  };
  await toggle('Add to favourites');
  equal(await favourites.first().getAttribute('value'), DEVELOPER, 'the favourite');
  await toggle('Remove from favourites');
  equal(await favourites.count(), 0, 'favourites');

  step('refreshes the roles');
  await page.click('form.refresh button');
  equal(page.url(), url, 'the address');
}

async function linking(page, url) {
  step('a deep link shows its button and opens');
  await page.goto(`${url}console/222233334444/ReadOnly?destination=lambda`);
  await page.click('[data-role-arn]');
  const facts = await isInConsole(page, '222233334444', 'ReadOnly', 'ada');
  must(facts.destination.includes('/lambda'), `the destination, not ${facts.destination}`);

  step('reads a pasted ARN');
  await page.goto(url);
  await page.fill('#search', `arn:aws:s3:::reports`);
  await page.press('#search', 'Enter');
  must(await page.isVisible('#pasted'), 'it is read');
  const tab = await newTab(page, () => page.locator('.results [data-role-arn]').first().click());
  must((await tab.textContent('#destination')).includes('reports'), 'the bucket');
  await tab.close();
}

async function leaving(page, url) {
  step('lists the sessions and signs out');
  await page.goto(url);
  await page.click('[data-menu] summary');
  await page.click('text=My sessions');
  must((await page.textContent('main')).includes('Payments staging'), 'the open role session');
  await page.click('[data-menu] summary');
  await page.click('[data-menu] form button');
  equal(new URL(page.url()).pathname, '/signed-out', 'the page after signing out');
  await page.goto(url);
  equal(new URL(page.url()).pathname, '/login', 'the picker without a session');
}

await run(async ({ newPage }, [url]) => {
  const page = await newPage({ javaScript: false });
  await searching(page, url);
  await choosing(page, url);
  await keeping(page, url);
  await linking(page, url);
  await leaving(page, url);
  noProblems(page);
});
