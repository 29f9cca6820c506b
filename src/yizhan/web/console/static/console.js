// What only the browser can do: write times in its own time zone, keep "in 12 s" true, and remember a choice.
(() => {
  const told = window.yizhan;
  const lang = document.documentElement.lang;
  const format = (options) => new Intl.DateTimeFormat(lang, { hour12: false, ...options });
  const CLOCK = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const DAY = format({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const HOUR = format({ weekday: "short", hour: "2-digit", minute: "2-digit" });
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
    hour: (at) => HOUR.format(at),
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

  // After a restart of the gateway a tab is back within seconds: the library's own waits grow to many.
  const hurrying = setInterval(() => {
    const manager = window.socket?.io;
    if (!manager) return;
    clearInterval(hurrying);
    manager.reconnectionDelay(300);
    manager.reconnectionDelayMax(1500);
  }, 50);

  // What cannot be undone is asked first. Resolves to whether the person is sure.
  function sure(question) {
    const asking = document.createElement("dialog");
    asking.className = "sure";
    const text = document.createElement("p");
    text.id = "sure-text";
    text.textContent = question;
    asking.setAttribute("aria-labelledby", text.id);
    const foot = document.createElement("div");
    const back = button(told.back, "button");
    const yes = button(told.sure, "button danger");
    foot.append(back, yes);
    asking.append(text, foot);
    document.body.append(asking);
    const before = document.activeElement;
    return new Promise((resolve) => {
      asking.addEventListener("close", () => {
        asking.remove();
        if (before?.isConnected) before.focus({ preventScroll: true });
        resolve(asking.returnValue === "yes");
      });
      back.addEventListener("click", () => asking.close(""));
      yes.addEventListener("click", () => asking.close("yes"));
      asking.showModal();
      back.focus();
    });
  }

  function button(text, look) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = look;
    made.textContent = text;
    return made;
  }

  // Rows that a person has chosen stay chosen when the table is written anew.
  const chosen = new Set();
  const boxes = () => [...document.querySelectorAll("input[data-choose]")];
  const picked = () => boxes().filter((box) => box.checked).map((box) => box.value);

  function countChosen() {
    const n = picked().length;
    const text = told.chosen.replace("%", n);
    for (const place of document.querySelectorAll("[data-chosen-count]")) {
      if (place.textContent !== text) place.textContent = text;
    }
    for (const needy of document.querySelectorAll("button[data-chosen]")) needy.disabled = n === 0;
    const all = document.querySelector("input[data-choose-all]");
    if (all) {
      all.checked = n > 0 && n === boxes().length;
      all.indeterminate = n > 0 && n < boxes().length;
    }
  }

  document.addEventListener("change", ({ target }) => {
    if (target.matches?.("input[data-choose-all]")) {
      for (const box of boxes()) keep(box, target.checked);
    } else if (target.matches?.("input[data-choose]")) {
      keep(target, target.checked);
    } else if (target.matches?.("select[data-go]")) {
      target.form.requestSubmit();
    }
    countChosen();
  });

  function keep(box, on) {
    box.checked = on;
    if (on) chosen.add(box.value);
    else chosen.delete(box.value);
  }

  let redrawn = false;
  new MutationObserver(() => {
    if (redrawn) return;
    redrawn = true;
    queueMicrotask(() => {
      redrawn = false;
      for (const box of boxes()) if (chosen.has(box.value)) box.checked = true;
      countChosen();
    });
  }).observe(document.body, { subtree: true, childList: true });

  // Buttons and forms: what is asked of the gateway, by its name. Until the page says that it is done, the same
  // button or form asks nothing more; it keeps the focus meanwhile. A page that is gone says nothing: after a while
  // one may try again.
  const PATIENCE_MS = 15000;
  const running = new Map();
  let asked = 0;

  function begin(...parts) {
    for (const part of parts) part.setAttribute("aria-busy", "true");
    running.set(++asked, parts);
    setTimeout(told.done, PATIENCE_MS, asked);
    return asked;
  }
  told.done = (number) => {
    for (const part of running.get(number) ?? []) part.removeAttribute("aria-busy");
    running.delete(number);
  };
  const busy = (part) => part.getAttribute("aria-busy") === "true";

  told.click = async (event, emit) => {
    const button = event.target.closest("[data-do], [data-open]");
    if (!button || button.tagName === "FORM" || button.disabled || busy(button)) return;
    const { confirm, open, about } = button.dataset;
    const ids = "chosen" in button.dataset ? picked() : null;
    if (confirm && !(await sure(confirm.replace("%", ids?.length ?? "")))) return;
    if (ids) chosen.clear();
    emit(button.dataset.do ?? "open", ids ? ids.join(" ") : (open ?? about ?? ""), begin(button));
  };

  told.submit = async (event, emit) => {
    const form = event.target.closest("form[data-do]");
    if (!form) return;
    event.preventDefault();
    if (busy(form)) return;
    const { confirm } = event.submitter?.dataset ?? {};
    if (confirm && !(await sure(confirm))) return;
    const fields = { once: [(form.dataset.once ??= String(Math.random()).slice(2) + Date.now())] };
    for (const [name, typed] of new FormData(form, event.submitter)) (fields[name] ??= []).push(String(typed));
    emit(form.dataset.do, fields, begin(form, ...form.querySelectorAll("button[type=submit]")));
  };

  // What is typed is shown to the page a moment after the last key; forms that want that say so.
  let typing = null;
  told.typed = (event, emit) => {
    const form = event.target.closest("form[data-types]");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(() => {
      const fields = {};
      for (const [name, typed] of new FormData(form)) (fields[name] ??= []).push(String(typed));
      emit(form.dataset.do, fields);
    }, 250);
  };
  told.fill = (place, content) => document.getElementById(place)?.setHTML(content);

  // A line that is chosen is added to those in a text box.
  document.addEventListener("change", ({ target }) => {
    const box = document.getElementById(target.dataset?.append ?? "");
    if (!box || !target.value) return;
    const lines = box.value.split(/\s+/).filter(Boolean);
    if (!lines.includes(target.value)) box.value = [...lines, target.value].join("\n");
    target.value = "";
  });

  document.addEventListener("reset", (event) => delete event.target.dataset.once);

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (event.target.matches?.("textarea")) event.target.form?.requestSubmit();
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
