// The options of a role, on their own page and in the picker's dialog alike: copy buttons, the
// evening in the reader's zone, and "sign this browser out of AWS" remembered.
const minute = 60_000;
const signOutKey = "rolegate.sign-out-first";

function remembered() {
  try {
    return localStorage.getItem(signOutKey) === "1";
  } catch {
    return false;
  }
}

function offerEvening(card) {
  const label = card.querySelector("[data-evening]");
  if (!label) return;
  const now = new Date();
  const evening = new Date(now);
  evening.setHours(19, 0, 0, 0);
  if (evening <= now) evening.setDate(evening.getDate() + 1);
  const seconds = (evening - now) / 1000;
  const longest = Number(card.querySelector("[data-longest]").dataset.longest);
  const isAllowed = seconds >= 900 && seconds <= longest;
  const input = label.querySelector("input");
  input.value = evening.toISOString().replace(/\.\d+Z$/, "Z");
  input.disabled = !isAllowed;
  label.hidden = !isAllowed;
  label.querySelector("[data-evening-time]").textContent = "19:00 your time";
}

function prepare(card) {
  offerEvening(card);
  const signOut = card.querySelector("[data-sign-out-first]");
  if (signOut) signOut.checked = remembered();
  if (navigator.clipboard) for (const button of card.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const words = button.innerHTML;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => (button.innerHTML = words), 2000);
});

document.addEventListener("change", (event) => {
  if (!event.target.matches?.("[data-sign-out-first]")) return;
  try {
    localStorage.setItem(signOutKey, event.target.checked ? "1" : "0");
  } catch {
    // Then it is only for this time.
  }
});

document.addEventListener("rolegate:shown", (event) => prepare(event.target));
const own = document.querySelector("main > #role-card");
if (own) prepare(own);
