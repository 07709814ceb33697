// Remembers light or dark in a cookie, so that the server can render it without a flash.
const root = document.documentElement;
const cookie = /(?:^|;\s*)rolegate_theme=(light|dark)/;
const chosen = () => cookie.exec(document.cookie)?.[1] ?? "";

function show(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  for (const button of document.querySelectorAll("[data-theme-switch] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
}

for (const group of document.querySelectorAll("[data-theme-switch]")) {
  group.hidden = false;
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const age = button.value ? 31536000 : 0;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `rolegate_theme=${button.value}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
    show(button.value);
  });
}
show(chosen());

// The account menu closes like a menu.
const menu = document.querySelector("[data-menu]");
if (menu) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
      event.stopPropagation();
    }
  });
}
