// What the helpdesk's pages need beside htmx: a preview is never stale, and checkboxes are counted.

/** The button that saves waits until the preview belongs to what stands in the form. */
let typed = 0;
const asked = new WeakMap();

function rest(isStale) {
  for (const button of document.querySelectorAll("[data-save]")) {
    button.disabled = isStale;
    button.title = isStale ? "The preview is being renewed" : "";
  }
}

document.addEventListener("input", (event) => {
  if (!event.target.closest("form[data-edit][hx-post]")) return;
  typed += 1;
  rest(true);
});

document.addEventListener("htmx:beforeRequest", (event) => {
  asked.set(event.detail.xhr, typed);
});

// In the same moment as the new button appears; suggestions say nothing about the preview.
document.addEventListener("htmx:afterSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  const isPreview = requestConfig?.elt?.matches("form[data-edit], #preview");
  if (isPreview && asked.has(xhr)) rest(asked.get(xhr) !== typed);
});

document.addEventListener("htmx:afterSettle", () => {
  for (const field of document.querySelectorAll("[data-edit] input[type=text]")) {
    const error = document.getElementById(`error-${field.name}`);
    if (error?.textContent) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }
  document.dispatchEvent(new Event("rolegate:shown"));
});

/** A form that failed to reach us keeps its button: what is saved is judged again there. */
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, () => rest(false));
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-bulk]");
  if (!form) return;
  const count = form.querySelectorAll("input[name=row]:checked").length;
  const words = form.querySelector("[data-chosen]");
  words.textContent = count ? `With the ${count} chosen:` : "With the chosen:";
});

/** A form is sent once: a second click would ask a second time. */
let sent = new WeakSet();
document.addEventListener("submit", (event) => {
  if (sent.has(event.target)) event.preventDefault();
  else if (event.target.method === "post") sent.add(event.target);
});
// In a page that the browser kept, nothing was sent yet.
addEventListener("pageshow", () => {
  sent = new WeakSet();
});

// htmx sends what is due to where the button leads that was pressed last: a preview would save a
// second time.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt } = event.detail;
  if (!elt.matches("form[data-edit]")) return;
  if (sent.has(elt)) event.preventDefault();
  else event.detail.path = elt.getAttribute("hx-post");
});
