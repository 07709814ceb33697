// A program on this computer, and one elsewhere, ask to act for a person: both pages by mouse and
// keyboard, without JavaScript, and in every look. Argument: JSON with the address of Rolegate.

import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { equal, must, noProblems, run, screenshot, signIn, step } from './driver.mjs';
import { judge, noFaults } from './looks.mjs';

const VERIFIER = 'a-verifier-that-is-long-enough-for-rfc-7636-4.1';

/** What AWS's command line sends; the answer. */
async function call(url, path, body) {
  const response = await fetch(`${url}aws/${path}`, { method: 'POST', body: JSON.stringify(body) });
  return response.json();
}

/** A program that listens on the loopback address for its code. */
async function program(url, { host = '127.0.0.1', name = 'botocore-client-corp' } = {}) {
  const shown = host.includes(':') ? `[${host}]` : host;
  const client = await call(url, 'client/register', {
    clientName: name,
    clientType: 'public',
    grantTypes: ['authorization_code', 'refresh_token'],
    redirectUris: [`http://${shown}/oauth/callback`],
    scopes: ['sso:account:access'],
  });
  const seen = [];
  const server = createServer((request, response) => {
    if (request.url.startsWith('/oauth/')) seen.push(request);
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>Done</title><p id="done">You can close this window.</p>');
  });
  server.listen(0, host).unref();
  await once(server, 'listening');
  const callback = `http://${shown}:${server.address().port}/oauth/callback`;
  const state = randomUUID();
  const question = new URL('authorize', url);
  question.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: callback,
    state,
    code_challenge_method: 'S256',
    scopes: 'sso:account:access',
    code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  });
  const answer = () => {
    equal(seen.length, 1, 'answers that the program heard');
    const { searchParams } = new URL(seen[0].url, callback);
    equal(searchParams.get('state'), state, 'the state');
    equal(seen[0].headers.referer, undefined, 'where the answer says that it comes from');
    return searchParams;
  };
  const redeem = (code) => call(url, 'token', {
    clientId: client.clientId,
    clientSecret: client.clientSecret,
    grantType: 'authorization_code',
    code,
    redirectUri: callback,
    codeVerifier: VERIFIER,
  });
  return { callback, question: question.href, seen, answer, redeem, close: () => server.close() };
}

async function device(url, name = 'botocore-client-1767225600') {
  const client = await call(url, 'client/register', {
    clientName: name, clientType: 'public', scopes: ['sso:account:access'],
  });
  const { clientId, clientSecret } = client;
  const started = await call(url, 'device_authorization', {
    clientId, clientSecret, startUrl: 'https://d-0000000000.awsapps.com/start',
  });
  const poll = () => call(url, 'token', {
    clientId,
    clientSecret,
    grantType: 'urn:ietf:params:oauth:grant-type:device_code',
    deviceCode: started.deviceCode,
  });
  return { ...started, poll };
}

async function byBrowser(newPage, url) {
  step('the program opens the browser: sign-in, the question, and the code');
  const tool = await program(url);
  const page = await newPage({ strangers: [tool.callback] });
  await page.goto(tool.question);
  await signIn(page, 'ada');
  await page.waitForSelector('button[value=allow]');
  must(page.url().startsWith(`${url}authorize?`), `the question, not ${page.url()}`);
  await judge(page, 'consent');
  equal(tool.seen.length, 0, 'answers before the button');
  await page.click('button[value=allow]');
  await page.waitForSelector('#done');
  const tokens = await tool.redeem(tool.answer().get('code'));
  must(tokens.accessToken?.startsWith('rga_'), 'the program has a token');
  noProblems(page);
  tool.close();

  step('declining, by the keyboard alone');
  const other = await program(url);
  await page.goto(other.question);
  await page.waitForSelector('button[value=decline]');
  let pressed = '';
  for (let tabs = 0; tabs < 30 && pressed !== 'decline'; tabs += 1) {
    await page.keyboard.press('Tab');
    pressed = await page.evaluate(() => document.activeElement?.value ?? '');
  }
  equal(pressed, 'decline', 'what the keyboard reaches');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#done');
  equal(other.answer().get('error'), 'access_denied', 'what the program hears');
  noProblems(page);
  other.close();

  step('a name that is meant to hurt, and one that is long');
  const hostile = '<img src=x onerror=alert(1)>"\'& Your company\'s helpdesk, a name of a hundred letters and more X';
  const odd = await program(url, { name: hostile.slice(0, 100) });
  await page.goto(odd.question);
  must((await page.textContent('dl.facts')).includes('<img src=x'), 'the name as it was given');
  await judge(page, 'consent-hostile-name', { isKnown: true });
  noProblems(page);
  odd.close();

  step('a program that cannot be known');
  await page.goto(tool.question.replace(/redirect_uri=[^&]*/, 'redirect_uri=http%3A%2F%2Fevil.example%2F'));
  await page.waitForSelector('[data-status="400"]');
  await judge(page, 'consent-refused', { isKnown: true });
  noProblems(page);
  await page.context().close();
}

async function byIpv6(newPage, url) {
  step('a program that listens on the loopback address of IPv6, which this browser does not resolve');
  const tool = await program(url, { host: '::1' });
  const page = await newPage({ strangers: [tool.callback] });
  await page.goto(tool.question);
  await signIn(page, 'ada');
  const [sent] = await Promise.all([
    page.waitForEvent('requestfailed', (request) => request.url().startsWith(tool.callback)),
    page.click('button[value=allow]'),
  ]);
  equal(sent.failure().errorText, 'net::ERR_NAME_NOT_RESOLVED', 'what keeps it from the program');
  must(new URL(sent.url()).searchParams.get('code')?.startsWith('rgc_'), 'the browser has a code');
  noProblems(page);
  tool.close();
  await page.context().close();
}

async function withoutJavaScript(newPage, url) {
  step('both without JavaScript');
  const tool = await program(url);
  const page = await newPage({ javaScript: false });
  await page.goto(tool.question);
  await signIn(page, 'ada');
  await page.click('button[value=allow]');
  await page.waitForSelector('#done');
  must(tool.answer().get('code')?.startsWith('rgc_'), 'the program has a code');
  tool.close();
  const waiting = await device(url);
  await page.goto(waiting.verificationUriComplete);
  await page.fill('[name=user_code]', waiting.userCode);
  await page.click('main form button');
  await page.click('button[value=allow]');
  must(await page.isVisible('text=go back to the terminal'), 'the end is said');
  must((await waiting.poll()).accessToken?.startsWith('rga_'), 'the device has a token');
  await page.context().close();
}

async function byCode(newPage, url) {
  step('a terminal elsewhere shows a code: signing in leads to the empty field');
  const waiting = await device(url);
  const page = await newPage();
  await page.goto(`${waiting.verificationUriComplete}?user_code=${waiting.userCode}`);
  await signIn(page, 'ada');
  await page.waitForSelector('[name=user_code]');
  equal(await page.inputValue('[name=user_code]'), '', 'the field');
  const focused = await page.evaluate(() => document.activeElement?.getAttribute('name'));
  equal(focused, 'user_code', 'where the keyboard types');
  await judge(page, 'device');

  step('a wrong code');
  await page.fill('[name=user_code]', 'BCDFG-BCDFG');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=alert]');
  equal(await page.inputValue('[name=user_code]'), 'BCDFG-BCDFG', 'the field after a wrong code');
  await judge(page, 'device-wrong-code');

  step('the right one, as people type it');
  await page.fill('[name=user_code]', waiting.userCode.toLowerCase().replace('-', ' '));
  await page.keyboard.press('Enter');
  await page.waitForSelector('button[value=allow]');
  await judge(page, 'device-asked');
  equal((await waiting.poll()).error, 'authorization_pending', 'before the button');
  await page.focus('button[value=allow]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=go back to the terminal');
  await judge(page, 'device-allowed', { isKnown: true });

  step('declining another');
  const other = await device(url);
  await page.click('[data-menu] summary');
  await page.click('text=Enter a code');
  await page.fill('[name=user_code]', other.userCode);
  await page.keyboard.press('Enter');
  await page.click('button[value=decline]');
  await page.waitForSelector('h1:has-text("Declined")');
  await screenshot(page, 'device-declined');
  equal((await other.poll()).error, 'access_denied', 'what the device hears');
  noProblems(page);
  await page.context().close();
}

await run(async ({ newPage }, [argument]) => {
  const { url } = JSON.parse(argument);
  await byBrowser(newPage, url);
  await byIpv6(newPage, url);
  await withoutJavaScript(newPage, url);
  await byCode(newPage, url);
  noFaults();
});
