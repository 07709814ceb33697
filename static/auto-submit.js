// Posts a form at once where the server says so: a deep link's, when the navigation came from our
// own pages or from nowhere, and what the browser carries to an identity provider. Once per visit:
// coming back by the back button must not post it again.
const form = document.querySelector("form[data-auto-submit]");
const visit = performance.getEntriesByType("navigation")[0];
if (form && visit?.type !== "back_forward") form.requestSubmit();
