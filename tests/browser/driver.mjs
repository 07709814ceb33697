// What every browser script shares: Chromium started as the tests need it, axe, and screenshots.
//
// A script is a function given to `run`: it throws when the page is not as it should be, and the
// test that started it shows the error.

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// WCAG 2.2 AA, whose target sizes run only when asked for, and what axe thinks good beyond it.
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const SCREENSHOTS = process.env.SCREENSHOTS ?? 'screenshots';
const SCRIPT_LIMIT_MS = 300_000;
const STEP_LIMIT_MS = 30_000;

// A browser at its first start asks several hosts of its maker; here every name but this
// machine's own is unknown. `--no-sandbox` because the tests may run as root.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost',
];

let currentStep = '';
const allProblems = [];

/** Says what comes next, so that a failure names it. */
export function step(name) {
  currentStep = name;
  console.log(`${String(Math.round(performance.now())).padStart(6)} ms  ${name}`);
}

/**
 * Runs a script with a fresh browser and profile; the process fails when the script throws.
 *
 * `script` gets `{ browser, newPage }` and the command-line arguments.
 */
export async function run(script) {
  setTimeout(() => {
    console.error(`the script took longer than ${SCRIPT_LIMIT_MS} ms`);
    process.exit(1);
  }, SCRIPT_LIMIT_MS).unref();

  // Launched this way, the browser gets an empty profile folder that goes when it closes.
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  try {
    await script({ browser, newPage: (options) => newPage(browser, options) }, process.argv.slice(2));
  } catch (error) {
    if (currentStep) console.error(`failed at: ${currentStep}`);
    console.error(error);
    for (const problem of allProblems.flat()) console.error(`the browser reports: ${problem}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/**
 * Opens a page in a context of its own: no cookie is shared with another page.
 *
 * Content that a page's own Content-Security-Policy would block stays blocked. What this page and
 * the tabs that it opens report as errors, breaches of the policy among them, is collected in
 * `page.problems`; what is wrong with pages at the addresses of `strangers` is theirs.
 */
async function newPage(
  browser,
  { width = 1280, height = 800, colourScheme = 'light', javaScript = true, strangers = [], ...others } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: colourScheme,
    javaScriptEnabled: javaScript,
    reducedMotion: 'reduce',
    ignoreHTTPSErrors: true,
    ...others,
  });
  context.setDefaultTimeout(STEP_LIMIT_MS);
  const problems = [];
  allProblems.push(problems);
  context.on('weberror', ({ error }) => problems.push(String(error())));
  context.on('console', (message) => {
    if (message.type() !== 'error') return;
    const { url } = message.location();
    if (strangers.some((address) => url.startsWith(address))) return;
    // A page that is an error page is noted by the browser as well; its files must be there.
    const isPage = !/\/(assets\/|picker\.json|favicon)/.test(url);
    if (isPage && /^Failed to load resource: the server responded/.test(message.text())) return;
    problems.push(`${message.text()} (${url})`);
  });
  if (javaScript) {
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`forbidden by ${event.effectiveDirective}: ${event.blockedURI}`);
      });
    });
  }
  const page = await context.newPage();
  page.hasJavaScript = javaScript;
  page.problems = problems;
  return page;
}

/** Throws, naming every rule and element, when axe finds a violation on the page. */
export async function axe(page, name) {
  // Without it axe starts and never ends.
  if (!page.hasJavaScript) throw new Error(`axe needs JavaScript on ${name}`);
  // Scripts of the driver run in the page under its own policy, which forbids inline ones: axe is
  // evaluated through the debugger, which no policy stops.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    (tags) => globalThis.axe.run({ runOnly: tags, resultTypes: ['violations'] }),
    AXE_TAGS,
  );
  if (violations.length === 0) return;
  const lines = violations.flatMap((violation) => [
    `${violation.id} (${violation.impact}): ${violation.help}`,
    ...violation.nodes.map((node) => `    ${node.target.join(' ')}: ${node.html}`),
  ]);
  throw new Error(`axe finds violations on ${name}:\n${lines.join('\n')}`);
}

/** Keeps a picture of the whole page, or of an open dialog, as `NAME.png` in the folder of screenshots. */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  // Over a dialog's page lies a shade as high as the window.
  const hasDialog = (await page.locator('dialog[open]').count()) > 0;
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: !hasDialog });
}

/** Throws with both values when they differ. */
export function equal(actual, expected, what) {
  if (actual !== expected) {
    throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

/** Throws unless the page fits its viewport without scrolling sideways. */
export async function fitsWidth(page, name) {
  const [content, viewport] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  if (content > viewport) {
    throw new Error(`${name} is ${content} px wide in a viewport of ${viewport} px`);
  }
}

/** Throws when the page, or a tab that it opened, has reported anything. */
export function noProblems(page) {
  if (page.problems.length > 0) throw new Error(`the browser reports:\n${page.problems.join('\n')}`);
}

/** Throws when it is not so. */
export function must(isSo, what) {
  if (!isSo) throw new Error(`not so: ${what}`);
}

/** Fills in the sign-in form that is shown, as a sample person. */
export async function signIn(page, username, password = `${username}-demo`) {
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', password);
  await page.click('form[data-sign-in] button');
}

/** Signs out by the menu. */
export async function signOut(page) {
  await page.click('[data-menu] summary');
  await page.click('form[action="/logout"] button');
}

/** Does what opens a tab, and returns the tab once it is loaded. */
export async function newTab(page, action) {
  const [tab] = await Promise.all([page.context().waitForEvent('page'), action()]);
  tab.hasJavaScript = page.hasJavaScript;
  await tab.waitForLoadState();
  return tab;
}

/** What the stand-in's console page says; throws with its text when it is another page. */
export async function consoleFacts(tab) {
  const facts = {};
  if ((await tab.locator('#account').count()) === 0) {
    throw new Error(`no console at ${tab.url().split('?')[0]}: ${await tab.textContent('body')}`);
  }
  for (const id of ['account', 'role', 'session-name', 'destination', 'region']) {
    facts[id] = await tab.textContent(`#${id}`);
  }
  return facts;
}

/** Throws unless the tab is in this account and role as this person. */
export async function isInConsole(tab, account, role, username) {
  const facts = await consoleFacts(tab);
  equal(facts.account, account, 'the account');
  equal(facts.role, role, 'the role');
  equal(facts['session-name'], username, 'the session name');
  return facts;
}
