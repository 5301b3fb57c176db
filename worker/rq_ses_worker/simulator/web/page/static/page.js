// Keeps the page fresh: asks for it again and takes over the parts that a request or a script has changed. The
// server has escaped what it sends, and the page's policy runs no script but this file.
"use strict";

const PAUSE = 1500; // milliseconds
const PATIENCE = 15000;
const live = document.getElementById("live");
let version = null;
let failed = false;
let asking = false;
let timer = 0;
const seen = new Map(); // parts by name, as the server wrote them

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.dateTime;
      time.textContent = at.toLocaleString([], { dateStyle: "short", timeStyle: "medium" });
    }
  }
}

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

function mails(root) {
  const counter = root.querySelector("[data-mails]");
  return counter ? Number(counter.dataset.mails) : 0;
}

function takeOver(fresh) {
  const added = mails(fresh) - mails(document);
  let whole = true;
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!next || next.innerHTML === seen.get(part.dataset.part)) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const link = focused && focused.getAttribute("href");
    if (focused && focused.tagName === "BUTTON") {
      whole = false; // it is about to be pressed
      continue;
    }
    seen.set(part.dataset.part, next.innerHTML);
    localise(next);
    part.replaceChildren(...next.childNodes);
    const again = link && [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === link);
    if (again) again.focus();
  }
  if (added > 0) say(added === 1 ? "One new mail." : `${added} new mails.`);
  return whole;
}

async function poll() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  if (document.visibilityState !== "hidden") {
    try {
      const headers = version ? { "If-None-Match": version } : {};
      const signal = AbortSignal.timeout(PATIENCE);
      const answer = await fetch(location.href, { headers, cache: "no-store", credentials: "omit", signal });
      if (answer.status === 200) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        version = takeOver(fresh) ? answer.headers.get("ETag") : null;
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      if (failed) say("Connected again.");
      failed = false;
    } catch {
      failed = true;
      say("The simulator doesn't answer; trying again.");
    }
  }
  asking = false;
  timer = setTimeout(poll, PAUSE);
}

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}
for (const part of document.querySelectorAll("[data-part]")) seen.set(part.dataset.part, part.innerHTML);
localise(document);
if (live) {
  // Timers of hidden tabs are slowed down to once a minute.
  document.addEventListener("visibilitychange", poll);
  poll();
}
