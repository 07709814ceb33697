// Sign-in and sign-out through an identity provider as in production: https, and the provider on
// another site. Argument: JSON with the origins that browsers see, the loopback ports behind them,
// and a certificate for both.

import { connect } from 'node:net';
import { createServer } from 'node:tls';

import { equal, must, noProblems, run, signOut, step } from './driver.mjs';

/** Ends TLS in front of a port of loopback, as a proxy does in production. */
async function endTls({ origin, upstream }, { key, certificate: cert }) {
  const server = createServer({ key, cert }, (outer) => {
    const inner = connect(upstream, '127.0.0.1');
    outer.pipe(inner).pipe(outer);
    // Browsers give connections up whenever they like.
    outer.on('error', () => {}).on('close', () => inner.destroy());
    inner.on('error', () => {}).on('close', () => outer.destroy());
  });
  await new Promise((resolve) => server.listen(new URL(origin).port, '127.0.0.1', resolve));
  server.unref();
}

/** Presses the provider's button, and waits until our own form for passwords is gone. */
async function choose(page) {
  const button = page.locator('form[action="/login/campus"] button');
  await button.waitFor();
  await Promise.all([page.waitForURL((url) => url.pathname !== '/login'), button.click()]);
}

async function enter(page, provider) {
  await page.waitForSelector('[name=password]');
  must(page.url().startsWith(provider.origin), `the provider asks, not ${page.url()}`);
  await page.fill('[name=username]', 'ada');
  await page.fill('[name=password]', 'ada-idp');
  await page.press('[name=password]', 'Enter');
}

const ours = async (page, { origin }) => Object.fromEntries(
  (await page.context().cookies(origin))
    .filter(({ name }) => name.includes('rolegate'))
    .map(({ name, ...others }) => [name, others]),
);

async function journey(newPage, { name, rolegate, provider }) {
  const page = await newPage({ strangers: [provider.origin] });
  const url = `${rolegate.origin}/`;
  step(`${name}: the attempt's cookie comes along from another site, and no other`);
  const [answer] = await Promise.all([page.waitForResponse(url), page.goto(url)]);
  must((await answer.headerValue('strict-transport-security')) !== null, 'the headers are those of production');
  await choose(page);
  await page.waitForSelector('[name=password]');
  const before = Object.entries(await ours(page, rolegate));
  for (const [cookie, { sameSite, secure, httpOnly }] of before) {
    const isAttempt = cookie.startsWith('__Host-rolegate-attempt-');
    equal(sameSite, isAttempt ? 'None' : 'Lax', `SameSite of ${cookie}`);
    must(cookie.startsWith('__Host-') && secure && httpOnly, `${cookie} is ours alone`);
  }
  equal(before.filter(([cookie]) => cookie.includes('attempt')).length, 1, 'attempts');

  step(`${name}: the provider's form from another site signs people in`);
  const [consumed] = await Promise.all([
    page.waitForRequest((request) => request.url().endsWith('/saml/campus/acs')),
    enter(page, provider),
  ]);
  equal((await consumed.allHeaders())['sec-fetch-site'], 'cross-site', 'where the form came from');
  await page.waitForURL(url);
  must(await page.isVisible('[data-all] [data-role-arn]'), 'a role is offered');
  const after = await ours(page, rolegate);
  equal(after['__Host-rolegate']?.sameSite, 'Lax', 'the session');
  must(!Object.keys(after).some((cookie) => cookie.includes('attempt')), 'the attempt is over');

  step(`${name}: signing out here ends the session there`);
  await signOut(page);
  await page.waitForURL('**/signed-out?provider=ended');
  must(!('__Host-rolegate' in await ours(page, rolegate)), 'the session is over');

  step(`${name}: a deep link goes on after the provider without a further click`);
  // The stand-in for AWS has no https, so that the way ends where AWS would begin.
  await page.route('**/console', (route) => route.fulfill({
    contentType: 'text/plain',
    body: new URLSearchParams(route.request().postData()).get('role'),
  }));
  await page.goto(`${url}console/222233334444/ReadOnly`);
  await choose(page);
  await enter(page, provider);
  await page.waitForURL(`${url}console`);
  equal(await page.textContent('body'), 'arn:aws:iam::222233334444:role/ReadOnly', 'the role that was asked for');
  await page.unroute('**/console');

  step(`${name}: signing out there ends the session here`);
  await page.goto(url);
  must(await page.isVisible('[data-menu]'), 'the session goes on');
  await page.goto(`${provider.origin}/logout`);
  await page.waitForLoadState('networkidle');
  must(page.url().startsWith(provider.origin), `the provider has the last word, not ${page.url()}`);
  await page.goto(url);
  await page.waitForURL('**/login?**');
  noProblems(page);
  await page.context().close();
}

await run(async ({ newPage }, [json]) => {
  const { certificate, sites } = JSON.parse(json);
  for (const { rolegate, provider } of sites) {
    await endTls(rolegate, certificate);
    await endTls(provider, certificate);
  }
  await Promise.all(sites.map((site) => journey(newPage, site)));
});
