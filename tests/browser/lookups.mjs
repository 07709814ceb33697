// The helpdesk's pages that answer, as people of each kind see them. Argument: the address of
// Rolegate, where grace is helpdesk, ada admin, linus auditor and margaret nobody.

import {
  axe, equal, fitsWidth, must, noProblems, run, screenshot, signIn, step,
} from './driver.mjs';

const LOOKS = [
  { width: 360, height: 740, theme: 'light' },
  { width: 360, height: 740, theme: 'dark' },
  { width: 1280, height: 800, theme: 'light' },
  { width: 1280, height: 800, theme: 'dark' },
];

const failures = [];

async function noting(promise) {
  await promise.catch((error) => failures.push(error.message));
}

/** Looks at a page in every theme and size. */
async function judge(page, name) {
  for (const { theme, ...size } of LOOKS) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: theme });
    const look = `${name}-${size.width}-${theme}`;
    await noting(axe(page, look));
    await noting(fitsWidth(page, look));
    await screenshot(page, look);
  }
  await page.setViewportSize({ width: 320, height: 640 });
  await noting(fitsWidth(page, `${name}-320`));
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function signedIn(newPage, address, who, options) {
  const page = await newPage(options);
  await page.goto(address);
  await signIn(page, who);
  await page.waitForURL(address);
  return page;
}

async function helpdesk(newPage, address) {
  const page = await signedIn(newPage, address, 'grace');
  step('people');
  await page.goto(`${address}helpdesk/people`);
  await page.locator('#q').pressSequentially('ada');
  await page.waitForSelector('#found a:text-is("Ada Lovelace")');
  await page.fill('#q', 'a');
  await page.press('#q', 'Enter');
  await page.waitForURL(/q=a$/);
  await judge(page, 'lookup-people');
  await page.goto(`${address}helpdesk/people?q=ada`);
  await page.click('text=Ada Lovelace');
  step('person');
  await judge(page, 'lookup-person');
  const ada = page.url();
  step('why');
  await page.fill('#role', 'Payments production/Administrator');
  await page.click('text=Ask');
  await page.waitForSelector('[data-held]');
  equal(await page.getAttribute('[data-held]', 'data-held'), 'true', 'ada holds Administrator');
  await judge(page, 'lookup-why-held');
  step('view as');
  await page.goto(`${ada}/picker`);
  equal(await page.locator('form[action="/console"]').count(), 0, 'forms that open the console');
  await judge(page, 'lookup-view-as');
  await page.click('[data-role-arn] >> nth=0');
  await page.waitForSelector('[data-held]');
  step('why not');
  await page.goto(`${address}helpdesk/people?q=margaret`);
  await page.click('text=Margaret Hamilton');
  await page.fill('#role', 'arn:aws:iam::111122223333:role/team/Support');
  await page.press('#role', 'Enter');
  await page.waitForSelector('[data-held]');
  await page.click('.ticket summary');
  await judge(page, 'lookup-why-not');
  step('locked');
  await page.goto(`${address}helpdesk/people?q=locked`);
  await page.click('text=Lock Keeper');
  must((await page.locator('[data-reason]').count()) > 0, 'the helpdesk is told why');
  step('groups');
  await page.goto(`${address}helpdesk/groups`);
  await page.locator('#q').pressSequentially('payments');
  await page.waitForSelector('#found a:text-is("payments-dev")');
  await judge(page, 'lookup-groups');
  await page.click('a:text-is("payments-dev")');
  await judge(page, 'lookup-group');
  step('roles');
  await page.goto(`${address}helpdesk/roles`);
  await judge(page, 'lookup-roles');
  step('reviews');
  await page.goto(`${address}helpdesk/reviews`);
  await page.fill('#name', 'Autumn review');
  await page.fill('#scope', 'corp:cn=payments-dev,ou=groups,dc=example,dc=com');
  await page.click('text=Begin >> nth=-1');
  await page.waitForSelector('[data-row]');
  await judge(page, 'lookup-review');
  await page.check('[name=row] >> nth=0');
  await page.click('[value=end]');
  await page.waitForSelector('.decision-end');
  await page.check('[name=rest]');
  await page.click('[value=keep]');
  await page.click('text=Sign off');
  await page.waitForSelector('text=still give access');
  await judge(page, 'lookup-review-closed');
  await page.click('[action$="/end"] button');
  await judge(page, 'lookup-confirm');
  await page.click('[data-save]');
  await page.waitForURL(/reviews\/.*saved=/);
  await page.goto(`${address}helpdesk/reviews`);
  await judge(page, 'lookup-reviews');
  noProblems(page);
}

async function admin(newPage, address) {
  const page = await signedIn(newPage, address, 'ada');
  step('an account');
  await page.goto(`${address}helpdesk/accounts/111122223333`);
  await judge(page, 'lookup-account');
  step('a role');
  await page.goto(`${address}helpdesk/roles/arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2FSupport`);
  await judge(page, 'lookup-role');
  await page.fill('#field-max_duration', '99h');
  await page.click('text=Show what this does');
  await page.waitForSelector('#error-max_duration:not(:empty)');
  await judge(page, 'lookup-role-wrong');
  await page.fill('#field-max_duration', '2h');
  await page.click('text=Show what this does');
  await page.waitForSelector('[data-save]');
  await judge(page, 'lookup-role-confirm');
  noProblems(page);
}

async function auditor(newPage, address) {
  const page = await signedIn(newPage, address, 'linus');
  step('the audit log');
  await page.goto(`${address}audit`);
  await page.click('text=Verify now');
  await page.waitForSelector('text=The chain holds');
  await page.click('.events summary >> nth=0');
  await judge(page, 'lookup-audit');
  noProblems(page);
}

async function nobody(newPage, address) {
  const page = await signedIn(newPage, address, 'margaret');
  step('the empty picker');
  await judge(page, 'lookup-picker-empty');
  await page.goto(`${address}console/111122223333/Support`);
  step('a role that is not theirs');
  await judge(page, 'lookup-not-entitled');
  noProblems(page);
}

async function withoutScript(newPage, address) {
  step('without JavaScript');
  const page = await signedIn(newPage, address, 'grace', { javaScript: false });
  await page.goto(`${address}helpdesk/people`);
  await page.fill('#q', 'ada');
  await page.click('text=Find');
  await page.click('text=Ada Lovelace');
  await page.fill('#role', '111122223333');
  await page.click('text=Ask');
  await page.click('.choices-list a >> nth=0');
  must((await page.locator('[data-held]').count()) === 1, 'the question is answered');
}

await run(async ({ newPage }, [address]) => {
  await helpdesk(newPage, address);
  await admin(newPage, address);
  await auditor(newPage, address);
  await nobody(newPage, address);
  await withoutScript(newPage, address);
  if (failures.length > 0) throw new Error(failures.join('\n'));
});
