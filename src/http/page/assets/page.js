// The page's script: times in the reader's time zone, live rows, progress bars.
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
function localiseFields() {
  const two = (number) => String(number).padStart(2, "0");
  for (const field of all("input[type=datetime-local]")) {
    const moment = new Date(field.dataset.utc);
    if (!Number.isNaN(moment.valueOf())) {
      const date = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
      const time = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
      field.value = field.defaultValue = `${date}T${time}`;
      field.dataset.shown = field.value;
    }
  }
  for (const zone of all("[data-zone]")) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const form of all("form[method=get]")) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
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

// ---- The feed: the stream only notifies of new events. The rows are fetched as HTML, all after the last shown one, so that
// none is missing after a lost connection.

const MAX_ROWS = 500;

function follow(feed) {
  const { rows, stream: streamUrl } = feed.dataset;
  const [state, pause] = [find("#live"), find("#pause")];
  let [last, id, after] = [Number(feed.dataset.last), feed.dataset.id, feed.dataset.after];
  let [stream, timer, delay] = [null, null, 1000];
  let [paused, waiting, unannounced, reading, again, diverged] = [false, 0, 0, false, false, false];

  function show(name, text) {
    state.dataset.state = name;
    state.textContent = text;
  }

  function showStream() {
    if (diverged) show("lost", "The log was restored: reload");
    else if (paused) show("paused", waiting ? `Paused: ${events(waiting)}` : "Paused");
    else if (stream && stream.readyState === EventSource.OPEN) show("live", "Live");
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
    unannounced += fresh.length;
    announce(`${events(unannounced)} in the list`);
    setTimeout(() => { unannounced = 0; }, 4000);
  }

  // The log was restored to an older state: rows of the new log must not mix with the shown ones.
  function diverge() {
    if (!diverged) announce("The log was restored to an older state. Reload the page.");
    diverged = true;
    close();
    showStream();
  }

  async function read() {
    if (paused || diverged) return;
    if (reading) { again = true; return; }
    reading = true;
    try {
      do {
        again = false;
        const answer = await fetch(`${rows}after=${last}&id=${id}`, { headers: { accept: "text/html" } });
        if (answer.status === 409) return diverge();
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        insert(await answer.text());
        if (again) await new Promise((done) => setTimeout(done, 250));
      } while (again && !paused);
    } catch (error) {
      console.warn(error);
      again = false;
      clearTimeout(timer);
      timer = setTimeout(read, 2000);
    } finally {
      reading = false;
    }
  }

  function open() {
    clearTimeout(timer);
    stream?.close();
    if (diverged) return;
    stream = new EventSource(after ? `${streamUrl}after=${after}` : streamUrl);
    stream.addEventListener("open", () => { delay = 1000; showStream(); read(); });
    stream.addEventListener("row", (event) => {
      after = event.lastEventId || after;
      if (paused) waiting += 1;
      showStream();
      read();
    });
    // The stream may end because the log was restored; the server checks that.
    stream.addEventListener("end", read);
    stream.addEventListener("error", () => {
      showStream();
      // The browser reconnects after a lost connection, but not after an error status, which a starting server may send.
      if (stream.readyState !== EventSource.CLOSED) return;
      read();
      timer = setTimeout(open, delay);
      delay = Math.min(delay * 2, 30000);
    });
  }

  function close() {
    clearTimeout(timer);
    stream?.close();
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    waiting = 0;
    pause.textContent = paused ? "Resume" : "Pause";
    showStream();
    read();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  showStream();
  open();
}

// ---- Polled parts: the progress of projections, rebuilds and checks.

function watch(part) {
  let shown = part.innerHTML;
  let announced = part.firstElementChild?.dataset.say;
  async function poll() {
    if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.watch, { headers: { accept: "text/html" } });
        const html = answer.ok ? await answer.text() : shown;
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
        console.warn(error);
      }
    }
    setTimeout(poll, part.firstElementChild?.dataset.busy ? 300 : 2000);
  }
  setTimeout(poll, 300);
}

localise(document);
localiseFields();
for (const feed of all("#feed[data-stream]")) follow(feed);
for (const part of all("[data-watch]")) watch(part);
