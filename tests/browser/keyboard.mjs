// The keyboard alone, on a screen of 320 px. Argument: the address of Rolegate.

import { equal, fitsWidth, isInConsole, must, newTab, noProblems, run, step } from './driver.mjs';

const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  return element?.dataset.roleArn ?? (element?.id || element?.name || element?.tagName);
});

/** Goes through the page with Tab and judges every stop; returns how many there are. */
async function walk(page, name) {
  await fitsWidth(page, name);
  await page.evaluate(() => scrollTo(0, 0));
  // The first of all; blurring would leave the browser where it was.
  await page.focus('.skip');
  let before = null;
  let stops = 0;
  for (; stops < 150; stops += 1) {
    if (stops > 0) await page.keyboard.press('Tab');
    const stop = await page.evaluate(judgeStop);
    if (stop === null || (stops > 0 && stop.isFirst)) break;
    const where = `${name}, stop ${stops + 1} (${stop.what})`;
    must(stop.isSeen, `the focus is seen: ${where}`);
    must(stop.isUncovered, `nothing covers the focus: ${where}`);
    if (before) {
      must(stop.place > before.place, `the order of Tab is the order of the page: ${where}`);
      const isBelow = stop.top >= before.bottom - 4;
      const isBeside = stop.bottom > before.top && stop.left >= before.left;
      must(isBelow || isBeside || stop.isInMenu, `the order of Tab is the order of reading: ${where} after ${before.what}`);
    }
    before = stop;
  }
  return stops;
}

/** Runs in the page: what is known of the element that has the focus. */
function judgeStop() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const looks = () => {
    // Some fields show it on what stands around them.
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(element);
    return { outline: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && outlineColor, boxShadow, borderColor };
  };
  const box = element.getBoundingClientRect();
  const header = document.querySelector('.top');
  const inHeader = header.contains(element);
  const covered = document.elementFromPoint(
    Math.min(innerWidth - 1, Math.max(0, box.left + Math.min(box.width, innerWidth) / 2)),
    Math.min(innerHeight - 1, Math.max(0, box.top + Math.min(box.height, 40) / 2)),
  );
  const stops = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')];
  const scrolled = inHeader ? 0 : scrollY;
  return {
    what: `${element.tagName.toLowerCase()} ${(element.ariaLabel ?? element.textContent).trim().slice(0, 40)}`,
    isFirst: element.classList.contains('skip'),
    isSeen: Boolean(looks().outline),
    isUncovered: covered !== null && (element.contains(covered) || covered.contains(element) || covered.closest('label')?.contains(element)),
    isInMenu: element.closest('.menu-body') !== null,
    place: stops.indexOf(element),
    top: box.top + scrolled,
    bottom: box.bottom + scrolled,
    left: box.left,
  };
}

async function toTheConsole(page, url) {
  step('signs in');
  await page.goto(url);
  equal(await focused(page), 'username-corp', 'the focus');
  await page.keyboard.type('ada');
  await page.keyboard.press('Tab');
  await page.keyboard.type('ada-demo');
  await page.keyboard.press('Enter');
  await page.waitForURL(url);

  step('types, and Enter opens the best role');
  equal(await focused(page), 'search', 'the focus');
  await page.keyboard.type('shop prod edit');
  await page.waitForSelector('.chip.best mark');
  await fitsWidth(page, 'the search');
  const tab = await newTab(page, () => page.keyboard.press('Enter'));
  await isInConsole(tab, '222233334444', 'ContentEditor', 'ada');
  await tab.close();

  step('Esc clears, the arrows move, Enter opens');
  await page.keyboard.press('Escape');
  equal(await page.inputValue('#search'), '', 'the search');
  await page.keyboard.type('staging');
  await page.waitForSelector('.chip.best mark, .account mark');
  await page.keyboard.press('ArrowDown');
  const first = await focused(page);
  must(first.startsWith('arn:aws:iam::111122224444'), `the first role found, not ${first}`);
  await page.keyboard.press('ArrowDown');
  const second = await focused(page);
  must(second.startsWith('arn:') && second !== first, 'the next role');
  const other = await newTab(page, () => page.keyboard.press('Enter'));
  await isInConsole(other, '111122224444', second.split('/').at(-1), 'ada');
  await other.close();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  equal(await focused(page), 'search', 'the way up');
  await page.keyboard.press('Escape');
}

async function keys(page, url) {
  step('Shift+Enter opens the options, Esc closes them and gives the focus back');
  await page.keyboard.press('ArrowDown');
  const role = await focused(page);
  await page.keyboard.press('Shift+Enter');
  await page.waitForSelector('#role-dialog[open] #role-card');
  await fitsWidth(page, 'the options');
  const inDialog = () => page.evaluate(() => document.activeElement?.closest('#role-dialog') !== null);
  equal(await focused(page), 'destination', 'the focus');
  for (let stop = 0; stop < 8; stop += 1) {
    must(await inDialog(), 'the focus is in the dialog');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Escape');
  await page.waitForSelector('#role-dialog', { state: 'hidden' });
  equal(await focused(page), role, 'the focus');

  step('? shows the keys');
  await page.keyboard.press('?');
  await page.waitForSelector('#keys[open]');
  await fitsWidth(page, 'the keys');
  await page.keyboard.press('Escape');
  equal(await focused(page), role, 'the focus');

  step('f marks a favourite');
  await Promise.all([
    page.waitForResponse((response) => response.url().endsWith('/favourites')),
    page.keyboard.press('f'),
  ]);
  await page.waitForFunction(() => document.activeElement.querySelector('.star'));

  step('letters can be switched off');
  await page.keyboard.press('?');
  await page.waitForSelector('#keys[open]');
  await page.evaluate(() => document.querySelector('[data-letters]').focus());
  await page.keyboard.press('Space');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  equal(await page.locator('#keys[open]').count(), 0, 'the list of keys');
  await page.evaluate(() => localStorage.clear());
  await page.reload();

  step('/ goes to the search');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('/');
  equal(await focused(page), 'search', 'the focus');

  step('c shows credentials');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('c');
  await page.waitForURL('**/credentials');
  must((await page.textContent('pre')).includes('ASIA'), 'the credentials');
  await walk(page, 'the credentials');
  await page.goto(url);
}

async function walks(page, url) {
  step('Tab goes through every page in the order of reading, and is always seen');
  const stops = await walk(page, 'the picker');
  must(stops > 50, `all roles are reached, not ${stops} stops`);
  const pages = [
    ['role?arn=arn%3Aaws%3Aiam%3A%3A111122224444%3Arole%2Fteam%2FDeveloper', 'the options'],
    ['sessions', 'the sessions'],
    ['console/222233334444/ReadOnly?confirm=1', 'the deep link'],
    ['console/222233334444/Nobody', 'a refusal'],
    ['?q=arn%3Aaws%3As3%3A%3A%3Areports', 'the picker after pasting'],
    ['signed-out', 'the page after signing out'],
  ];
  for (const [path, name] of pages) {
    await page.goto(url + path);
    must((await walk(page, name)) >= 3, `${name} has stops`);
  }

  step('the menu opens with Enter, closes with Esc, and signs out');
  await page.goto(url);
  await page.evaluate(() => document.activeElement.blur());
  await page.focus('[data-menu] summary');
  await page.keyboard.press('Enter');
  must(await page.isVisible('.menu-body'), 'the menu is open');
  await fitsWidth(page, 'the menu');
  await page.keyboard.press('Escape');
  must(!(await page.isVisible('.menu-body')), 'the menu is closed');
  await page.keyboard.press('Enter');
  while ((await page.evaluate(() => document.activeElement.textContent)) !== 'Sign out') {
    must(await page.evaluate(() => document.activeElement.closest('[data-menu]') !== null), 'the focus is in the menu');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.waitForURL('**/signed-out');
  await page.goto(url);
  await walk(page, 'the sign-in page');
}

await run(async ({ newPage }, [url]) => {
  const page = await newPage({ width: 320, height: 640 });
  await toTheConsole(page, url);
  await keys(page, url);
  await walks(page, url);
  noProblems(page);
});
