// Every page in light and dark, narrow and wide: axe, no sideways scrolling, a picture. Argument:
// JSON with the addresses and session cookies of Rolegates in the states that the pages show.

import { createHash } from 'node:crypto';

import { equal, isInConsole, must, noProblems, run, screenshot, signIn, step } from './driver.mjs';
import { judge, noFaults, post } from './looks.mjs';

const READER = 'arn:aws:iam::222233334444:role/ReadOnly';
const DEVELOPER = 'arn:aws:iam::111122224444:role/team/Developer';

/** A page that is shown with this status in place of what was asked for. */
async function refusal(page, url, name, status, path, fields) {
  step(name);
  await page.goto(url);
  await post(page, path, fields);
  equal(Number(await page.getAttribute('[data-status]', 'data-status')), status, `the status of ${name}`);
  await judge(page, name, { isKnown: name !== 'error-not-entitled' });
}

async function signInPages(newPage, { main, broken }) {
  const page = await newPage();
  step('sign-in');
  await page.goto(main.url);
  await judge(page, 'sign-in');
  step('sign-in, refused');
  await signIn(page, 'ada', 'wrong');
  await judge(page, 'sign-in-refused');
  step('sign-in after the session expired');
  await page.goto(`${main.url}login?next=%2Fsessions&expired=1`);
  await judge(page, 'sign-in-expired');
  step('sign-in on a page that was too old');
  await post(page, '/login/corp', { username: 'ada', password: 'ada-demo', csrf_token: 'x' });
  await judge(page, 'sign-in-form-expired', { isKnown: true });
  step('sign-in, too often');
  for (let attempt = 0; ; attempt += 1) {
    must(attempt < 30, 'thirty wrong passwords are too many');
    await signIn(page, 'nobody', 'wrong');
    await page.waitForSelector('[role=alert]');
    if ((await page.textContent('[role=alert]')).includes('too many')) break;
  }
  await judge(page, 'sign-in-throttled', { isKnown: true });
  step('sign-in while the directory is down');
  await page.goto(broken.url);
  await signIn(page, 'ada');
  await page.waitForSelector('[role=alert]');
  await judge(page, 'sign-in-directory-down', { isKnown: true });
  noProblems(page);
  await page.context().close();
}

/** A page that is signed in at a Rolegate by the cookie that the test brought along. */
async function signedIn(newPage, { url, cookies }) {
  const page = await newPage();
  await page.context().addCookies(
    Object.entries(cookies).map(([name, value]) => ({ name, value, url, httpOnly: true })),
  );
  return page;
}

async function pickerPages(newPage, { main, empty, large }) {
  const page = await signedIn(newPage, main);
  step('picker with favourites, recent and open roles');
  await page.goto(main.url);
  must(await page.isVisible('section.opened'), 'a role is open');
  const bytes = await page.evaluate(() => performance.getEntries()
    .reduce((sum, entry) => sum + (entry.transferSize ?? 0), 0));
  must(bytes > 5_000 && bytes < 30_000, `the first page with all it loads is below 30 KB, not ${bytes}`);
  await judge(page, 'picker');
  step('search');
  await page.fill('#search', 'prod adm');
  await page.waitForSelector('.chip.best mark');
  await judge(page, 'picker-search');
  step('search without a result');
  await page.fill('#search', 'zebra');
  await page.waitForFunction(() => document.querySelector('[data-count]').textContent === 'No role fits.');
  await judge(page, 'picker-nothing-found');
  step('pasted ARN');
  await page.goto(`${main.url}?q=${encodeURIComponent('arn:aws:lambda:eu-central-1:111122224444:function:settle-payments')}`);
  await judge(page, 'picker-pasted');
  step('pasted ARN of an account without a role');
  await page.goto(`${main.url}?q=arn:aws:sqs:eu-west-1:999900001111:orders`);
  await judge(page, 'picker-pasted-without-role');
  step('options in a dialog');
  await page.goto(main.url);
  await page.locator(`[data-all] .chip:has([value="${DEVELOPER}"]) a`).click();
  await page.waitForSelector('#role-dialog[open]');
  await judge(page, 'role-dialog');
  step('account menu');
  await page.goto(main.url);
  await page.click('[data-menu] summary');
  await judge(page, 'menu');
  step('keys');
  await page.goto(main.url);
  await page.click('[data-keys]');
  await judge(page, 'keys');
  noProblems(page);
  await page.context().close();

  step('picker without a role');
  const nobody = await signedIn(newPage, empty);
  await nobody.goto(empty.url);
  await judge(nobody, 'picker-empty');
  noProblems(nobody);
  await nobody.context().close();

  step('picker with 10,000 roles');
  const much = await signedIn(newPage, large);
  await much.goto(large.url);
  await judge(much, 'picker-10000', { isKnown: true });
  await much.fill('#search', 'account 0777 operator');
  await much.waitForSelector('.chip.best mark');
  must((await much.textContent('[data-rows]')).includes('Account 0777'), 'the search finds one of a thousand accounts');
  await screenshot(much, 'picker-10000-search-1280-light');
  noProblems(much);
  await much.context().close();
}

async function rolePages(newPage, { main }) {
  const page = await signedIn(newPage, main);
  const role = (arn) => `${main.url}role?arn=${encodeURIComponent(arn)}`;
  step('options of a role');
  await page.goto(role(DEVELOPER));
  await judge(page, 'role');
  step('options of a role that asks for a reason and ends soon');
  await page.goto(role(main.asking));
  must(await page.isVisible('#reason'), 'it asks for a reason');
  await judge(page, 'role-reason');
  step('deep link');
  await page.goto(`${main.url}console/222233334444/ReadOnly?destination=s3&region=eu-central-1&confirm=1`);
  await judge(page, 'deep-link');
  step('deep link of a role that asks for a reason');
  await page.goto(`${main.url}console/${main.asking.split(':')[4]}/${main.asking.split('/').at(-1)}`);
  await judge(page, 'deep-link-reason');
  step('credentials');
  await page.goto(main.url);
  await post(page, '/credentials', { role: READER });
  await judge(page, 'credentials');
  step('sessions');
  await page.goto(`${main.url}sessions`);
  await judge(page, 'sessions');
  noProblems(page);
  await page.context().close();
}

async function errorPages(newPage, all) {
  const { main, gone, broken, silent, denied, garbled, locked } = all;
  const page = await signedIn(newPage, main);
  const refused = (...rest) => refusal(page, main.url, ...rest);
  await refused('error-not-entitled', 403, '/console', { role: 'arn:aws:iam::111122223333:role/team/Support' });
  await refused('error-form-expired', 403, '/console', { role: READER, csrf_token: 'x' });
  await refused('error-bad-input', 400, '/console', { role: READER, destination: 'https://example.org/' });
  await refused('error-access-ended', 403, '/console', { role: main.ended });
  await refused('error-ends-too-soon', 403, '/console', { role: main.ending });
  await refused('error-condition', 403, '/console', { role: main.conditional });
  await refused('error-reason-required', 400, '/console', { role: main.asking });
  await refused('error-too-long', 400, '/console', { role: READER, duration: '12h' });
  await page.click('form[action="/console"] button');
  await isInConsole(page, '222233334444', 'ReadOnly', 'ada');
  await refused('error-read-only-unavailable', 400, '/console', { role: main.narrowed, read_only: 'true' });
  await refused('error-too-large', 413, '/console', { role: READER, reason: 'x'.repeat(2_000_000) });
  for (const [name, status, path] of [['error-not-found', 404, 'nowhere'], ['error-not-a-page', 405, 'console']]) {
    step(name);
    await page.goto(main.url + path);
    equal(Number(await page.getAttribute('[data-status]', 'data-status')), status, `the status of ${name}`);
    await judge(page, name, { isKnown: true });
  }
  noProblems(page);
  await page.context().close();

  const others = [
    [gone, 'error-account-gone', 403, '/refresh', {}],
    [broken, 'error-directory-down', 503, '/refresh', {}],
    [silent, 'error-aws-down', 503, '/console', { role: READER }],
    [denied, 'error-role-refused', 502, '/console', { role: READER }],
    [garbled, 'error-sign-in-endpoint', 502, '/console', { role: READER }],
    [locked, 'error-store', 503, '/console', { role: READER }],
  ];
  for (const [rolegate, ...rest] of others) {
    const other = await signedIn(newPage, rolegate);
    await refusal(other, rolegate.url, ...rest);
    noProblems(other);
    await other.context().close();
  }
}

/** Presses the provider's button, and waits until our own form for passwords is gone. */
async function choose(page) {
  const button = page.locator('form[action="/login/campus"] button');
  await button.waitFor();
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), button.click()]);
}

async function atProvider(page, username) {
  await page.waitForSelector('[name=password]');
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', `${username}-idp`);
  await page.press('[name=password]', 'Enter');
}

async function isRefused(page, name, heading) {
  await page.waitForSelector(`[data-status] h1:text-is("${heading}")`);
  await judge(page, name, { isKnown: true });
}

async function providerSignInPages(newPage, { campus, strict, posting }) {
  const page = await newPage();
  step('sign-in by password or at a provider');
  await page.goto(campus.url);
  await judge(page, 'sign-in-with-provider');
  step('sign-in at a provider');
  await page.context().addCookies([{ name: 'rolegate-connector', value: 'campus', url: campus.url }]);
  await page.goto(campus.url);
  await judge(page, 'sign-in-provider-first');
  await page.evaluate(() => document.querySelectorAll('.other').forEach((other) => other.remove()));
  await judge(page, 'sign-in-provider-alone', { isKnown: true });

  await refusal(page, campus.url, 'error-answer-refused', 403, '/saml/campus/acs', { SAMLResponse: 'x' });
  step('error-logout-refused');
  await page.goto(`${campus.url}saml/campus/slo?SAMLRequest=x`);
  await isRefused(page, 'error-logout-refused', 'You may still be signed in');
  step('error-other-browser');
  await page.goto(campus.url);
  await choose(page);
  await page.waitForSelector('[name=password]');
  await page.context().clearCookies({ name: /^rolegate/ });
  await atProvider(page, 'ada');
  await isRefused(page, 'error-other-browser', 'This sign-in was begun elsewhere');
  await page.context().clearCookies();
  step('error-groups-overage');
  await page.goto(campus.url);
  await choose(page);
  await atProvider(page, 'grace');
  await isRefused(page, 'error-groups-overage', 'Your groups did not come along');
  step('error-start-here');
  await page.context().clearCookies();
  await page.goto(strict.start);
  await atProvider(page, 'ada');
  await isRefused(page, 'error-start-here', 'Please start here');
  for (const end of ['ended', 'open']) {
    step(`signed out, ${end} at the provider`);
    await page.goto(`${campus.url}signed-out?provider=${end}`);
    await judge(page, `signed-out-${end}`, { isKnown: true });
  }
  step('departure');
  // Its script would be gone before anybody could look.
  await page.route('**/auto-submit.*', (route) => route.abort());
  await page.goto(posting.url);
  await choose(page);
  await page.waitForSelector('form[data-auto-submit]');
  await judge(page, 'departure');
  await page.context().close();
}

async function providerRolePages(newPage, { campus }) {
  const page = await newPage({ strangers: [new URL(campus.start).origin] });
  step('a sign-in that began at the provider');
  await page.goto(campus.start);
  await atProvider(page, 'ada');
  await page.waitForSelector('form[action$="/acs/confirm"]');
  await judge(page, 'confirm-sign-in');
  await page.click('form[action$="/acs/confirm"] button');
  await page.waitForURL(campus.url);
  step('picker with a role that opens at the provider');
  await judge(page, 'picker-at-provider', { isKnown: true });
  step('role that opens at the provider');
  await page.goto(`${campus.url}role?arn=${encodeURIComponent(campus.handed_over)}&back=1`);
  await judge(page, 'role-at-provider');
  step('sessions of somebody from a provider');
  await page.goto(`${campus.url}sessions`);
  await judge(page, 'sessions-of-provider', { isKnown: true });
  const refused = (...rest) => refusal(page, campus.url, ...rest);
  await refused('error-console-only', 400, '/credentials', { role: campus.handed_over });
  await refused('error-not-asserted', 403, '/console', { role: campus.vouched });

  step('on from the provider to a deep link');
  const next = '/console/222233334444/ReadOnly';
  const value = createHash('sha256').update(next).digest('hex');
  await page.context().addCookies([{ name: 'rolegate-onward', value, url: campus.url }]);
  // With no content to show, the page that would go on at once stays.
  await page.route('**/console/**', (route) => route.fulfill({ status: 204 }));
  await page.goto(`${campus.url}signed-in?next=${encodeURIComponent(next)}`);
  await page.waitForSelector(`a[href="${next}"]`);
  await judge(page, 'signed-in');
  noProblems(page);
  await page.context().close();
}

async function lastPage(newPage, { main }) {
  step('signed out');
  const page = await newPage();
  await page.goto(`${main.url}signed-out`);
  await judge(page, 'signed-out');
  noProblems(page);
}

await run(async ({ newPage }, [json]) => {
  const all = JSON.parse(json);
  // Two at a time: there are two cores.
  await Promise.all([
    (async () => {
      await signInPages(newPage, all);
      await rolePages(newPage, all);
      await lastPage(newPage, all);
      await providerSignInPages(newPage, all);
      await providerRolePages(newPage, all);
    })(),
    pickerPages(newPage, all).then(() => errorPages(newPage, all)),
  ]);
  noFaults();
});
