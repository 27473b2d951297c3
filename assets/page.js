// What pages do beyond links and forms, which work without it: they follow the log, say when the daemon is away, keep what
// is typed when a form meets a problem, and have keys. It holds no state that the address does not hold.

const base = document.body.dataset.base;
const main = () => document.getElementById("main");
const away = document.getElementById("away");
const signedIn = document.querySelector(".top") !== null;

// On a wide screen the navigation is open; on a narrow one it is a menu.
const menu = document.querySelector(".menu");
const wide = matchMedia("(min-width: 64rem)");
const unfold = () => { if (menu) menu.open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();

// What was chosen is kept; an address that is passed on does not choose for others.
const address = new URL(location.href);
if (["lang", "theme"].some((name) => address.searchParams.has(name))) {
  for (const name of ["lang", "theme"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
}

// ---- The page as it is now: fetched again, and put in place where nobody is at work.

let tag = null;
let asking = false;
let again = false;

// Whether a change would move something under the reader's hand.
function atWork() {
  const at = document.activeElement;
  const typing = at && main().contains(at) && at.matches("input, select, textarea");
  const open = main().querySelector("details[open] form, dialog[open]") !== null;
  return typing || open || String(getSelection()).length > 0;
}

async function refresh() {
  if (asking) again = true;
  if (asking || document.hidden || !signedIn || main().dataset.live === "none") return;
  asking = true;
  try {
    const headers = tag ? { Accept: "text/html", "If-None-Match": tag } : { Accept: "text/html" };
    const answer = await fetch(location.href, { headers, redirect: "manual", cache: "no-store" });
    // A proxy says so where the daemon is away.
    showAway([502, 503, 504].includes(answer.status));
    // Signed out, or gone.
    if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) return location.reload();
    if (answer.status !== 200) return;
    const known = tag;
    tag = answer.headers.get("ETag");
    const text = await answer.text();
    if (main().dataset.live === "ask" || atWork()) {
      const fresh = document.getElementById("fresh");
      if (fresh && (known || !same(text))) fresh.hidden = same(text);
    } else if (!same(text)) {
      await put(text);
    }
  } catch {
    showAway(true);
  } finally {
    asking = false;
    if (again) changed();
    again = false;
  }
}

function mainOf(text) {
  return new DOMParser().parseFromString(text, "text/html").getElementById("main");
}

// Whether a page says what is shown already; ages alone are no news for a list.
function same(text) {
  const other = mainOf(text);
  const words = (of) => [...of.querySelectorAll("tbody a, .chip, .empty")].map((one) => (one.href ?? "") + one.textContent).join();
  return other !== null && words(other) === words(main()) && main().dataset.live === "ask";
}

async function put(text) {
  const open = [...main().querySelectorAll("details[open]")].map((one) => one.id);
  await htmx.swap({ text, target: main(), select: "#main", swap: "outerMorph" });
  for (const one of main().querySelectorAll("details")) if (open.includes(one.id)) one.open = true;
  mark();
}

function showAway(is) {
  if (away && away.hidden === is) {
    away.hidden = !is;
    channel?.postMessage({ away: is });
  }
}

// ---- One stream per browser: whichever visible tab holds the lock reads it and tells the others.

const channel = "BroadcastChannel" in window ? new BroadcastChannel("amplinkd" + base) : null;
let stream = null;
let release = null;
let turn = null;
let soon = null;
let late = null;

// Soon, however fast events come; and once more when they have ended, for figures may be a second old.
function changed() {
  soon ??= setTimeout(() => { soon = null; refresh(); }, 700);
  clearTimeout(late);
  late = setTimeout(refresh, 3000);
}

channel?.addEventListener("message", ({ data }) => {
  if (data.changed) changed();
  if (data.away !== undefined && away) away.hidden = !data.away;
});

function listen() {
  stream = new EventSource(base + "/api/v1/events");
  let was = false;
  stream.onopen = () => {
    showAway(false);
    if (was) changed();
    was = true;
  };
  stream.onerror = () => {
    // Refused for good (too many streams, or signed out): asked now and then instead.
    if (stream && stream.readyState === EventSource.CLOSED) setTimeout(() => release === null || (stream.close(), listen()), 15000);
    refresh();
  };
  const tell = () => {
    channel?.postMessage({ changed: true });
    changed();
  };
  stream.onmessage = tell;
  for (const type of (document.body.dataset.events ?? "").split(" ")) if (type) stream.addEventListener(type, tell);
}

function lead() {
  if (!signedIn || document.hidden || release || turn) return;
  turn = new AbortController();
  const hold = () => new Promise((done) => {
    if (document.hidden) return done();
    release = done;
    listen();
  });
  // Without locks (a page that did not come over TLS) every tab has a stream of its own.
  if (navigator.locks) navigator.locks.request("amplinkd" + base, { signal: turn.signal }, hold).catch(() => {});
  else hold();
}

function rest() {
  turn?.abort();
  turn = null;
  stream?.close();
  stream = null;
  release?.();
  release = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return rest();
  lead();
  refresh();
});
addEventListener("pagehide", rest);
addEventListener("pageshow", (event) => { if (event.persisted) { lead(); refresh(); } });
lead();
// Ages move on by themselves, and a daemon that went away unheard is missed.
setInterval(() => { if (!document.hidden) refresh(); }, 30000);
setInterval(() => { if (away && !away.hidden) refresh(); }, 3000);

// ---- Forms: a problem is shown beside what was typed; nothing is lost while the daemon is away.

document.addEventListener("submit", async (event) => {
  const form = event.target;
  // Not `form.action`, which is a field of that name where there is one.
  const target = form.getAttribute("action") ?? "";
  const is = form.getAttribute("method") === "post" && new URL(target, location.href).pathname.startsWith(base + "/do/");
  if (!is || form.querySelector("[name=_show]")) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(target, { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await answer.json();
    if (!answer.ok) return complain(form, [said.detail, ...(said.errors ?? []).map((wrong) => wrong.detail)].join(" "));
    location.assign(said.location ?? base + (body.get("_back") ?? "/"));
  } catch {
    showAway(true);
    complain(form, away?.textContent ?? "The daemon cannot be reached.");
  } finally {
    button.removeAttribute("aria-busy");
  }
});

function complain(form, text) {
  let wrong = form.querySelector(".wrong");
  if (!wrong) {
    wrong = document.createElement("p");
    wrong.className = "wrong";
    wrong.setAttribute("role", "alert");
    form.append(wrong);
  }
  wrong.textContent = text;
}

// ---- Keys.

let at = -1;
let before = "";
let pressed = 0;
const rows = () => [...main().querySelectorAll("table.rows tbody tr, .groups > li")];

function mark() {
  rows().forEach((row, number) => row.classList.toggle("at", number === at));
}

function move(by) {
  const all = rows();
  if (all.length === 0) return;
  at = Math.max(0, Math.min(all.length - 1, at + by));
  mark();
  all[at].querySelector("a")?.focus({ preventScroll: true });
  all[at].scrollIntoView({ block: "nearest" });
}

const places = { o: "/", r: "/requests", a: "/alerts", c: "/accounts", p: "/plan" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const was = Date.now() - pressed < 1500 ? before : "";
  before = event.key;
  pressed = Date.now();
  if (was === "g" && places[event.key]) return location.assign(base + places[event.key]);
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("q")?.focus();
  } else if (event.key === "?") document.getElementById("keys")?.showModal();
  else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
});

// ---- What is to be copied can be with one click.

for (const text of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy-it";
  button.textContent = document.documentElement.lang === "en" ? "Copy" : "复制";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "✓";
  });
  text.after(" ", button);
}
