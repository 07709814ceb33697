// Comfort for the sign-in form: caps-lock hint, focus where typing goes on, no double posts.
for (const form of document.querySelectorAll("[data-sign-in]")) {
  const hint = form.querySelector("[data-caps-lock]");
  form.addEventListener("keyup", (event) => {
    const isOn = event.getModifierState?.("CapsLock") ?? false;
    const words = isOn && event.target.type === "password" ? "Caps Lock is on." : "";
    if (hint.textContent !== words) hint.textContent = words;
  });
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    // After this turn, so that the browser has taken the form as it is.
    setTimeout(() => (button.disabled = true));
    addEventListener("pageshow", () => (button.disabled = false));
  });
}
