// An assertion that the browser takes to AWS, codes of an MFA device, roles that give credentials
// alone; and every page about ways to AWS, probes, set-up and ended sessions in every look.
// Argument: JSON with the addresses of Rolegate and of one without an issuer, the codes of the
// device, and the ARN of the IAM user.

import {
  equal, isInConsole, must, newTab, noProblems, run, signIn, step,
} from './driver.mjs';
import { judge, noFaults, post } from './looks.mjs';

const ACCOUNT = '222233334444';
const role = (name) => `arn:aws:iam::${ACCOUNT}:role/${name}`;

async function enter(newPage, url, username, options) {
  const page = await newPage(options);
  await page.goto(url);
  await signIn(page, username);
  await page.waitForURL(url);
  return page;
}

async function posting(newPage, { url }) {
  const page = await enter(newPage, url, 'ada');
  step('one click takes an assertion to the console');
  const tab = await newTab(page, () => page.click(`[data-all] [data-role-arn="${role('Posted')}"]`));
  await tab.waitForSelector('#account');
  await isInConsole(tab, ACCOUNT, 'Posted', 'corp-ada');
  await tab.close();

  step('a deep link does so too, and the way back shows no assertion');
  const carriers = [];
  page.on('response', (response) => {
    if (response.url() === `${url}console` && response.request().method() === 'POST') carriers.push(response);
  });
  await page.goto(`${url}console/${ACCOUNT}/Posted?destination=s3&region=eu-central-1`);
  await page.waitForSelector('#account');
  const facts = await isInConsole(page, ACCOUNT, 'Posted', 'corp-ada');
  must(facts.destination.includes('/s3'), `the destination, not ${facts.destination}`);
  equal(carriers.length, 1, 'pages with an assertion');
  equal(await carriers[0].headerValue('cache-control'), 'no-store', 'who may keep the page');
  await page.goBack().catch(() => {});
  equal(carriers.length, 1, 'pages with an assertion after going back');
  equal(await page.locator('[name=SAMLResponse]').count(), 0, 'assertions in the page behind');
  noProblems(page);

  step('the page with the assertion, before it goes on');
  await page.route('**/auto-submit.*', (route) => route.abort());
  await page.goto(url);
  await post(page, '/console', { role: role('Posted') });
  await judge(page, 'departure-to-aws');
  await page.context().close();

  step('without JavaScript, by a button');
  const plain = await enter(newPage, url, 'ada', { javaScript: false });
  const opened = await newTab(plain, () => plain.click(`[data-all] [data-role-arn="${role('Posted')}"]`));
  must(await opened.isVisible('text=Go on'), 'there is a button');
  await opened.click('text=Go on');
  await isInConsole(opened, ACCOUNT, 'Posted', 'corp-ada');
  await plain.context().close();
}

// `autofocus` comes with the first frame, after the load.
const hasFocus = (page, selector) =>
  page.waitForFunction((it) => document.activeElement.matches(it), selector);

async function codes(newPage, { url, codes: [right, next] }) {
  const page = await enter(newPage, url, 'ada', { width: 360, height: 740 });
  step('by keyboard: a code that is needed, wrong, right');
  await page.fill('#search', 'coded');
  await page.waitForSelector('.chip.best');
  await page.press('#search', 'Enter');
  await page.waitForSelector('#mfa-code:visible');
  must(await hasFocus(page, '#mfa-code'), 'the code is where one types');
  await judge(page, 'role-dialog-code');
  await page.goto(`${url}console/${ACCOUNT}/Coded`);
  must(await hasFocus(page, '#mfa-code'), 'the code is where one types at a deep link');
  await judge(page, 'deep-link-code');
  await page.keyboard.type('000000');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=AWS did not take that code');
  must(await hasFocus(page, '#mfa-code'), 'the code is where one types after a wrong one');
  await judge(page, 'error-code-wrong', { isKnown: true });
  equal(await page.inputValue('#mfa-code'), '', 'the wrong code is not shown');
  await page.focus('#mfa-code');
  await page.keyboard.type(right);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#account');
  await isInConsole(page, ACCOUNT, 'Coded', 'corp-ada');

  step('by keyboard: a code that was used, and another');
  await page.goto(`${url}console/${ACCOUNT}/Coded`);
  await hasFocus(page, '#mfa-code');
  await page.keyboard.type(right);
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=That code was used already');
  await judge(page, 'error-code-used', { isKnown: true });
  await page.focus('#mfa-code');
  await page.keyboard.type(next);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#account');
  await isInConsole(page, ACCOUNT, 'Coded', 'corp-ada');
  step('error-code-needed');
  await page.goto(url);
  await post(page, '/console', { role: role('Coded') });
  await judge(page, 'error-code-needed');
  noProblems(page);
  await page.context().close();
}

async function peoplePages(newPage, { url, user, unable }) {
  step('sign-in by three ways');
  const page = await newPage();
  await page.goto(url);
  await judge(page, 'sign-in-three-ways');
  await signIn(page, 'ada');
  await page.waitForURL(url);
  step('picker with roles that cannot be opened, ask for a code, give credentials alone');
  must((await page.locator('.chip .icon.warning').count()) > 0, 'a broken role has a mark');
  must(await page.isVisible('.chip .tag:text-is("code")'), 'a role that asks for a code has a mark');
  must(await page.isVisible('.chip .tag:text-is("credentials")'), 'a role without a console has a mark');
  await judge(page, 'picker-ways');
  for (const [name, arn] of [['broken', role('Broken')], ['credentials-alone', user], ['code', role('Coded')]]) {
    step(`options of a role: ${name}`);
    await page.goto(`${url}role?arn=${encodeURIComponent(arn)}`);
    await judge(page, `role-${name}`);
  }
  step('credentials of an IAM user');
  await page.goto(`${url}role?arn=${encodeURIComponent(user)}`);
  await page.click('[data-credentials]');
  await judge(page, 'credentials-of-user', { isKnown: true });
  const refused = async (name, arn, path = '/console') => {
    step(name);
    await page.goto(url);
    await post(page, path, { role: arn });
    await page.waitForSelector('[data-status]');
    await judge(page, name, { isKnown: true });
  };
  await refused('error-credentials-only', user);
  await refused('error-sign-in-with-openid', role('PassedOn'));
  step('sessions with buttons that end them');
  await page.goto(`${url}sessions`);
  await judge(page, 'sessions-to-end');
  await page.locator('form[action="/sessions/revoke"] button').first().click();
  await page.waitForSelector('[role=status]');
  await judge(page, 'sessions-ended');
  noProblems(page);
  await page.context().close();

  step('error-template');
  const odd = await enter(newPage, url, 'odd');
  await post(odd, '/console', { role: role('Templated') });
  await odd.waitForSelector('[data-status]');
  await judge(odd, 'error-template', { isKnown: true });
  await odd.context().close();
  step('error-no-issuer');
  const without = await enter(newPage, unable, 'ada');
  await post(without, '/console', { role: role('Posted') });
  await without.waitForSelector('[data-status]');
  await judge(without, 'error-no-issuer', { isKnown: true });
  await without.context().close();
}

async function deskPages(newPage, { url }) {
  const page = await enter(newPage, url, 'zoe');
  const at = async (name, path) => {
    step(name);
    await page.goto(url + path);
    await judge(page, name);
  };
  await at('helpdesk-role-broken', `helpdesk/roles/${role('Broken')}`);
  await page.click('form[action="/helpdesk/roles/probe"] button');
  await page.waitForLoadState();
  await judge(page, 'helpdesk-role-probed', { isKnown: true });
  await at('helpdesk-role-posted', `helpdesk/roles/${role('Posted')}`);
  await at('helpdesk-account', `helpdesk/accounts/${ACCOUNT}`);
  await at('helpdesk-discover', `helpdesk/accounts/${ACCOUNT}/discover`);
  await at('helpdesk-setup', `helpdesk/accounts/${ACCOUNT}/setup`);
  await at('helpdesk-revocations-few', 'helpdesk/revocations');
  step('ending all sessions of somebody');
  await page.goto(`${url}helpdesk/people?q=ada`);
  await page.locator('main a[href*="/helpdesk/people/corp/"]').first().click();
  await page.waitForSelector('text=End all session');
  await judge(page, 'helpdesk-person-to-end');
  await page.click('a.danger');
  await page.waitForSelector('[name=reason]');
  await judge(page, 'helpdesk-revoke');
  await page.fill('[name=reason]', 'Lost laptop');
  await page.click('button.danger');
  await page.waitForURL('**/helpdesk/revocations/**');
  await judge(page, 'helpdesk-revocation');
  await at('helpdesk-revocations', 'helpdesk/revocations');
  await at('helpdesk-revoke-role', `helpdesk/revocations/new?role=${encodeURIComponent(role('Coded'))}`);
  noProblems(page);
  await page.context().close();
}

await run(async ({ newPage }, [json]) => {
  const state = JSON.parse(json);
  await posting(newPage, state);
  await codes(newPage, state);
  await peoplePages(newPage, state);
  await deskPages(newPage, state);
  noFaults();
});
