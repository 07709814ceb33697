// Copy buttons, and the shell that was used last opened first. Nothing secret is stored.
const said = document.querySelector("[data-copied]");
const remembered = "rolegate.format";

for (const button of document.querySelectorAll("[data-copy-from]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  const words = button.innerHTML;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copyFrom);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "Selected; copy it with the keyboard.";
      return;
    }
    button.textContent = "Copied";
    said.textContent = "Copied.";
    setTimeout(() => (button.innerHTML = words), 2000);
  });
}

try {
  const last = document.getElementById(localStorage.getItem(remembered) ?? "");
  if (last?.matches("details.format")) {
    for (const other of document.querySelectorAll("details.format")) other.open = other === last;
  }
  for (const format of document.querySelectorAll("details.format")) {
    format.addEventListener("toggle", () => format.open && localStorage.setItem(remembered, format.id));
  }
} catch {
  // Storage may be switched off; then the first one stays open.
}
