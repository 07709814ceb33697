// What an edit is like from its first letter to its undo, seen by the helpdesk and by whoever gains:
// with a mouse, by keyboard alone, without JavaScript. Everything is found by what people read.
// Arguments: the address, and the ARN of a role that book-club shall get.

import {
  axe, equal, fitsWidth, must, noProblems, run, screenshot, signIn, step,
} from './driver.mjs';

const LOOKS = [[360, 'light'], [360, 'dark'], [1280, 'light'], [1280, 'dark']];
const ROLE = 'Web shop production/ReadOnly';
const SAVES = /^(Add|Save|End) mapping/;

const failures = [];

async function noting(promise) {
  await promise.catch((error) => failures.push(error.message));
}

/** Looks at a page in every size and theme; what is wrong is told at the end. */
async function judge(page, name) {
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    // What the frame covers while the page is scrolled is no smaller for it.
    await page.evaluate(() => scrollTo(0, 0));
    if (page.hasJavaScript) await noting(axe(page, `${name}-${width}-${colorScheme}`));
    await noting(fitsWidth(page, `${name}-${width}`));
    await screenshot(page, `${name}-${width}-${colorScheme}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function enter(newPage, address, username, options) {
  const page = await newPage(options);
  await page.goto(address);
  await signIn(page, username);
  await page.waitForURL(address);
  return page;
}

/** The same pages look the same whatever hands they are under. */
async function judgeOnce(hands, page, state) {
  if (hands === keyboard) return;
  await judge(page, `journey${page.hasJavaScript ? '' : '-plain'}-${state}`);
}

const link = (page, name) => page.getByRole('link', { name }).first();
const button = (page, name) => page.getByRole('button', { name }).first();
const field = (page, label) => page.locator('[data-edit]').getByLabel(label, { exact: true });

/** What hands do with a mouse. */
const mouse = {
  name: 'mouse',
  follow: (page, name) => link(page, name).click(),
  press: (page, name) => button(page, name).click(),
  fill: (page, label, text) => field(page, label).fill(text),
  check: (page, label) => field(page, label).check(),
};

/** Goes on with Tab until it is there. */
async function tabTo(page, locator) {
  const element = await locator.elementHandle();
  for (let tabs = 0; tabs < 500; tabs += 1) {
    await page.keyboard.press('Tab');
    if (await element.evaluate((it) => it === document.activeElement)) return;
  }
  throw new Error(`Tab does not reach ${locator}`);
}

/** What hands do without one. */
const keyboard = {
  name: 'keyboard',
  async follow(page, name) {
    await tabTo(page, link(page, name));
    await page.keyboard.press('Enter');
  },
  async press(page, name) {
    await tabTo(page, button(page, name));
    await page.keyboard.press('Enter');
  },
  async fill(page, label, text) {
    await tabTo(page, field(page, label));
    await page.keyboard.press('Control+A');
    await page.keyboard.type(text);
  },
  async check(page, label) {
    await tabTo(page, field(page, label));
    await page.keyboard.press('Space');
  },
};

/** Waits for the preview of what was typed, or asks for it where no script does. */
async function look(hands, page) {
  if (!page.hasJavaScript) {
    await hands.press(page, 'Show what this does');
    return;
  }
  await page.waitForSelector('[data-save]:not([disabled])');
}

/** Waits until it is saved; says what the page says where it is not. */
async function isSaved(page) {
  await page.waitForURL(/saved=/).catch(async () => {
    const words = await page.textContent('#preview').catch(() => page.textContent('main'));
    throw new Error(`nothing was saved at ${page.url()}: ${words}`);
  });
}

const hasRole = async (page, arn) => (await page.locator(`[data-role-arn="${arn}"]`).count()) > 0;

/** Adds a mapping, and takes it back; the gainer is signed in all along. */
async function addAndUndo(hands, page, gainer, { address, arn }) {
  await gainer.goto(address);
  must(!(await hasRole(gainer, arn)), 'margaret has no role yet');
  await page.goto(`${address}helpdesk/mappings`);
  await hands.follow(page, 'Add a mapping');
  await page.waitForURL('**/mappings/new**');
  await judgeOnce(hands, page, 'new');
  await hands.fill(page, 'Group', 'book-club');
  await hands.fill(page, 'Role', ROLE);
  await hands.fill(page, 'Ends', '2099-12-31');
  await hands.fill(page, 'Ticket', 'HD-7');
  await look(hands, page);
  const preview = await page.textContent('#preview');
  must(preview.includes('Margaret Hamilton (margaret)'), `the preview names who gains: ${preview}`);
  must(!preview.includes('Ada Lovelace'), 'ada has the role by another group, and gains nothing');
  await judgeOnce(hands, page, 'preview');
  await hands.press(page, 'Add mapping for 1 person');
  await isSaved(page);
  must((await page.textContent('main')).includes('Saved. +1 person.'), 'it says what was saved');
  await judgeOnce(hands, page, 'saved');
  await gainer.reload();
  must(await hasRole(gainer, arn), 'margaret has the role on the next page load');
  await judgeOnce(hands, gainer, 'gained');

  await hands.follow(page, 'Undo');
  await page.waitForURL('**/undo**');
  await hands.fill(page, 'Reason for this change', 'It was a try');
  await look(hands, page);
  await judgeOnce(hands, page, 'undo');
  await hands.press(page, 'End mapping for 1 person');
  await page.waitForURL('**/history**');
  must((await page.textContent('main')).includes('It was a try'), 'the history says why');
  await judgeOnce(hands, page, 'undone');
  await gainer.reload();
  must(!(await hasRole(gainer, arn)), 'the role is gone on the next page load');
}

/** Two browsers on one row: the second one meets both versions, and overwrites nothing. */
async function conflict(hands, [mine, theirs], { address }) {
  await theirs.goto(`${address}helpdesk/mappings/new`);
  await mouse.fill(theirs, 'Group', 'book-club');
  await mouse.fill(theirs, 'Role', ROLE);
  await mouse.fill(theirs, 'Ticket', 'HD-7');
  await look(mouse, theirs);
  await mouse.press(theirs, 'Add mapping for 1 person');
  await isSaved(theirs);
  const list = `${address}helpdesk/mappings?q=book-club`;
  for (const [page, by] of [[mine, hands], [theirs, mouse]]) {
    await page.goto(list);
    await by.follow(page, 'Edit book-club, ReadOnly');
    await page.waitForSelector('[data-edit]');
  }
  await mouse.fill(theirs, 'Ticket', 'HD-8');
  await mouse.fill(theirs, 'Reason for this change', 'The ticket was another');
  await look(mouse, theirs);
  await mouse.press(theirs, SAVES);
  await isSaved(theirs);

  await hands.check(mine, 'Read-only');
  await hands.fill(mine, 'Reason for this change', 'Looking is enough');
  if (mine.hasJavaScript) await mine.waitForSelector('text=Somebody changed this meanwhile');
  else await hands.press(mine, 'Show what this does');
  await judgeOnce(hands, mine, 'changed-meanwhile');
  if (mine.hasJavaScript) await hands.press(mine, 'Show what this does');
  await mine.waitForSelector('text=Somebody changed this while you edited it');
  const words = await mine.textContent('[data-conflict]');
  for (const said of ['HD-8', 'HD-7', 'The ticket was another', 'Read-only', 'Linus']) {
    must(words.toLowerCase().includes(said.toLowerCase()), `the conflict shows ${said}: ${words}`);
  }
  await judgeOnce(hands, mine, 'conflict');
  await theirs.goto(list);
  const row = await theirs.textContent('tr[data-mapping]');
  must(row.includes('HD-8') && !row.includes('read-only'), `nothing was overwritten: ${row}`);

  await hands.press(mine, 'Show what mine does to theirs');
  await mine.waitForSelector('[data-save]');
  await judgeOnce(hands, mine, 'mine-on-theirs');
  await hands.press(mine, SAVES);
  await isSaved(mine);
  await mine.goto(list);
  await hands.follow(mine, 'Edit book-club, ReadOnly');
  await hands.press(mine, 'End this mapping now');
  await hands.fill(mine, 'Reason for this change', 'The try is over');
  await look(hands, mine);
  await judgeOnce(hands, mine, 'ending');
  await hands.press(mine, SAVES);
  await isSaved(mine);
}

/** Leaving a field for the button saves once, however slow the answer is. */
async function savesOnce(page, { address }) {
  await page.goto(`${address}helpdesk/mappings/new`);
  await mouse.fill(page, 'Group', 'webshop-readers');
  await mouse.fill(page, 'Role', 'Shared services/Billing');
  await mouse.fill(page, 'Ticket', 'HD-13');
  await look(mouse, page);
  const sent = [];
  await page.route('**/helpdesk/{save,preview}*', async (route) => {
    sent.push(new URL(route.request().url()).pathname);
    // Longer than a change waits before it asks for its preview.
    await new Promise((go) => { setTimeout(go, 700); });
    await route.continue().catch(() => {});
  });
  await mouse.press(page, SAVES);
  await isSaved(page);
  await page.unroute('**/helpdesk/{save,preview}*');
  equal(sent.join(' '), '/helpdesk/save', 'what is sent');
}

/** A role for oneself: its author asks, somebody else decides. */
async function fourEyes(author, second, { address }) {
  await author.goto(`${address}helpdesk/mappings/new`);
  await mouse.fill(author, 'Group', 'finance');
  await mouse.fill(author, 'Role', ROLE);
  await mouse.fill(author, 'Ends', 'soon');
  await author.waitForSelector('#error-expires:not(:empty)');
  await judge(author, 'journey-wrong');
  await mouse.fill(author, 'Ends', '');
  await mouse.fill(author, 'Ticket', 'HD-9');
  await look(mouse, author);
  must((await author.textContent('#preview')).includes('This would give yourself'), 'it is said');
  await judge(author, 'journey-self-gain');
  await mouse.press(author, 'Ask a second person');
  await author.waitForURL('**/helpdesk/pending/**');
  await judge(author, 'journey-pending-own');
  equal(await button(author, /^Approve/).count(), 0, 'buttons with which an author approves');
  await second.goto(author.url());
  await judge(second, 'journey-pending-second');
  await mouse.press(second, /^Approve/);
  await second.waitForURL('**/history**');
  await judge(second, 'journey-approved');
}

/** Somebody whose group covers development alone. */
async function withinScope(newPage, { address }) {
  const page = await enter(newPage, address, 'sam');
  await page.goto(`${address}helpdesk/mappings`);
  must((await page.textContent('.notice')).includes('accounts of development'), 'the limit is said');
  await judge(page, 'journey-scope-list');
  await page.goto(`${address}helpdesk/mappings/new`);
  await mouse.fill(page, 'Group', 'book-club');
  await mouse.fill(page, 'Role', ROLE);
  await mouse.fill(page, 'Ticket', 'HD-11');
  await page.waitForSelector('text=outside of what your helpdesk group covers');
  equal(await page.locator('[data-save]').count(), 0, 'buttons that save');
  await judge(page, 'journey-scope-refused');
  await mouse.fill(page, 'Role', 'Payments development/Sandbox');
  await look(mouse, page);
  await mouse.press(page, SAVES);
  await isSaved(page);
  noProblems(page);
}

await run(async ({ newPage }, [address, arn]) => {
  const site = { address, arn };
  const gainer = await enter(newPage, address, 'margaret');
  const grace = await enter(newPage, address, 'grace');
  const linus = await enter(newPage, address, 'linus');
  for (const hands of [mouse, keyboard]) {
    step(`by ${hands.name}: a mapping, held at once, and undone`);
    await addAndUndo(hands, grace, gainer, site);
    step(`by ${hands.name}: two browsers on one row`);
    await conflict(hands, [grace, linus], site);
  }
  step('over a slow line');
  await savesOnce(grace, site);
  step('without JavaScript');
  const plain = await enter(newPage, address, 'grace', { javaScript: false });
  await addAndUndo(mouse, plain, gainer, site);
  await conflict(mouse, [plain, linus], site);
  step('four eyes');
  await fourEyes(grace, linus, site);
  step('within a scope');
  await withinScope(newPage, site);
  for (const page of [gainer, grace, linus]) noProblems(page);
  if (failures.length > 0) throw new Error(failures.join('\n'));
});
