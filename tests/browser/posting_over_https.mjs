// An assertion of Rolegate's own, posted from a page under the headers of production to AWS's own
// address. Argument: JSON with the origin that browsers see, the port behind it and a certificate.

import { connect } from 'node:net';
import { createServer } from 'node:tls';

import { equal, must, noProblems, run, signIn, step } from './driver.mjs';

const AWS = 'https://signin.aws.amazon.com/saml';

async function endTls({ origin, upstream, key, certificate: cert }) {
  const server = createServer({ key, cert }, (outer) => {
    const inner = connect(upstream, '127.0.0.1');
    outer.pipe(inner).pipe(outer);
    outer.on('error', () => {}).on('close', () => inner.destroy());
    inner.on('error', () => {}).on('close', () => outer.destroy());
  });
  await new Promise((resolve) => server.listen(new URL(origin).port, '127.0.0.1', resolve));
  server.unref();
}

await run(async ({ newPage }, [json]) => {
  const state = JSON.parse(json);
  await endTls(state);
  const page = await newPage();
  step('the page may post to AWS, and to it alone');
  const posted = [];
  await page.route(AWS, (route) => {
    posted.push(route.request());
    return route.fulfill({ contentType: 'text/html', body: '<h1 id="aws">AWS</h1>' });
  });
  const [carrier] = await Promise.all([
    page.waitForResponse((response) => response.url() === `${state.origin}/console`),
    (async () => {
      await page.goto(`${state.origin}/console/222233334444/Posted?destination=s3`);
      await signIn(page, 'ada');
    })(),
  ]);
  await page.waitForSelector('#aws');
  equal(await carrier.headerValue('cache-control'), 'no-store', 'who may keep the page');
  equal(await carrier.headerValue('referrer-policy'), 'no-referrer', 'who is told of it');
  must((await carrier.headerValue('content-security-policy')).includes("form-action 'self' https:;"), 'the policy');
  must((await carrier.headerValue('strict-transport-security')) !== null, 'the headers are those of production');
  equal(posted.length, 1, 'assertions that were posted');
  const form = new URLSearchParams(posted[0].postData());
  must(form.get('RelayState').includes('/s3'), `the deep link, not ${form.get('RelayState')}`);
  const assertion = Buffer.from(form.get('SAMLResponse'), 'base64').toString();
  must(assertion.includes(`Recipient="${AWS}"`), 'it is for AWS');
  must(!(await posted[0].allHeaders()).referer, 'AWS is not told where it came from');
  noProblems(page);
});
