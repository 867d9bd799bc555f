// What the page does beyond what HTML does by itself: times in the reader's zone, rows as they come, bars that move.
"use strict";

const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- Times: in the reader's zone and manner; the title keeps UTC.

const day = { year: "numeric", month: "short", day: "numeric" };
const minute = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const manners = { second: { ...minute, second: "2-digit" }, minute, day };
const formats = {};
for (const [name, manner] of Object.entries(manners)) formats[name] = new Intl.DateTimeFormat(undefined, manner);

function localise(root) {
  for (const time of all("time[data-manner]", root)) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.textContent = formats[time.dataset.manner].format(moment);
  }
}

// A field for a time holds the reader's own; what is sent, and so the address, holds UTC.
function localiseFields() {
  const two = (number) => String(number).padStart(2, "0");
  for (const field of all("input[type=datetime-local]")) {
    const moment = new Date(field.dataset.utc);
    if (!Number.isNaN(moment.valueOf())) {
      const date = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
      const time = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
      field.value = field.defaultValue = `${date}T${time}`;
    }
  }
  for (const zone of all("[data-zone]")) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const form of all("form[method=get]")) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
      for (const field of all("input[type=datetime-local]", form)) {
        if (field.value) event.formData.set(field.name, new Date(field.value).toISOString().replace(".000Z", "Z"));
      }
    });
  }
}

// ---- News, told politely: together, and not more often than every few seconds.

const told = { words: null, next: 0 };

function tell(words) {
  const wait = told.next - Date.now();
  const timer = told.words !== null;
  told.words = words;
  if (timer) return;
  setTimeout(() => {
    find("#said").textContent = told.words;
    told.words = null;
    told.next = Date.now() + 4000;
  }, Math.max(wait, 0));
}

const events = (number) => `${number} new event${number === 1 ? "" : "s"}`;

// ---- The feed: a stream of events says that there is something new; the rows themselves come as the server writes
// them, all since the last that is shown. So nothing is missing, however the stream was cut.

const MOST = 500;

function follow(feed) {
  const { rows, bell } = feed.dataset;
  const [state, pause] = [find("#live"), find("#pause")];
  let [last, id, after] = [Number(feed.dataset.last), feed.dataset.id, feed.dataset.after];
  let [stream, timer, delay] = [null, null, 1000];
  let [paused, waiting, untold, reading, again, other] = [false, 0, 0, false, false, false];

  function show(name, words) {
    state.dataset.state = name;
    state.textContent = words;
  }

  function showStream() {
    if (other) show("lost", "The log was restored: reload");
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
      // More came than fits: the page as it is now begins anew.
      while (feed.children.length > fresh.length) feed.lastElementChild.remove();
    }
    while (feed.children.length > MOST) feed.lastElementChild.remove();
    const older = find("#older");
    if (older && (list.dataset.gap || feed.children.length === MOST)) {
      older.hidden = false;
      older.href = `${feed.dataset.older}until=${feed.lastElementChild.dataset.position}`;
    }
    find("#nothing")?.remove();
    untold += fresh.length;
    tell(`${events(untold)} in the list`);
    setTimeout(() => { untold = 0; }, 4000);
  }

  // The rows that are shown are of a log that is not there any more: nothing of the new one goes among them.
  function diverge() {
    if (!other) tell("The log was put back to an older state. Reload the page.");
    other = true;
    close();
    showStream();
  }

  async function read() {
    if (paused || other) return;
    if (reading) { again = true; return; }
    reading = true;
    try {
      do {
        again = false;
        const answer = await fetch(`${rows}after=${last}&id=${id}`, { headers: { accept: "text/html" } });
        if (answer.status === 409) return diverge();
        if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
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
    if (other) return;
    stream = new EventSource(after ? `${bell}after=${after}` : bell);
    stream.addEventListener("open", () => { delay = 1000; showStream(); read(); });
    stream.addEventListener("row", (event) => {
      after = event.lastEventId || after;
      if (paused) waiting += 1;
      showStream();
      read();
    });
    // Whether the log is another than the one that is shown, the server says.
    stream.addEventListener("end", read);
    stream.addEventListener("error", () => {
      showStream();
      // Cut: the browser opens it again. Refused: it does not, but the server may only be on its way up.
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

// ---- Parts that are looked at again and again: how far projections, rebuilds and checks are.

function watch(part) {
  let shown = part.innerHTML;
  let said = part.firstElementChild?.dataset.say;
  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.watch, { headers: { accept: "text/html" } });
        const text = answer.ok ? await answer.text() : shown;
        if (text !== shown) {
          shown = text;
          const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
          part.innerHTML = text;
          localise(part);
          if (focused) document.getElementById(focused)?.focus();
          const words = part.firstElementChild?.dataset.say;
          if (words && words !== said) tell(words);
          said = words;
        }
      } catch (error) {
        console.warn(error);
      }
    }
    setTimeout(look, part.firstElementChild?.dataset.busy ? 300 : 2000);
  }
  setTimeout(look, 300);
}

localise(document);
localiseFields();
for (const feed of all("#feed[data-bell]")) follow(feed);
for (const part of all("[data-watch]")) watch(part);
