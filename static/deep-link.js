// Opens at once where the server says that the navigation came from our own pages or from nowhere.
// Once per visit: coming back by the back button must not open it again.
const form = document.querySelector("form[data-auto-submit]");
const visit = performance.getEntriesByType("navigation")[0];
if (form && visit?.type !== "back_forward") form.requestSubmit();
