// Shows that the driver sees what it must see: a good page passes, a bad one is named.

import { createServer } from 'node:http';

import { axe, equal, fitsWidth, run, screenshot } from './driver.mjs';

const GOOD = `<!doctype html><html lang="en"><title>Good</title><meta name="viewport"
  content="width=device-width"><main><h1>Good</h1><p id="js">without</p></main>
  <script src="/script.js"></script></html>`;
const BAD = `<!doctype html><html><title>Bad</title><main><h1>Bad</h1><img src="data:,">
  <div style="width: 4000px">wide</div></main></html>`;

async function throws(action, pattern, what) {
  const error = await action().then(() => undefined, (thrown) => thrown);
  if (!pattern.test(error?.message ?? '')) throw new Error(`${what} was not noticed: ${error}`);
}

const server = createServer((request, response) => {
  response.setHeader('content-security-policy', "default-src 'none'; script-src 'self'; img-src data:; style-src 'unsafe-inline'");
  if (request.url === '/script.js') {
    response.setHeader('content-type', 'text/javascript');
    response.end("document.querySelector('#js').textContent = 'with';");
  } else {
    response.setHeader('content-type', 'text/html');
    response.end(request.url === '/bad' ? BAD : GOOD);
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}`;

await run(async ({ newPage }) => {
  const page = await newPage({ width: 320, colourScheme: 'dark' });
  await page.goto(`${url}/good`);
  equal(await page.textContent('#js'), 'with', 'the text with JavaScript');
  equal(await page.evaluate(() => innerWidth), 320, 'the width of the viewport');
  equal(await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches), true, 'dark');
  await axe(page, 'the good page');
  await fitsWidth(page, 'the good page');
  await screenshot(page, 'self-test');

  const plain = await newPage({ javaScript: false });
  await plain.goto(`${url}/good`);
  equal(await plain.textContent('#js'), 'without', 'the text without JavaScript');
  await throws(() => axe(plain, 'a page'), /needs JavaScript/, 'axe without JavaScript');

  const bad = await newPage();
  await bad.goto(`${url}/bad`);
  await throws(() => axe(bad, 'the bad page'), /image-alt .*\n.*img/, 'an image without a text');
  await throws(() => fitsWidth(bad, 'the bad page'), /px wide/, 'a page that is too wide');
  console.log('the browser works');
});
server.close();
