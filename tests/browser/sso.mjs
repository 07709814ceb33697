// What a command line opens in a browser: signing in, and letting it act. Argument: JSON with
// the address that it opens, who signs in, what its own page says in the end and, where the terminal
// shows one, the code.

import { axe, must, run, signIn, step } from './driver.mjs';

await run(async ({ newPage }, [json]) => {
  const { url, username, code, thanks } = JSON.parse(json);
  const callback = new URL(url).searchParams.get('redirect_uri');
  const page = await newPage(callback ? { strangers: [new URL(callback).origin] } : {});
  step('the address that the command line opens asks who it is');
  await page.goto(url);
  await signIn(page, username);

  if (code) {
    step('the code is typed, never brought along');
    const field = page.locator('[name=user_code]');
    await field.waitFor();
    must((await field.inputValue()) === '', 'the field is empty');
    // As people type: small letters, a blank for the hyphen.
    await field.fill(code.toLowerCase().replace('-', ' '));
    await page.click('form[action="/device"] button.primary');
  }
  step('the person lets it act');
  const allow = page.locator('[name=decision][value=allow]');
  await allow.waitFor();
  await axe(page, 'consent');
  await allow.click();
  if (callback) {
    await page.waitForURL((address) => address.href.startsWith(callback));
    await page.locator('body', { hasText: new RegExp(thanks) }).waitFor();
  } else {
    await page.waitForSelector('h1:text-is("Allowed")');
  }
});
