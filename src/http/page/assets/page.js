// The page's script: times in the reader's time zone, live rows, progress bars, and what happened when they stop.
"use strict";

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- Times: in the reader's time zone and locale. The title keeps UTC.

// With the offset: an hour occurs twice when summer time ends.
const day = { year: "numeric", month: "short", day: "numeric" };
const minute = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "shortOffset" };
const precisions = { second: { ...minute, second: "2-digit" }, minute };
const formats = {};
for (const [name, precision] of Object.entries(precisions)) formats[name] = new Intl.DateTimeFormat(undefined, precision);

function localise(root) {
  for (const time of all("time[data-precision]", root)) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.textContent = formats[time.dataset.precision].format(moment);
  }
}

// A time field shows local time. The submitted value, and so the address, is UTC.
function localiseFields(root) {
  const two = (number) => String(number).padStart(2, "0");
  for (const field of all("input[type=datetime-local]", root)) {
    const moment = new Date(field.dataset.utc);
    if (!Number.isNaN(moment.valueOf())) {
      const date = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
      const time = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
      field.value = field.defaultValue = `${date}T${time}`;
      field.dataset.shown = field.value;
    }
  }
  for (const zone of all("[data-zone]")) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const form of all("form", root)) {
    form.addEventListener("formdata", (event) => {
      // The address has no empty values.
      if (form.method === "get") for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
      for (const field of all("input[type=datetime-local]", form)) {
        // A field that was not changed keeps its time: as local time it may be ambiguous.
        const same = field.value === field.dataset.shown;
        if (field.value) event.formData.set(field.name, same ? field.dataset.utc : new Date(field.value).toISOString().replace(".000Z", "Z"));
      }
    });
  }
}

// ---- Announcements for screen readers: combined, at most one every 4 seconds.

const announcement = { text: null, next: 0 };

function announce(text) {
  const wait = announcement.next - Date.now();
  const timer = announcement.text !== null;
  announcement.text = text;
  if (timer) return;
  setTimeout(() => {
    find("#announcement").textContent = announcement.text;
    announcement.text = null;
    announcement.next = Date.now() + 4000;
  }, Math.max(wait, 0));
}

const events = (number) => `${number} new event${number === 1 ? "" : "s"}`;

// ---- Requests, and what to do when one fails.

async function ask(url, accept, signal) {
  const answer = await fetch(url, { headers: { accept: `${accept}, application/problem+json` }, signal });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? `status ${answer.status}`), { status: answer.status, type: problem.type });
}

// Why another attempt fails too, and what to do. None: the server may be restarting or busy.
function ending({ status, type, message }) {
  if (status === 401) return { lamp: "Signed out", text: `You are signed out (${message}). What you see is not updated any more.`, action: "Sign in", again: true };
  if (status === 409 || type === "urn:annals:log-diverged") return { lamp: "Log restored", restored: true };
  if (status === 403) return { lamp: "Access denied", text: `You may not read this any more: ${message}. What you see is not updated.`, action: "Reload" };
  if (status >= 400 && status < 500 && status !== 408 && status !== 429) return { lamp: "Not live", text: `What you see is not updated any more: ${message}.`, action: "Reload" };
  return null;
}

// The message above the content: what happened, and a link to do something about it.
function say(text, action) {
  const note = find("#notice");
  if (!note.hidden && note.dataset.text === text) return;
  note.dataset.text = text;
  note.replaceChildren(text);
  if (action) {
    const link = Object.assign(document.createElement("a"), { href: location.href, textContent: action });
    link.addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
    note.append(" ", link);
  }
  note.hidden = false;
}

const unsay = () => { find("#notice").hidden = true; };

// Says that there is no connection, if it stays so. It comes back by itself.
function connection() {
  let lost = null;
  return {
    failed(error) {
      console.warn(error);
      lost ??= new Date();
      if (Date.now() - lost > 5000) say(`No connection since ${formats.second.format(lost)}: what you see is older. It is tried again.`);
    },
    restored() {
      if (lost && Date.now() - lost > 5000) unsay();
      lost = null;
    },
  };
}

// The log was restored to an older state: what the page shows may never have happened. Reads the page again.
async function readAgain() {
  const restored = "The log was restored to an older state.";
  say(`${restored} What you see is of the lost history.`, "Reload");
  try {
    const text = await (await ask(location.href, "*/*")).text();
    const fresh = find("#main", new DOMParser().parseFromString(text, "text/html"));
    find("#main").replaceChildren(...fresh.childNodes);
    start(find("#main"));
    say(`${restored} This page was read again at ${formats.second.format(new Date())}.`);
  } catch (error) {
    console.warn(error);
    say(`${restored} What you see is of the lost history. The page cannot be read again yet: ${error.message}.`, "Reload");
  }
}

// The events of a response with Server-Sent Events. Unlike an EventSource, a request has a status and a reason when it fails.
async function* streamed(answer, alive) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const searched = Math.max(text.length - 1, 0);
    text += value;
    for (let end = text.indexOf("\n\n", searched); end >= 0; end = text.indexOf("\n\n")) {
      const event = {};
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
      }
      text = text.slice(end + 2);
      if (event.event) yield event;
    }
  }
}

// ---- The feed: the stream only notifies of new events. The rows are fetched as HTML, all after the last shown one, so that
// none is missing after a lost connection.

const MAX_ROWS = 500;

// A stream sends a heartbeat every 15 seconds.
const SILENCE = 60000;

function follow(feed) {
  const { rows, stream } = feed.dataset;
  const [state, pause] = [find("#live"), find("#pause")];
  let [last, id, after] = [Number(feed.dataset.last), feed.dataset.id, feed.dataset.after];
  let [open, live, timer, delay, retry, stopped] = [null, false, null, 1000, null, null];
  let [paused, waiting, unannounced, reading, again] = [false, 0, 0, false, false];
  const connected = connection();
  let newer = 0;

  function show(name, text) {
    state.dataset.state = name;
    state.textContent = text;
  }

  function showStream() {
    if (stopped) show("lost", stopped.lamp);
    else if (paused) show("paused", waiting ? `Paused: ${events(waiting)}` : "Paused");
    else if (live) show("live", "Live");
    else show("lost", "Reconnecting…");
  }

  function insert(text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    const list = template.content.firstElementChild;
    const fresh = [...list.children].filter((row) => !document.getElementById(row.id));
    if (Number(list.dataset.last) >= last) [last, id] = [Number(list.dataset.last), list.dataset.id];
    if (fresh.length === 0) return;
    localise(list);
    for (const row of fresh) row.classList.add("fresh");
    feed.prepend(...fresh);
    if (list.dataset.gap) {
      // Too many new rows: the list restarts with the newest.
      while (feed.children.length > fresh.length) feed.lastElementChild.remove();
    }
    while (feed.children.length > MAX_ROWS) feed.lastElementChild.remove();
    const older = find("#older");
    if (older && (list.dataset.gap || feed.children.length === MAX_ROWS)) {
      older.hidden = false;
      older.href = `${feed.dataset.older}until=${feed.lastElementChild.dataset.position}`;
    }
    find("#nothing")?.remove();
    showAge(list.dataset.gap ? Infinity : fresh.length);
    unannounced += fresh.length;
    announce(`${events(unannounced)} in the list`);
    setTimeout(() => { unannounced = 0; }, 4000);
  }

  // The counts on the page are of the time when it was loaded.
  function showAge(fresh) {
    newer += fresh;
    find("#newer").textContent = Number.isFinite(newer) ? `, and ${events(newer)} below` : ", and new events below";
    const counted = find("#counted");
    if (counted) counted.hidden = false;
  }

  // Stops: another attempt would fail too. Says what happened and what to do.
  function stop(why) {
    if (stopped) return;
    stopped = why;
    close();
    showStream();
    if (why.restored) readAgain();
    else say(why.text, why.action);
  }

  async function read() {
    clearTimeout(retry);
    if (paused || stopped || document.hidden) return;
    if (reading) { again = true; return; }
    reading = true;
    try {
      do {
        again = false;
        // The stream may be of another process than the one that answers.
        const seen = after ? `&seen=${after}` : "";
        const answer = await ask(`${rows}after=${last}&id=${id}${seen}`, "*/*");
        const text = await answer.text();
        if (stopped) return;
        if (live) connected.restored();
        insert(text);
        if (again) await new Promise((done) => setTimeout(done, 250));
      } while (again && !paused);
    } catch (error) {
      again = false;
      const why = ending(error);
      if (why) return stop(why);
      connected.failed(error);
      retry = setTimeout(read, 2000);
    } finally {
      reading = false;
    }
  }

  async function connect() {
    close();
    if (stopped) return;
    const own = new AbortController();
    open = own;
    let silence = null;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => own.abort(), SILENCE);
    };
    try {
      alive();
      const answer = await ask(after ? `${stream}after=${after}` : stream, "text/event-stream", own.signal);
      if (open !== own) return;
      [live, delay] = [true, 1000];
      connected.restored();
      showStream();
      read();
      for await (const event of streamed(answer, alive)) {
        if (open !== own) return;
        after = event.id || after;
        if (event.event === "end") {
          ended(JSON.parse(event.data));
          break;
        }
        if (paused) waiting += 1;
        showStream();
        read();
      }
    } catch (error) {
      if (open !== own) return;
      const why = ending(error);
      if (why) return stop(why);
      connected.failed(error);
    } finally {
      clearTimeout(silence);
    }
    if (open !== own || stopped) return;
    live = false;
    showStream();
    timer = setTimeout(connect, delay);
    delay = Math.min(delay * 2, 30000);
  }

  // The server ends a stream with a reason.
  function ended({ reason, problem }) {
    if (reason === "expired") stop(ending({ status: 401, message: "the token has expired" }));
    else if (reason === "revoked") stop(ending({ status: 401, message: "the key of the token was withdrawn" }));
    else if (reason === "done") stop({ lamp: "Complete", text: "Everything that this page asks for is shown." });
    else if (problem) {
      const why = ending({ ...problem, message: problem.detail ?? problem.title });
      if (why) stop(why);
    }
  }

  function close() {
    clearTimeout(timer);
    live = false;
    const before = open;
    open = null;
    before?.abort();
  }

  // Somebody looks at the page again: they may have signed in meanwhile.
  function resume() {
    if (!feed.isConnected) return;
    if (stopped?.again) {
      stopped = null;
      unsay();
    }
    showStream();
    connect();
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    waiting = 0;
    pause.textContent = paused ? "Resume" : "Pause";
    showStream();
    read();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : resume()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) resume(); });
  showStream();
  connect();
}

// ---- Polled parts: the progress of projections, rebuilds and checks.

function watch(part) {
  const connected = connection();
  let shown = part.innerHTML;
  let announced = part.firstElementChild?.dataset.say;
  async function poll() {
    if (!part.isConnected) return;
    if (!document.hidden) {
      try {
        const html = await (await ask(part.dataset.watch, "*/*")).text();
        connected.restored();
        if (html !== shown) {
          shown = html;
          const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
          part.innerHTML = html;
          localise(part);
          if (focused) document.getElementById(focused)?.focus();
          const text = part.firstElementChild?.dataset.say;
          if (text && text !== announced) announce(text);
          announced = text;
        }
      } catch (error) {
        const why = ending(error);
        if (why) return why.restored ? readAgain() : say(why.text, why.action);
        connected.failed(error);
      }
    }
    setTimeout(poll, part.firstElementChild?.dataset.busy ? 300 : 2000);
  }
  setTimeout(poll, 300);
}

function start(root) {
  localise(root);
  localiseFields(root);
  for (const feed of all("#feed[data-stream]", root)) follow(feed);
  for (const part of all("[data-watch]", root)) watch(part);
}

start(document);
