// Sign-in and sign-out through an OpenID Connect provider. Argument: JSON with the addresses of
// Rolegate, of the provider, and of what changes the provider's key.

import {
  equal, isInConsole, must, newTab, noProblems, run, signOut, step,
} from './driver.mjs';

const READER = 'arn:aws:iam::222233334444:role/ReadOnly';

/** Presses the provider's button, and signs in there. */
async function signInAt(page, provider, username = 'ada') {
  const button = page.locator('form[action="/login/campus"] button');
  await button.waitFor();
  const asking = page.waitForRequest((request) => request.url().startsWith(`${provider}/auth?`));
  await button.click();
  const asked = new URL((await asking).url()).searchParams;
  equal(asked.get('code_challenge_method'), 'S256', 'the method of PKCE');
  must(asked.get('code_challenge').length === 43, 'there is a challenge');
  must(asked.get('state') && asked.get('nonce'), 'there are state and nonce');
  await page.waitForSelector('[name=password]');
  must(page.url().startsWith(provider), `the provider asks, not ${page.url()}`);
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', `${username}-idp`);
  await page.press('[name=password]', 'Enter');
}

async function both(newPage, { url, provider, rotate }) {
  const page = await newPage({ strangers: [provider, 'https://fonts.googleapis.com/'] });
  step('a code and PKCE sign people in');
  const [answer] = await Promise.all([page.waitForResponse(url), page.goto(url)]);
  must(!(await answer.headerValue('location'))?.includes('code='), 'no code is there yet');
  await signInAt(page, provider);
  await page.waitForURL(url);
  const policy = await (await page.request.get(url)).headers()['content-security-policy'];
  must(policy.startsWith("default-src 'none'"), `the policy is that of production: ${policy}`);

  step('a role opens');
  const chip = page.locator(`[data-all] [data-role-arn="${READER}"]`);
  const tab = await newTab(page, () => chip.click());
  await isInConsole(tab, '222233334444', 'ReadOnly', 'campus-ada');
  await tab.close();

  step('signing out here ends the session there');
  await signOut(page);
  await page.waitForURL((address) => address.href.startsWith(provider));
  const left = new URL(page.url()).searchParams;
  must(!left.has('id_token_hint'), 'the ID token stays on the server');
  await page.click('[name=logout][value=yes]');
  await page.waitForURL('**/signed-out**');
  await page.goto(url);
  await page.waitForURL('**/login?**');

  step('a deep link goes on after the provider, whose key is another one');
  const rotated = await fetch(rotate, { method: 'POST' });
  must(rotated.ok, 'the key was changed');
  await page.goto(`${url}console/222233334444/ReadOnly?destination=s3&region=eu-central-1`);
  // The provider's own form shows that its session had ended.
  await signInAt(page, provider);
  await page.waitForSelector('#account');
  const facts = await isInConsole(page, '222233334444', 'ReadOnly', 'campus-ada');
  equal(facts.region, 'eu-central-1', 'the region');
  must(facts.destination.includes('/s3'), `the destination, not ${facts.destination}`);

  step('signing out there ends the session here');
  await page.goto(url);
  must(await page.isVisible('[data-menu]'), 'the session goes on');
  await page.goto(`${provider}/session/end`);
  await page.click('[name=logout][value=yes]');
  await page.waitForLoadState('networkidle');
  await page.goto(url);
  await page.waitForURL('**/login?**');
  noProblems(page);
  await page.context().close();
}

async function withoutJavaScript(newPage, { url, provider }) {
  step('without JavaScript');
  const page = await newPage({ javaScript: false });
  await page.goto(`${url}console/222233334444/ReadOnly?destination=lambda`);
  await signInAt(page, provider);
  await page.click(`[data-role-arn="${READER}"]`);
  const facts = await isInConsole(page, '222233334444', 'ReadOnly', 'campus-ada');
  must(facts.destination.includes('/lambda'), `the destination, not ${facts.destination}`);
  await page.goto(url);
  await signOut(page);
  await page.click('[name=logout][value=yes]');
  await page.waitForURL('**/signed-out**');
  await page.context().close();
}

await run(async ({ newPage }, [json]) => {
  const state = JSON.parse(json);
  await both(newPage, state);
  await withoutJavaScript(newPage, state);
});
