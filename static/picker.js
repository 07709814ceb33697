// The picker in the browser: fuzzy filter, keys, the options dialog. Ranks by the same rules as
// src/web/views/search.rs; both are held to the same table of cases.

const mostWords = 8;
const widestGaps = 12;
const favouriteBonus = 3;
const rowsAtOnce = 60;
// Drawn within the keystroke; the rest of the sixty follows when the browser has time.
const rowsFirst = 10;
const chipsAtOnce = 24;
const fewRows = 5;
const flag = { favourite: 1, reason: 2, soon: 4, warning: 8, readOnly: 16, atProvider: 32, code: 64, noConsole: 128 };
// More is needed than a click: the options are shown.
const asksFirst = flag.reason | flag.code | flag.noConsole;
const letterOrDigit = /[\p{Alphabetic}\p{N}]/u;

// ---- Search -------------------------------------------------------------------------------

export function wordsOf(query) {
  return query.toLowerCase().split(/\s+/u).filter(Boolean).slice(0, mostWords);
}

function startsWord(text, at) {
  return at === 0 || !letterOrDigit.test(text[at - 1]);
}

/** Where words start, as an array of 0 and 1: asked far more often than it changes. */
function wordStarts(text) {
  return Uint8Array.from(text, (_, at) => Number(startsWord(text, at)));
}

/** The letters of `word` in order from the start of some word of `text`: gaps and places. */
function lettersWithGaps(text, starts, word) {
  if (word.length < 2) return null;
  let best = null;
  for (let start = text.indexOf(word[0]); start !== -1; start = text.indexOf(word[0], start + 1)) {
    if (!starts[start]) continue;
    const places = [start];
    let at = start;
    for (let next = 1; next < word.length && at !== -1; next += 1) {
      at = text.indexOf(word[next], at + 1);
      places.push(at);
    }
    if (at === -1) continue;
    const gaps = at + 1 - start - word.length;
    if (gaps <= widestGaps && (!best || gaps < best.gaps)) best = { gaps, places };
  }
  return best;
}

function fieldScore(field, word) {
  // Thousands of roles share a few names: what one was worth for a word, the others are too.
  let score = field.scores.get(word);
  if (score === undefined) {
    if (field.scores.size >= mostWords) field.scores.clear();
    score = freshScore(field, word);
    field.scores.set(word, score);
  }
  return score;
}

function freshScore({ text, starts, bonus, allowsGaps }, word) {
  let base;
  let at = text.indexOf(word);
  if (at === -1) {
    const letters = allowsGaps ? lettersWithGaps(text, starts, word) : null;
    if (!letters) return 0;
    base = 20 - letters.gaps;
  } else if (at === 0) {
    base = text.length === word.length ? 100 : 80;
  } else {
    base = 40;
    for (; at !== -1; at = text.indexOf(word, at + word.length)) {
      if (starts[at]) {
        base = 60;
        break;
      }
    }
  }
  const surplus = Math.max(0, text.length - word.length);
  return base + bonus + 9 - Math.min(9, Math.floor(surplus / 8));
}

const fields = new Map();

function field(original, bonus, allowsGaps) {
  const text = original.toLowerCase();
  const key = `${bonus} ${text}`;
  let made = fields.get(key);
  if (!made) {
    made = { text, starts: wordStarts(text), bonus, allowsGaps, scores: new Map() };
    fields.set(key, made);
  }
  return made;
}

/** What of an account is searched, lower-cased once. */
export function accountFields(name, id, alias, about) {
  const fields = [field(name, 6, true), field(id, 3, false)];
  if (alias) fields.push(field(alias, 4, true));
  if (about) fields.push(field(about, 0, false));
  return fields;
}

/** What of a role is searched, lower-cased once. */
export function roleFields(name, about) {
  const fields = [field(name, 5, true)];
  if (about) fields.push(field(about, 0, false));
  return fields;
}

function best(fields, word) {
  let score = 0;
  for (const one of fields) score = Math.max(score, fieldScore(one, word));
  return score;
}

export function accountScores(words, fields) {
  return words.map((word) => best(fields, word));
}

/** How well a role fits, 0 where a word is found nowhere. */
export function roleScore(words, scores, fields, isFavourite) {
  let total = isFavourite ? favouriteBonus : 0;
  for (let place = 0; place < words.length; place += 1) {
    const score = Math.max(scores[place], best(fields, words[place]));
    if (score === 0) return 0;
    total += score;
  }
  return total;
}

/** The accounts with the roles that fit, the best first; equals keep their order. */
export function rank(accounts, query) {
  const words = wordsOf(query);
  const rows = [];
  let roleCount = 0;
  for (const account of accounts) {
    const scores = accountScores(words, account.fields);
    const found = [];
    for (const role of account.roles) {
      const score = roleScore(words, scores, role.fields, (role.flags & flag.favourite) !== 0);
      if (score > 0 || words.length === 0) found.push({ score, role });
    }
    if (found.length === 0) continue;
    if (found.length > 1) found.sort((one, other) => other.score - one.score);
    roleCount += found.length;
    rows.push({ account, best: found[0].score, roles: found.map((entry) => entry.role) });
  }
  if (words.length > 0) rows.sort((one, other) => other.best - one.best);
  return { words, rows, roleCount };
}

/** Pieces of `text`, those that the words mean marked. */
export function parts(text, words, allowsGaps) {
  const lower = text.toLowerCase();
  if (words.length === 0 || lower.length !== text.length) return [[text, false]];
  const marked = new Array(text.length).fill(false);
  for (const word of words) {
    let place = lower.indexOf(word);
    if (place === -1) {
      const letters = allowsGaps ? lettersWithGaps(lower, wordStarts(lower), word) : null;
      for (const at of letters?.places ?? []) marked[at] = true;
      continue;
    }
    for (let at = place; at !== -1; at = lower.indexOf(word, at + word.length)) {
      if (startsWord(lower, at)) {
        place = at;
        break;
      }
    }
    marked.fill(true, place, place + word.length);
  }
  const pieces = [];
  for (let at = 0; at < text.length; at += 1) {
    const last = pieces[pieces.length - 1];
    if (last && last[1] === marked[at]) last[0] += text[at];
    else pieces.push([text[at], marked[at]]);
  }
  return pieces;
}

// ---- The roles ----------------------------------------------------------------------------

function makeAccount(account) {
  account.fields = accountFields(account.name, account.id, account.alias, account.about);
  return account;
}

function makeRole(arn, about, flags, note) {
  const name = arn.slice(arn.lastIndexOf("/") + 1);
  return { arn, name, about, flags, note, fields: roleFields(name, about) };
}

/** Unpacks GET /picker.json. */
export function unpack(json) {
  return json.accounts.map(([partition, id, name, alias, about, word, tone, roles]) =>
    makeAccount({
      id,
      name,
      alias,
      about,
      word,
      tone,
      roles: roles.map(([resource, aboutRole, flags, note]) => {
        const service = resource.startsWith("federated-user/") ? "sts" : "iam";
        return makeRole(`arn:${partition}:${service}::${id}:${resource}`, aboutRole, flags, note);
      }),
    }),
  );
}

function readPage(container) {
  return [...container.querySelectorAll("[data-account-id]")].map((row) =>
    makeAccount({
      id: row.dataset.accountId,
      name: row.dataset.name,
      alias: row.dataset.alias ?? "",
      about: row.dataset.about ?? "",
      word: row.querySelector(".env").textContent,
      tone: /env-(\w+)/.exec(row.className)[1],
      roles: [...row.querySelectorAll("[data-role-arn]")].map((button) =>
        makeRole(
          button.dataset.roleArn,
          button.dataset.about ?? "",
          Number(button.dataset.flags ?? 0),
          button.dataset.note ?? "",
        ),
      ),
    }),
  );
}

// ---- Rows ---------------------------------------------------------------------------------

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== "") made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function marked(text, words, allowsGaps) {
  return parts(text, words, allowsGaps).map(([piece, isMatch]) => (isMatch ? element("mark", {}, piece) : piece));
}

function hiddenWords(text) {
  return element("span", { class: "vh" }, text);
}

function drawChip(account, role, words) {
  const has = (one) => (role.flags & one) !== 0;
  const title = [role.about, role.note].filter(Boolean).join(" – ");
  const button = element(
    "button",
    {
      form: has(asksFirst) ? "ask" : "open",
      name: has(asksFirst) ? "arn" : "role",
      value: role.arn,
      "data-role-arn": role.arn,
      title,
    },
    element("span", {}, ...marked(role.name, words, true)),
  );
  if (has(flag.favourite)) button.append(element("span", { class: "icon star" }), hiddenWords(", favourite"));
  if (has(flag.readOnly)) button.append(element("span", { class: "tag" }, "read-only"));
  if (has(flag.reason | flag.code)) button.append(element("span", { class: "icon lock" }));
  if (has(flag.reason)) button.append(element("span", { class: "tag" }, "reason"));
  if (has(flag.code)) button.append(element("span", { class: "tag" }, "code"));
  if (has(flag.noConsole)) button.append(element("span", { class: "tag" }, "credentials"));
  if (has(flag.atProvider)) {
    button.append(element("span", { class: "icon out" }), hiddenWords(", opens at your identity provider"));
  }
  if (has(flag.soon)) button.append(element("span", { class: "icon hourglass" }), hiddenWords(", ends soon"));
  if (has(flag.warning)) button.append(element("span", { class: "icon warning" }), hiddenWords(", warning"));
  const menu = element(
    "a",
    { href: `/role?arn=${encodeURIComponent(role.arn)}`, "aria-label": `Options for ${role.name}, ${account.name}` },
    "⋯",
  );
  return element("span", { class: "chip" }, button, menu);
}

function drawRow({ account, roles }, words, mostChips) {
  const shown = roles.slice(0, mostChips).map((role) => drawChip(account, role, words));
  if (roles.length > shown.length) {
    const rest = counted(roles.length - shown.length, "more", "more");
    shown.push(element("a", { class: "rest", href: `/?q=${account.id}` }, rest));
  }
  const name = element("span", { class: "account" }, ...marked(account.name, words, true));
  if (account.alias && account.alias !== account.name) {
    name.append(" ", element("small", {}, ...marked(account.alias, words, true)));
  }
  return element(
    "div",
    {
      class: `row env-${account.tone}`,
      role: "group",
      "aria-label": `${account.name} ${account.id}`,
      "data-account-id": account.id,
      title: account.about,
    },
    element("span", { class: "env" }, account.word),
    name,
    element("span", { class: "id" }, ...marked(account.id, words, false)),
    element("span", { class: "chips" }, ...shown),
  );
}

function counted(count, one, many) {
  return `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;
}

// ---- The page -----------------------------------------------------------------------------

function start(root) {
  const search = document.getElementById("search");
  if (!search) return;
  const results = root.querySelector("[data-results]");
  const rowsBox = results.querySelector("[data-rows]");
  const countBox = results.querySelector("[data-count]");
  const sections = root.querySelector("[data-sections]");
  const opened = root.querySelector(".opened");
  const status = root.querySelector("[data-status]");
  const dialog = document.getElementById("role-dialog");
  const keys = document.getElementById("keys");
  const csrfToken = document.querySelector("#open [name=csrf_token]").value;
  const isSectioned = sections.querySelector("section") !== null;
  // On touch screens a focus would raise the keyboard.
  const canType = matchMedia("(hover: hover) and (pointer: fine)").matches;
  let accounts = null;
  let loading = null;
  let saying = 0;
  let drawing = 0;
  let addressing = 0;

  function load() {
    loading ??= (async () => {
      if (root.hasAttribute("data-complete")) {
        accounts = readPage(root.querySelector("[data-all]"));
        return;
      }
      const answer = await fetch("/picker.json", { headers: { accept: "application/json" } });
      // Signed out meanwhile: the page knows where to go.
      if (!answer.ok || answer.redirected) return location.reload();
      accounts = unpack(await answer.json());
    })().catch(() => (loading = null));
    return loading;
  }

  const looksPasted = (text) => /^(arn:|https?:\/\/)/i.test(text.trim());

  function say(words) {
    clearTimeout(saying);
    saying = setTimeout(() => (status.textContent = words), 400);
  }

  function keepAddress(query) {
    // Browsers count these; a fast typist would run into the limit.
    clearTimeout(addressing);
    addressing = setTimeout(() => {
      history.replaceState(null, "", query ? `/?q=${encodeURIComponent(query)}` : "/");
    }, 150);
  }

  function chips() {
    return [...root.querySelectorAll("[data-role-arn]")].filter((chip) => chip.checkVisibility());
  }

  function markBest() {
    for (const old of root.querySelectorAll(".chip.best")) old.classList.remove("best");
    bestChip()?.closest(".chip").classList.add("best");
  }

  /** What Enter in the search opens. */
  function bestChip() {
    if (root.hasAttribute("data-pasted")) {
      return search.value === search.defaultValue ? root.querySelector(".results:not([data-results]) [data-role-arn]") : null;
    }
    if (results.hidden || search.value.trim() === "" || looksPasted(search.value)) return null;
    return rowsBox.querySelector("[data-role-arn]");
  }

  /** What was pasted says nothing about roles that are searched for by name. */
  function leavePasted() {
    if (!root.hasAttribute("data-pasted")) return;
    root.removeAttribute("data-pasted");
    root.querySelector(".results:not([data-results])").remove();
    for (const input of document.querySelectorAll("#open [name=destination], #open [name=region], #ask input")) {
      input.remove();
    }
  }

  function show(query) {
    const isFiltered = query.trim() !== "";
    leavePasted();
    sections.hidden = isFiltered;
    if (opened) opened.hidden = isFiltered;
    results.hidden = !isFiltered && isSectioned;
    clearTimeout(drawing);
    if (results.hidden) {
      rowsBox.replaceChildren();
      say("");
      return;
    }
    const { words, rows, roleCount } = rank(accounts, query);
    const mostChips = rows.length > fewRows ? chipsAtOnce : Infinity;
    rowsBox.replaceChildren(...rows.slice(0, rowsFirst).map((row) => drawRow(row, words, mostChips)));
    rowsBox.hidden = rows.length === 0;
    if (rows.length > rowsFirst) {
      drawing = setTimeout(() => {
        rowsBox.append(...rows.slice(rowsFirst, rowsAtOnce).map((row) => drawRow(row, words, mostChips)));
      }, 60);
    }
    let text = "No role fits.";
    if (roleCount > 0) {
      text = `${counted(roleCount, "role", "roles")} in ${counted(rows.length, "account", "accounts")}`;
      if (rows.length > rowsAtOnce) text += `; the best ${rowsAtOnce} are shown`;
    }
    countBox.textContent = text;
    markBest();
    say(text);
  }

  async function filter() {
    const query = search.value;
    if (looksPasted(query)) return;
    keepAddress(query.trim());
    if (!accounts) await load();
    if (accounts && search.value === query) show(query);
  }

  search.addEventListener("input", filter);
  search.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!looksPasted(text)) return;
    event.preventDefault();
    location.assign(`/?q=${encodeURIComponent(text.trim().slice(0, 4096))}`);
  });
  results.querySelector("[data-clear]").addEventListener("click", (event) => {
    if (!isSectioned) return;
    event.preventDefault();
    clear();
  });

  function clear() {
    search.value = "";
    search.focus();
    if (isSectioned) filter();
    else location.assign("/");
  }

  // ---- Options dialog

  function menuOf(chip) {
    return chip.closest(".chip")?.querySelector("a")?.href;
  }

  async function openMenu(address, chip) {
    try {
      const answer = await fetch(address);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const card = page.getElementById("role-card");
      if (!answer.ok || !card) return location.assign(address);
      dialog.replaceChildren(document.adoptNode(card));
      dialog.setAttribute("aria-label", `Options for ${card.querySelector("h1").textContent}`);
      card.querySelector(".role-head").append(element("button", { type: "button", class: "small", "data-close": "1" }, "Close"));
      dialog.showModal();
      // The first control is the favourite; what is typed next is a reason or a service.
      if (canType) card.querySelector("#reason, #mfa-code, #destination, #region").focus();
      card.dispatchEvent(new CustomEvent("rolegate:shown", { bubbles: true }));
      dialog.addEventListener("close", () => chip?.focus(), { once: true });
    } catch {
      location.assign(address);
    }
  }

  function open(chip) {
    if (chip.form?.id === "ask") openMenu(menuOf(chip), chip);
    else chip.form?.requestSubmit(chip);
  }

  root.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest(".chip a");
    const asking = event.target.closest("button[form=ask]");
    if (!link && !asking) return;
    event.preventDefault();
    openMenu(link ? link.href : menuOf(asking), link ?? asking);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  dialog.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-favourite]")) {
      event.preventDefault();
      setFavourite(form.elements.role.value).then(() => dialog.close());
    } else if (event.submitter?.formTarget !== "_self") {
      setTimeout(() => dialog.close());
    }
  });
  document.getElementById("open").addEventListener("submit", (event) => {
    const form = event.target;
    form.querySelector("[name=sign_out_first]")?.remove();
    let isWanted = false;
    try {
      isWanted = localStorage.getItem("rolegate.sign-out-first") === "1";
    } catch {
      // Then it is not remembered.
    }
    if (isWanted) form.append(element("input", { type: "hidden", name: "sign_out_first", value: "true" }));
  });

  // ---- Favourites and credentials

  async function setFavourite(arn) {
    const same = [...root.querySelectorAll("[data-role-arn]")].filter((chip) => chip.dataset.roleArn === arn);
    const isOne = same.some((chip) => chip.querySelector(".star"));
    const body = new URLSearchParams({ csrf_token: csrfToken, role: arn, favourite: isOne ? "0" : "1", next: "/" });
    const answer = await fetch("/favourites", { method: "POST", body, redirect: "manual" });
    if (!answer.ok && answer.type !== "opaqueredirect") {
      status.textContent = "The favourite was not saved.";
      return;
    }
    for (const chip of same) {
      if (isOne) {
        chip.querySelector(".star").nextElementSibling?.remove();
        chip.querySelector(".star").remove();
      } else {
        chip.append(element("span", { class: "icon star" }), hiddenWords(", favourite"));
      }
      const bits = Number(chip.dataset.flags ?? 0);
      chip.dataset.flags = String(isOne ? bits & ~flag.favourite : bits | flag.favourite);
    }
    for (const role of (accounts ?? []).flatMap((account) => account.roles)) {
      if (role.arn === arn) role.flags = isOne ? role.flags & ~flag.favourite : role.flags | flag.favourite;
    }
    status.textContent = isOne ? "No favourite any more." : "Favourite.";
  }

  function credentials(chip) {
    const isChosenThere = chip.form?.id === "ask" || chip.querySelector(".out");
    if (isChosenThere) return openMenu(menuOf(chip), chip);
    const form = element(
      "form",
      { method: "post", action: "/credentials" },
      element("input", { type: "hidden", name: "csrf_token", value: csrfToken }),
      element("input", { type: "hidden", name: "role", value: chip.dataset.roleArn }),
    );
    document.body.append(form);
    form.submit();
  }

  // ---- Keys

  const lettersKey = "rolegate.letter-keys";
  const lettersBox = keys.querySelector("[data-letters]");
  try {
    lettersBox.checked = localStorage.getItem(lettersKey) !== "off";
    lettersBox.addEventListener("change", () => localStorage.setItem(lettersKey, lettersBox.checked ? "on" : "off"));
  } catch {
    // Then it is only for this page.
  }
  const keysButton = document.querySelector("[data-keys]");
  keysButton.hidden = false;
  keysButton.addEventListener("click", () => keys.showModal());

  function move(from, step) {
    const all = chips();
    const place = all.indexOf(from) + step;
    if (place < 0) search.focus();
    else all[Math.min(place, all.length - 1)]?.focus();
  }

  search.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const first = bestChip();
    if (event.key === "ArrowDown") {
      event.preventDefault();
      chips()[0]?.focus();
    } else if (event.key === "Enter" && first) {
      event.preventDefault();
      if (event.shiftKey) openMenu(menuOf(first), search);
      else open(first);
    } else if (event.key === "Enter" && search.value.trim() === "") {
      event.preventDefault();
    } else if (event.key === "Escape" && search.value) {
      event.preventDefault();
      clear();
    }
  });

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const chip = event.target.closest("[data-role-arn]");
    if (!chip) return;
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    if (event.key in steps) {
      event.preventDefault();
      move(chip, steps[event.key]);
    } else if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      openMenu(menuOf(chip), chip);
    } else if (event.key === "Escape") {
      clear();
    } else if (lettersBox.checked && event.key === "f") {
      setFavourite(chip.dataset.roleArn);
    } else if (lettersBox.checked && event.key === "c") {
      credentials(chip);
    } else if (lettersBox.checked && event.key === "?") {
      keys.showModal();
    }
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, dialog");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  if (canType && !document.querySelector("dialog[open]")) {
    search.focus();
    search.setSelectionRange(search.value.length, search.value.length);
  }
  markBest();
  const soon = globalThis.requestIdleCallback ?? setTimeout;
  soon(() => load().then(() => search.value !== search.defaultValue && filter()));
}

if (typeof document !== "undefined") {
  const root = document.getElementById("picker");
  if (root) start(root);
}
