// The helpdesk's way through a change: with JavaScript, by keyboard alone, without JavaScript; a
// second browser on the same row; axe and pictures on the way. Arguments: the address, and the
// ARN of the role that is given.

import {
  axe, equal, fitsWidth, must, noProblems, run, screenshot, signIn, step,
} from './driver.mjs';

const LOOKS = [[360, 'light'], [360, 'dark'], [1280, 'light'], [1280, 'dark']];

async function judge(page, name) {
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    if (page.hasJavaScript) await axe(page, `${name}-${width}-${colorScheme}`);
    await fitsWidth(page, `${name}-${width}`);
    await screenshot(page, `${name}-${width}-${colorScheme}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function enter(newPage, url, username, options) {
  const page = await newPage(options);
  await page.goto(`${url}helpdesk/mappings`);
  if (options?.javaScript === false) {
    await page.fill('[name=username]', username);
    await page.fill('[name=password]', `${username}-demo`);
    await page.click('form[data-sign-in] button');
  } else {
    await signIn(page, username);
  }
  await page.waitForURL('**/helpdesk/mappings');
  return page;
}

async function withScript(newPage, url, role) {
  const page = await enter(newPage, url, 'grace');
  step('the list');
  await judge(page, 'helpdesk-list');
  step('a search narrows the list in place');
  await page.fill('[name=q]', 'webshop');
  await page.waitForFunction(() => / of /.test(document.querySelector('.list-head').textContent));
  await page.fill('[name=q]', '');
  step('the preview follows what is typed');
  await page.click('text=Add a mapping');
  await page.fill('[data-edit] [name=group]', 'book-club');
  await page.fill('[data-edit] [name=role]', role);
  await page.waitForSelector('[data-save]:not([disabled])');
  must((await page.textContent('#preview')).includes('Margaret Hamilton'), 'margaret gains');
  await judge(page, 'helpdesk-preview');
  step('a change makes the button wait for its preview');
  await page.fill('[data-edit] [name=expires]', 'soon');
  must(await page.isDisabled('[data-save]'), 'the button waits');
  await page.waitForSelector('#error-expires:not(:empty)');
  await page.fill('[data-edit] [name=expires]', '2099-12-31');
  await page.fill('[data-edit] [name=ticket]', 'HD-7');
  await page.waitForSelector('[data-save]:not([disabled])');
  await page.click('[data-save]');
  await page.waitForSelector('text=Saved. +1 person.');
  await judge(page, 'helpdesk-saved');
  noProblems(page);
  return page;
}

async function conflict(newPage, url, first) {
  step('two browsers on one row');
  const second = await enter(newPage, url, 'linus');
  for (const page of [first, second]) {
    await page.goto(`${url}helpdesk/mappings?q=book-club`);
    await page.click('tr[data-mapping] >> text=Edit');
  }
  await first.check('[data-edit] [name=read_only]');
  await first.waitForSelector('[data-save]:not([disabled])');
  await second.fill('[data-edit] [name=ticket]', 'HD-8');
  await second.waitForSelector('[data-save]:not([disabled])');
  await second.click('[data-save]');
  await second.waitForURL('**saved=**');
  await first.click('[data-save]');
  await first.waitForSelector('[data-conflict]');
  await judge(first, 'helpdesk-conflict');
  await first.click('text=Use theirs');
}

async function byKeyboard(page, url) {
  step('by keyboard alone');
  await page.goto(`${url}helpdesk/mappings/new`);
  await page.focus('[data-edit] [name=group]');
  await page.keyboard.type('book-club');
  await page.keyboard.press('Tab');
  await page.keyboard.type('Shared services/LogReader');
  for (let tab = 0; tab < 5; tab += 1) await page.keyboard.press('Tab');
  await page.keyboard.type('HD-9');
  await page.waitForSelector('[data-save]:not([disabled])');
  for (let tab = 0; tab < 12; tab += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.matches('[data-save]'))) break;
  }
  must(await page.evaluate(() => document.activeElement.matches('[data-save]')), 'Tab reaches the button');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=Saved.');
}

async function withoutScript(newPage, url) {
  step('without JavaScript');
  const page = await enter(newPage, url, 'grace', { javaScript: false });
  await page.click('text=Add a mapping');
  await page.fill('[data-edit] [name=group]', 'book-club');
  await page.fill('[data-edit] [name=role]', 'Shared services/Billing');
  await page.fill('[data-edit] [name=ticket]', 'HD-10');
  await page.click('[data-preview]');
  must((await page.textContent('#preview')).includes('Margaret Hamilton'), 'the preview is on the page');
  await screenshot(page, 'helpdesk-without-javascript');
  await page.click('[data-save]');
  await page.waitForURL('**saved=**');
  await page.click('text=Undo');
  await page.fill('[data-edit] [name=reason]', 'A try');
  await page.click('[data-save]');
  equal(new URL(page.url()).pathname, '/helpdesk/history', 'where undo ends');
  await page.context().close();
}

async function otherPages(page, url) {
  for (const name of ['rules', 'pending', 'history', 'import']) {
    step(name);
    await page.goto(`${url}helpdesk/${name}`);
    await judge(page, `helpdesk-${name}`);
  }
  noProblems(page);
}

await run(async ({ newPage }, [url, role]) => {
  const grace = await withScript(newPage, url, role);
  await conflict(newPage, url, grace);
  await byKeyboard(grace, url);
  await otherPages(grace, url);
  await withoutScript(newPage, url);
});
