// Looks at the pages that `cargo test --lib web::views::preview_tests` wrote to target/preview, in
// headless Chromium under the production Content-Security-Policy: axe, sideways scrolling, target
// sizes, the keyboard walk on the picker, the speed of the filter, sizes over the wire; and holds
// the ranking in static/picker.js to the table that the Rust ranking is held to.
//
//   node tests/browser/pages_preview.mjs [--shots FOLDER] [--only picker,role]
//
// Needs playwright-core and axe-core beside it or under NODE_MODULES_AT, and Chromium at
// CHROMIUM (default /usr/bin/chromium). Exits 1 when anything is found.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const preview = join(root, "target/preview");
const require = createRequire(
  process.env.NODE_MODULES_AT ? join(resolve(process.env.NODE_MODULES_AT), "x.js") : import.meta.url,
);
const { chromium } = require("playwright-core");
const axePath = require.resolve("axe-core/axe.min.js");
const shotsAt = process.argv.includes("--shots") ? process.argv[process.argv.indexOf("--shots") + 1] : null;

const found = [];
function complain(text) {
  found.push(text);
  console.error(`FOUND ${text}`);
}
function expect(isTrue, text) {
  if (!isTrue) complain(text);
}

// ---- The ranking, without a browser --------------------------------------------------------

const picker = await import(pathToFileURL(join(root, "static/picker.js")).href);
const table = JSON.parse(await readFile(join(root, "src/web/views/search_cases.json"), "utf8"));
for (const { query, order } of table.cases) {
  const words = picker.wordsOf(query);
  const scored = table.roles
    .map((role, place) => {
      const account = picker.accountFields(role.account, role.id, role.alias ?? "", role.about_account ?? "");
      const score = picker.roleScore(
        words,
        picker.accountScores(words, account),
        picker.roleFields(role.role, role.about_role ?? ""),
        role.favourite ?? false,
      );
      return { place, score };
    })
    .filter(({ score }) => score > 0)
    .sort((one, other) => other.score - one.score);
  const got = scored.map(({ place }) => place);
  expect(JSON.stringify(got) === JSON.stringify(order), `ranking of "${query}": ${got} instead of ${order}`);
}

// ---- A server with the production headers ---------------------------------------------------

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' https: http://127.0.0.1:*";
const types = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};
const posts = [];
let pickerPage = "picker.html";

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  response.setHeader("content-security-policy", policy);
  response.setHeader("referrer-policy", "same-origin");
  response.setHeader("x-content-type-options", "nosniff");
  if (request.method === "POST") {
    let body = "";
    for await (const chunk of request) body += chunk;
    posts.push({ path: url.pathname, fields: new URLSearchParams(body) });
    response.writeHead(url.pathname === "/favourites" ? 204 : 200, { "content-type": types[".html"] });
    return response.end(url.pathname === "/favourites" ? "" : "<!doctype html><title>Posted</title>");
  }
  if (url.pathname === "/favicon.ico") return response.writeHead(204).end();
  let name = url.pathname.slice(1);
  if (name === "") name = looksPasted(url.searchParams.get("q")) ? "picker-pasted.html" : pickerPage;
  if (name === "role") name = "role.html";
  try {
    const bytes = await readFile(join(preview, name));
    response.writeHead(200, { "content-type": types[extname(name)] ?? "application/octet-stream" });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
function looksPasted(query) {
  return /^(arn:|https?:)/.test(query ?? "");
}
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const base = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const pages = (await readdir(preview)).filter((name) => name.endsWith(".html")).sort();

async function open(options, path) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && complain(`${path}: ${message.text()}`));
  page.on("pageerror", (error) => complain(`${path}: ${error.message}`));
  await page.goto(`${base}/${path}`);
  return { context, page };
}

// ---- Every page: axe in both themes, no sideways scrolling, targets of 24 px -----------------

async function axe(page, label) {
  // Through the debugger, which the page's own policy does not bind.
  await page.evaluate(await readFile(axePath, "utf8"));
  const result = await page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  for (const violation of result.violations) {
    complain(`${label}: axe ${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  }
}

async function layoutFaults(page, label) {
  const faults = await page.evaluate(() => {
    const list = [];
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide > 0) list.push(`scrolls sideways by ${wide} px`);
    for (const target of document.querySelectorAll("a, button, input:not([type=hidden]), summary")) {
      if (!target.checkVisibility() || target.closest(".skip, dialog:not([open])")) continue;
      const inLine = target.matches("a") && getComputedStyle(target).display === "inline";
      const box = (target.closest("label") ?? target).getBoundingClientRect();
      if (!inLine && box.width > 0 && (box.width < 24 || box.height < 24)) {
        list.push(`target of ${Math.round(box.width)}×${Math.round(box.height)}: ${target.outerHTML.slice(0, 100)}`);
      }
    }
    return list;
  });
  for (const fault of faults) complain(`${label}: ${fault}`);
}

if (shotsAt) await mkdir(shotsAt, { recursive: true });
const only = process.argv.includes("--only") ? process.argv[process.argv.indexOf("--only") + 1].split(",") : null;
const pagesToLookAt = pages.filter((name) => !only || only.includes(name.replace(".html", "")));
const widths = [
  { width: 320, height: 640, colorScheme: "light" },
  { width: 360, height: 740, colorScheme: "dark" },
  { width: 1280, height: 800, colorScheme: "light" },
  { width: 1280, height: 800, colorScheme: "dark" },
];
for (const { width, height, colorScheme } of widths) {
  for (const name of pagesToLookAt) {
    if (name === "console-at-once.html") continue;
    const label = `${name.replace(".html", "")}-${width}-${colorScheme}`;
    const { context, page } = await open({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" }, name);
    await layoutFaults(page, label);
    if (width !== 360) await axe(page, label);
    if (shotsAt) await page.screenshot({ path: join(shotsAt, `${label}.png`), fullPage: name !== "picker-large.html" });
    await context.close();
  }
}
for (const forcedColors of ["active"]) {
  for (const name of ["picker.html", "role.html", "sign-in-refused.html"]) {
    const { context, page } = await open({ viewport: { width: 1280, height: 800 }, forcedColors }, name);
    if (shotsAt) await page.screenshot({ path: join(shotsAt, `${name.replace(".html", "")}-forced.png`) });
    await context.close();
  }
}

// ---- The keyboard walk on the picker --------------------------------------------------------

const focused = (page) => page.evaluate(() => document.activeElement?.dataset.roleArn ?? document.activeElement?.id);

async function walk() {
  const { context, page } = await open({ viewport: { width: 1280, height: 800 } }, "");
  expect((await focused(page)) === "search", "the search has the focus on load");
  await page.keyboard.type("payments operator");
  await page.waitForSelector("[data-results]:not([hidden]) mark");
  await page.waitForURL(`${base}/?q=payments%20operator`);
  expect((await page.locator("[data-rows] [data-role-arn]").count()) === 2, "two roles are found");
  await page.waitForFunction(() => document.querySelector("[data-status]").textContent.startsWith("2 roles"));
  if (shotsAt) await page.screenshot({ path: join(shotsAt, "walk-filtered.png") });

  await page.keyboard.press("Escape");
  expect((await page.inputValue("#search")) === "", "Esc clears");
  await page.keyboard.type("payments read");
  await page.waitForSelector(".chip.best");
  const [popup] = await Promise.all([context.waitForEvent("page"), page.keyboard.press("Enter")]);
  await popup.waitForLoadState();
  const post = posts.at(-1);
  expect(post.path === "/console" && post.fields.get("role")?.endsWith("role/ReadOnly"), "Enter opens the best");
  expect(post.fields.get("csrf_token") === "c2FtcGxlLXRva2Vu", "the post carries the token");
  await popup.close();

  await page.keyboard.press("ArrowDown");
  expect((await focused(page))?.startsWith("arn:"), "↓ moves to the roles");
  const first = await focused(page);
  await page.keyboard.press("ArrowDown");
  expect((await focused(page)) !== first, "↓ moves on");
  await page.keyboard.press("ArrowUp");
  expect((await focused(page)) === first, "↑ moves back");
  await page.keyboard.press("f");
  await page.waitForFunction(() => document.activeElement.querySelector(".star"));
  expect(posts.at(-1).path === "/favourites" && posts.at(-1).fields.get("favourite") === "1", "f marks a favourite");
  await page.keyboard.press("Shift+Enter");
  await page.waitForSelector("#role-dialog[open] #role-card");
  expect(await page.evaluate(() => document.querySelector("#role-dialog").contains(document.activeElement)), "the dialog has the focus");
  await axe(page, "the options dialog");
  await layoutFaults(page, "the options dialog");
  if (shotsAt) await page.screenshot({ path: join(shotsAt, "walk-dialog.png") });
  await page.keyboard.press("Escape");
  expect((await focused(page)) === first, "the focus comes back from the dialog");
  await page.keyboard.press("?");
  await page.waitForSelector("#keys[open]");
  await axe(page, "the keys dialog");
  await page.click("[data-letters]");
  await page.keyboard.press("Escape");
  await page.locator(`[data-rows] [data-role-arn]`).first().focus();
  const before = posts.length;
  await page.keyboard.press("f");
  await page.keyboard.press("ArrowUp");
  expect((await focused(page)) === "search", "↑ from the first role goes back to the search");
  expect(posts.length === before, "letters do nothing once switched off");
  await context.close();

  // Tab order is reading order.
  const { context: other, page: fresh } = await open({ viewport: { width: 1280, height: 800 } }, "");
  let last = -1;
  await fresh.evaluate(() => document.activeElement.blur());
  for (let stop = 0; stop < 40; stop += 1) {
    await fresh.keyboard.press("Tab");
    const [top, isSeen] = await fresh.evaluate(() => {
      const all = [...document.querySelectorAll("*")];
      const style = getComputedStyle(document.activeElement);
      return [all.indexOf(document.activeElement), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
    });
    expect(top > last, `tab stop ${stop} goes back`);
    expect(isSeen, `tab stop ${stop} shows no focus`);
    last = top;
  }
  await fresh.focus("#search");
  await fresh.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text", "arn:aws:s3:::reports");
    document.getElementById("search").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await fresh.waitForSelector("#pasted");
  expect((await fresh.locator("#open [name=destination]").count()) === 1, "a pasted address carries its destination");
  await fresh.waitForSelector(".chip.best");
  const [landed] = await Promise.all([other.waitForEvent("page"), fresh.keyboard.press("Enter")]);
  await landed.waitForLoadState();
  expect(posts.at(-1).fields.get("destination")?.startsWith("https://s3."), "Enter lands where the pasted address points");
  await fresh.bringToFront();
  await fresh.fill("#search", "payments");
  await fresh.waitForSelector("[data-results]:not([hidden]) mark");
  expect((await fresh.locator("#open [name=destination]").count()) === 0, "another search forgets what was pasted");
  await other.close();
}
await walk();

// ---- The theme is remembered ----------------------------------------------------------------

{
  const { context, page } = await open({ viewport: { width: 1280, height: 800 } }, "");
  await page.click("[data-menu] summary");
  await page.click("[data-theme-switch] [value=dark]");
  if (shotsAt) await page.screenshot({ path: join(shotsAt, "walk-menu.png") });
  await page.reload();
  expect((await page.getAttribute("html", "data-theme")) === "dark", "the theme is remembered");
  await context.close();
}

// ---- The deep link posts by itself, and the page works without script --------------------------

{
  const { context, page } = await open({}, "console-at-once.html");
  await page.waitForURL("**/console");
  expect(posts.at(-1).path === "/console", "the deep link posts its form");
  await context.close();
  const bare = await browser.newContext({ javaScriptEnabled: false });
  const plain = await bare.newPage();
  await plain.goto(`${base}/picker.html`);
  const [popup] = await Promise.all([bare.waitForEvent("page"), plain.locator("[data-all] .chip button[form=open]").first().click()]);
  await popup.waitForLoadState();
  expect(posts.at(-1).path === "/console", "a chip opens the console without script");
  await plain.locator(".chip a").first().click();
  expect(new URL(plain.url()).pathname === "/role", "options are a page without script");
  await bare.close();
}

// ---- Ten thousand roles -----------------------------------------------------------------------

{
  pickerPage = "picker-large.html";
  const { context, page } = await open({ viewport: { width: 1280, height: 800 } }, "");
  await page.focus("#search");
  await page.keyboard.type("p");
  await page.waitForSelector("[data-results]:not([hidden]) mark");
  const times = await page.evaluate(async () => {
    const search = document.getElementById("search");
    const list = [];
    for (const text of ["p", "pa", "pay", "paym", "payme prod", "prod", "prod ad", "o", "ro", "2000", "dbadm", "x", "incident media"]) {
      search.value = text;
      // The best of five: other work on the machine only ever adds.
      let least = Infinity;
      for (let turn = 0; turn < 5; turn += 1) {
        // Eight other words, so that nothing is remembered from the turn before.
        search.value = `${turn}a b${turn} c${turn} d${turn} e${turn} f${turn} g${turn} h${turn}`;
        search.dispatchEvent(new Event("input"));
        search.value = text;
        const began = performance.now();
        search.dispatchEvent(new Event("input"));
        least = Math.min(least, performance.now() - began);
        await new Promise((next) => setTimeout(next, 120));
      }
      list.push([text, least]);
    }
    return list;
  });
  const data = picker.unpack(JSON.parse(await readFile(join(preview, "picker.json"), "utf8")));
  const ranking = times.map(([text]) => {
    const began = performance.now();
    picker.rank(data, text);
    return performance.now() - began;
  });
  console.log("10,000 roles, ms per key (filter and rows | ranking alone in node):");
  times.forEach(([text, ms], place) => console.log(`  ${text.padEnd(16)} ${ms.toFixed(1).padStart(6)} | ${ranking[place].toFixed(1)}`));
  expect((await page.locator("[data-rows] .row").count()) <= 60, "at most sixty rows are drawn");
  if (shotsAt) await page.screenshot({ path: join(shotsAt, "walk-large.png") });
  await context.close();
  pickerPage = "picker.html";
}

// ---- Sizes over the wire ----------------------------------------------------------------------

const size = async (path) => {
  const bytes = await readFile(join(preview, path));
  return [bytes.length, gzipSync(bytes).length];
};
let first = 0;
const html = await readFile(join(preview, "picker.html"), "utf8");
const used = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1].slice(1));
for (const path of ["picker.html", ...used, "picker-large.html", "picker.json", "sign-in.html"]) {
  const [plain, packed] = await size(path);
  if (path === "picker.html" || used.includes(path)) first += packed;
  console.log(`${path.padEnd(40)} ${String(plain).padStart(8)} bytes ${String(packed).padStart(7)} gzip`);
}
console.log(`first page of forty roles with everything it loads: ${first} bytes gzip`);
expect(first < 30 * 1024, "the first page stays under 30 KB");

await browser.close();
server.close();
console.log(found.length === 0 ? `${pages.length} pages: nothing found` : `${found.length} findings`);
process.exit(found.length === 0 ? 0 : 1);
