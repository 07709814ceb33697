// Rewrites times from UTC into the reader's zone, and keeps distances fresh.
const minute = 60_000;

function span(ms) {
  const minutes = Math.floor(ms / minute);
  if (minutes < 1) return "less than a minute";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 1440) {
    const rest = minutes % 60;
    return `${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
  }
  if (minutes < 2880) return "1 day";
  return `${Math.floor(minutes / 1440)} days`;
}

const clockForm = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayForm = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

function clock(at, now) {
  const time = `${clockForm.format(at)} your time`;
  return at.toDateString() === now.toDateString() ? time : `${dayForm.format(at)}, ${time}`;
}

function text(element, now) {
  const at = new Date(element.dateTime);
  const left = at - now;
  switch (element.dataset.time) {
    case "left":
      return left > 0 ? `${span(left)} left` : "ended";
    case "relative":
      return left > 0 ? `in ${span(left)} (${clock(at, now)})` : `${span(-left)} ago (${clock(at, now)})`;
    default:
      return clock(at, now);
  }
}

function refresh(root = document) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[data-time]")) {
    const words = text(element, now);
    if (element.textContent !== words) element.textContent = words;
    element.title = element.dateTime;
  }
}

refresh();
setInterval(refresh, 30_000);
document.addEventListener("rolegate:shown", (event) => refresh(event.target));
document.addEventListener("visibilitychange", () => document.hidden || refresh());
