// Copies what stands in a field: the text for a ticket, a policy.

for (const area of document.querySelectorAll('[data-copy]')) {
  const part = area.closest('details, section');
  const button = part?.querySelector('[data-copy-button]');
  const said = part?.querySelector('[data-copied]');
  if (!button || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(area.value);
      said.textContent = 'Copied';
    } catch {
      area.select();
      said.textContent = 'Press Ctrl+C to copy';
    }
  });
}
