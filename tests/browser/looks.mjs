// How a page looks: in light and dark, narrow and wide, by axe and by its pictures.

import { axe, fitsWidth, screenshot } from './driver.mjs';

const LOOKS = [
  { width: 360, height: 740, theme: 'light' },
  { width: 360, height: 740, theme: 'dark' },
  { width: 1280, height: 800, theme: 'light' },
  { width: 1280, height: 800, theme: 'dark' },
];
// 320 px, and a window of 1280 px at a zoom of 200 %.
const NARROW = [{ width: 320, height: 640 }, { width: 640, height: 400 }];

// Every page is looked at before the script fails: a stylesheet is mended once.
const faults = [];

async function noting(check) {
  await check.catch((error) => {
    console.error(error.message);
    faults.push(error.message.split('\n')[0]);
  });
}

/**
 * Judges the page as it stands, in every look, and keeps its pictures. Where only words differ from
 * a page judged before, axe is content with one narrow and one wide look.
 */
export async function judge(page, name, { isKnown = false } = {}) {
  for (const { theme, ...size } of LOOKS) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: theme });
    const look = `${name}-${size.width}-${theme}`;
    const isEnough = isKnown && (size.width < 1000) === (theme === 'light');
    if (!isEnough) await noting(axe(page, look));
    await noting(fitsWidth(page, look));
    await screenshot(page, look);
  }
  for (const size of NARROW) {
    await page.setViewportSize(size);
    await noting(fitsWidth(page, `${name}-${size.width}`));
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** Sends a form as a page of ours does; `csrf_token` is the page's own unless another is given. */
export async function post(page, path, fields) {
  await Promise.all([
    page.waitForNavigation(),
    page.evaluate(([action, given]) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', action });
      const token = document.querySelector('[name=csrf_token]').value;
      for (const [name, value] of Object.entries({ csrf_token: token, ...given })) {
        form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
      }
      document.body.append(form);
      form.submit();
    }, [path, fields]),
  ]);
}

/** Throws when a page that was judged has a fault. */
export function noFaults() {
  if (faults.length > 0) throw new Error(`${faults.length} faults:\n${faults.join('\n')}`);
}
