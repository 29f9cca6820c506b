// What only the browser can do: write times in its own time zone, keep "in 12 s" true, and remember a choice.
(() => {
  const told = window.yizhan;
  const lang = document.documentElement.lang;
  const format = (options) => new Intl.DateTimeFormat(lang, { hour12: false, ...options });
  const CLOCK = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const DAY = format({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const FULL = format({ dateStyle: "full", timeStyle: "long" });
  const RELATIVE = new Intl.RelativeTimeFormat(lang, { numeric: "always", style: "short" });
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const FAR_S = 36 * 3600;

  const now = () => Date.now() + told.ahead;

  function clock(at) {
    const sameDay = new Date(at).toDateString() === new Date(now()).toDateString();
    return (sameDay ? CLOCK : DAY).format(at);
  }

  function relative(at) {
    const seconds = Math.round((at - now()) / 1000);
    if (Math.abs(seconds) >= FAR_S) return DAY.format(at);
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
    return RELATIVE.format(Math.trunc(seconds / size), unit);
  }

  // A countdown that has run out says "now"; a time ago is never in the future, however the clocks differ.
  const FORMS = {
    clock,
    ago: (at) => relative(Math.min(at, now() - 1000)),
    until: (at) => (at <= now() ? told.soon : `${clock(at)} · ${relative(at)}`),
  };

  function write(time) {
    const at = Number(time.dataset.ms);
    const text = (FORMS[time.dataset.form] ?? clock)(at);
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = FULL.format(at);
  }

  function writeAll(root) {
    if (root.matches?.("time[data-ms]")) write(root);
    root.querySelectorAll?.("time[data-ms]").forEach(write);
  }

  new MutationObserver((changes) => {
    for (const change of changes) change.addedNodes.forEach(writeAll);
  }).observe(document.body, { subtree: true, childList: true });
  setInterval(() => writeAll(document), 1000);
  writeAll(document);

  const [lost, retry] = document.querySelectorAll("#popup span");
  lost.textContent = told.lost;
  retry.textContent = told.retry;

  document.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-cookie]");
    if (!choice) return;
    const { cookie, value } = choice.dataset;
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `${cookie}=${value};path=/;max-age=31536000;samesite=strict${secure}`;
    location.reload();
  });

  // A row that is written anew keeps the focus of the button that unfolded it.
  let held = null;
  document.addEventListener("focusin", (event) => (held = event.target.dataset?.open ?? null));
  document.addEventListener("click", (event) => {
    const key = event.target.closest("[data-open]")?.dataset.open;
    if (!key) return;
    const watching = new MutationObserver(() => {
      const again = document.querySelector(`[data-open="${CSS.escape(key)}"]`);
      if (again && document.activeElement === document.body && held === key) again.focus({ preventScroll: true });
    });
    watching.observe(document.body, { subtree: true, childList: true });
    setTimeout(() => watching.disconnect(), 2000);
  });
})();
