// Holds the ranking in static/picker.js to the table that the Rust ranking is held to. Needs no
// browser.

import { readFile } from 'node:fs/promises';

import { equal } from './driver.mjs';

// Read as a module whatever Node.js thinks of its name: nothing beside it says what it is.
const source = await readFile('../../static/picker.js', 'utf8');
const { accountFields, accountScores, roleFields, roleScore, wordsOf } = await import(
  `data:text/javascript,${encodeURIComponent(source)}`
);

const table = JSON.parse(await readFile('../../src/web/views/search_cases.json', 'utf8'));

function score(role, words) {
  const account = accountFields(role.account, role.id, role.alias ?? '', role.about_account ?? '');
  const fields = roleFields(role.role, role.about_role ?? '');
  return roleScore(words, accountScores(words, account), fields, role.favourite ?? false);
}

for (const { query, order } of table.cases) {
  const words = wordsOf(query);
  const found = table.roles
    .map((role, place) => ({ place, score: score(role, words) }))
    .filter((role) => role.score > 0)
    .sort((one, other) => other.score - one.score)
    .map(({ place }) => place);
  equal(found.join(), order.join(), `the roles for "${query}"`);
}
console.log(`${table.cases.length} searches`);
