// The upload page of docs/apps.md, at an origin of its own. Argument: JSON with the addresses of the
// page at a listed origin and at a stranger's, of Rolegate and of the bucket, a good token, and one
// that is for somebody else.

import { equal, must, noProblems, run, step } from './driver.mjs';

const NAME = "holiday (1)'s *.txt";

/** Opens the page as a person with that token, chooses a file and presses the button. */
async function upload(page, address, token) {
  await page.addInitScript((text) => sessionStorage.setItem('access_token', text), token);
  await page.goto(address);
  const file = { name: NAME, mimeType: 'text/plain', buffer: Buffer.from('a holiday') };
  await page.setInputFiles('[name=file]', file);
  await page.click('button');
  const output = page.locator('output');
  await output.filter({ hasText: /ploaded/ }).waitFor();
  return output.textContent();
}

async function script({ newPage }, [text]) {
  const { listed, stranger, broker, bucket, token, foreign } = JSON.parse(text);
  step('a page of the application uploads, and nobody else touches the file');
  // A page that names no icon is asked for one.
  const page = await newPage({ strangers: [new URL('/favicon.ico', listed).href] });
  const asked = [];
  page.on('request', (request) => asked.push(`${request.method()} ${request.url()}`));
  equal(await upload(page, listed, token), `Uploaded home/shop/ada/${NAME}`, 'what the page says');
  must(asked.some((it) => it === `POST ${broker}/api/v1/credentials`), 'Rolegate was asked');
  const puts = asked.filter((it) => it.startsWith('PUT '));
  equal(puts.length, 1, 'how many uploads there were');
  must(puts[0].startsWith(`PUT ${bucket}/uploads/home/shop/ada/`), puts[0]);
  must(!asked.some((it) => it.includes(token)), 'the token is in no address');
  noProblems(page);

  step('a token that is no good is told in words');
  const refused = await newPage({ strangers: [broker] });
  const told = await upload(refused, listed, foreign);
  must(/^Not uploaded: The token of shop is not accepted/.test(told), told);

  step('a page of another origin is told nothing, and gets no credentials');
  const other = await newPage({ strangers: [broker, stranger] });
  const answers = [];
  other.on('response', (response) => {
    if (response.request().method() === 'POST') answers.push(response.url());
  });
  const nothing = await upload(other, stranger, token);
  must(/^Not uploaded: Failed to fetch/.test(nothing), nothing);
  equal(answers.length, 0, 'the browser does not even ask, after OPTIONS said no');
}

await run(script);
