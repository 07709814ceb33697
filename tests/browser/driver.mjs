// What every browser script shares: Chromium started as the tests need it, axe, and screenshots.
//
// A script is a function given to `run`: it throws when the page is not as it should be, and the
// test that started it shows the error.

import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENSHOTS = process.env.SCREENSHOTS ?? 'screenshots';
const SCRIPT_LIMIT_MS = 180_000;
const STEP_LIMIT_MS = 20_000;

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
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/**
 * Opens a page in a context of its own: no cookie is shared with another page.
 *
 * Content that a page's own Content-Security-Policy would block stays blocked. What the page
 * reports as an error is collected in `page.problems`.
 */
async function newPage(
  browser,
  { width = 1280, height = 800, colourScheme = 'light', javaScript = true } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: colourScheme,
    javaScriptEnabled: javaScript,
    ignoreHTTPSErrors: true,
  });
  context.setDefaultTimeout(STEP_LIMIT_MS);
  const page = await context.newPage();
  page.hasJavaScript = javaScript;
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.problems.push(message.text());
  });
  return page;
}

/** Throws, naming every rule and element, when axe finds a violation on the page. */
export async function axe(page, name) {
  // Without it axe starts and never ends.
  if (!page.hasJavaScript) throw new Error(`axe needs JavaScript on ${name}`);
  // Scripts of the driver run in the page under its own policy, which forbids inline ones: axe is
  // evaluated through the debugger, which no policy stops.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  if (violations.length === 0) return;
  const lines = violations.flatMap((violation) => [
    `${violation.id} (${violation.impact}): ${violation.help}`,
    ...violation.nodes.map((node) => `    ${node.target.join(' ')}: ${node.html}`),
  ]);
  throw new Error(`axe finds violations on ${name}:\n${lines.join('\n')}`);
}

/** Keeps a picture of the whole page as `NAME.png` in the folder of screenshots. */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
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
