// How long a person with thousands of roles waits in Chromium until the filter answers.
//
//   node interactive.mjs URL USERNAME PASSWORD
//
// Prints `NAME: VALUE` lines. A letter is typed (an `input` event) as soon as the page's scripts
// have run, so what is measured is from the start of the navigation, over GET / and
// GET /picker.json, to the rows that the letter found; and later the same for one more letter.

import { run } from '../../tests/browser/driver.mjs';

const LOADS = 5;

function typeAtOnce() {
  document.addEventListener('DOMContentLoaded', () => {
    const search = document.getElementById('search');
    const rows = document.querySelector('[data-rows]');
    if (!search || !rows) return;
    const type = (text) =>
      new Promise((done) => {
        const started = performance.now();
        new MutationObserver((_, observer) => {
          observer.disconnect();
          requestAnimationFrame(() => setTimeout(() => done({ started, ended: performance.now() })));
        }).observe(rows, { childList: true });
        search.value = text;
        search.dispatchEvent(new Event('input', { bubbles: true }));
      });
    globalThis.measured = (async () => {
      const first = await type('p');
      const second = await type('pa');
      const third = await type('pay adm');
      return {
        filtered: first.ended,
        ready: first.started,
        key: Math.max(second.ended - second.started, third.ended - third.started),
      };
    })();
  });
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

await run(async ({ newPage }, [url, username, password]) => {
  const page = await newPage();
  await page.goto(new URL('/login', url).href);
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', password);
  await page.press('[name=password]', 'Enter');
  await page.waitForSelector('#picker');
  await page.context().addInitScript(typeAtOnce);
  const loads = [];
  for (let load = 0; load < LOADS; load += 1) {
    await page.goto(url);
    loads.push(await page.evaluate(() => globalThis.measured));
  }
  const of = (name) => median(loads.map((load) => load[name])).toFixed(0);
  console.log(`navigation to scripts ready: ${of('ready')} ms`);
  console.log(`navigation to filtered rows drawn: ${of('filtered')} ms`);
  console.log(`one more letter to rows drawn: ${of('key')} ms`);
});
