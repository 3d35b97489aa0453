// The page of a relay: asks for its JSON, and shows it. Names in it come from the network:
// they are set as text, never as markup.
"use strict";

const PAUSE_MS = 2000; // From an answer to the next question.
const HISTORY_MS = 120_000; // Of the lines of in and out.
const MINUTE_MS = 60_000; // Losses of so long are shown.
const RATE_MS = 4500; // Rates are those of about so long.
const STILL_S = 600; // An archiver without a sign for so long has stopped, or its server has.
const ROWS_MAX = 500; // More are not looked at by people: the filter finds them.

const at = (id) => document.getElementById(id);

// State of the page besides the relay's answer.
const samples = []; // Sums, each with its time.
const rows = new Map(); // A row of the table for each session, by its id.
let by = "name";
let descending = false;
let open = null; // The id of the session that is open.
let report = null;
let timer = null;
let asking = false;

// Figures in a few characters.
function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (count >= 999.5 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${count.toFixed(unit > 0 && count < 9.95 ? 1 : 0)} ${units[unit]}`;
}
const rate = (count) => count === null ? "–" : `${bytes(count)}/s`;
function span(seconds) {
  if (seconds < 100) return `${Math.floor(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
const lag = (seconds) => seconds === null ? "–" : seconds < 10 ? `${seconds.toFixed(1)} s` : span(seconds);
const since = (time) => time === null ? 0 : Math.max(0, (Date.parse(report.time) - Date.parse(time)) / 1000);
const loss = (cause, count) => cause === "events_discarded"
  ? `${count} events discarded` : `${count} packets lost (${cause.replaceAll("_", " ")})`;
// A name, in which what has no shape is shown by its number: nothing turns or hides text.
const shown = (name) => name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (it) => `\\u{${it.codePointAt(0).toString(16)}}`);

// Losses that are not 0, by cause.
function losses(tally) {
  const all = [["events_discarded", tally.events_discarded], ...Object.entries(tally.packets_lost)];
  return all.filter(([, count]) => count > 0);
}
const lost = (tally) => losses(tally).reduce((sum, [, count]) => sum + count, 0);
const slowest = (session) => session.viewers.length === 0
  ? null : Math.max(...session.viewers.map((it) => it.lag_seconds));

// Sets a text where it changes, so that a selection of the user stays.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function make(name, parent, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}
// Replaces all rows of a small table: a list of cells each, texts at the left, figures at the right.
function fill(body, lines) {
  body.replaceChildren();
  for (const line of lines) {
    const row = make("tr", body);
    for (const cell of line) {
      const isNumber = typeof cell === "object";
      make("td", row, isNumber ? cell.n : cell, isNumber ? (cell.bad ? "n lost" : "n") : "");
    }
  }
}
const n = (text, bad = false) => ({ n: String(text), bad });

// Keeps the sums of an answer.
function take(now) {
  const sum = (ports, what) => report.ports.filter((it) => ports.includes(it.port)).reduce((all, it) => all + it[what], 0);
  samples.push({
    now,
    received: sum(["control", "data"], "received_bytes"),
    sent: sum(["live"], "sent_bytes"),
    recorded: report.totals.bytes,
    lost: lost(report.totals),
    sessions: new Map(report.sessions.map((it) => [it.id, it.bytes])),
  });
  while (samples.length > 2 && now - samples[0].now > HISTORY_MS) samples.shift();
  // Rates of sessions are of the last samples: with thousands of sessions the others are large.
  for (const old of samples.slice(0, -2)) {
    if (now - old.now > RATE_MS) old.sessions.clear();
  }
}
// Growth in a second, between the sample that is so old and the last; none before there are two.
function growth(of, age) {
  const end = samples[samples.length - 1];
  const begin = samples.find((it) => end.now - it.now <= age);
  const from = begin === end ? samples[samples.length - 2] : begin;
  if (!from) return null;
  return Math.max(0, of(end) - of(from)) / ((end.now - from.now) / 1000);
}
function line(svg, of) {
  const end = samples[samples.length - 1].now;
  const points = [];
  for (let it = 1; it < samples.length; it += 1) {
    const seconds = (samples[it].now - samples[it - 1].now) / 1000;
    points.push([120 - (end - samples[it].now) / 1000, Math.max(0, of(samples[it]) - of(samples[it - 1])) / seconds]);
  }
  const most = Math.max(1, ...points.map(([, y]) => y));
  const text = points.map(([x, y]) => `${x.toFixed(1)},${(23 - 22 * y / most).toFixed(1)}`).join(" ");
  svg.firstElementChild.setAttribute("points", text);
}

// Chunks that wait for the archive, as its archiver has noted; nothing without one.
function archive() {
  const it = report.archive;
  at("archive").hidden = !it;
  if (!it) return;
  const waits = it.waiting_chunks > 0;
  const chunks = it.waiting_chunks === 1 ? "chunk" : "chunks";
  put(at("waiting"), waits ? `${it.waiting_chunks} ${chunks} to go, ${bytes(it.waiting_bytes)}` : "nothing waits");
  const failed = it.failing_chunks > 0 ? `${it.failing_chunks} failed, ` : "";
  put(at("looked"), `${failed}${span(since(it.looked))} ago`);
  at("waiting").className = it.failing_chunks > 0 || (waits && since(it.looked) > STILL_S) ? "bad" : "";
}

function strip() {
  const { relay, storage, totals } = report;
  put(at("version"), shown(relay.version));
  const ready = at("ready");
  put(ready, relay.ready ? `ready, up ${span(since(relay.started))}` : `not ready: ${relay.reasons.map(shown).join("; ")}`);
  ready.className = relay.ready ? "good" : "bad";
  put(at("in"), rate(growth((it) => it.received, RATE_MS)));
  put(at("out"), rate(growth((it) => it.sent, RATE_MS)));
  line(at("in-line"), (it) => it.received);
  line(at("out-line"), (it) => it.sent);
  put(at("sessions"), String(report.sessions.length));
  put(at("viewers"), String(report.sessions.reduce((sum, it) => sum + it.viewers.length, 0)));
  const hasDisk = storage.size_bytes > 0;
  put(at("disk"), hasDisk ? `${bytes(storage.free_bytes)} free of ${bytes(storage.size_bytes)}` : "none, traces are in memory");
  const recorded = growth((it) => it.recorded, MINUTE_MS);
  put(at("full"), hasDisk && recorded > 0 ? `full in ${span(storage.free_bytes / recorded)} at this rate` : "");
  archive();
  put(at("kept"), kept(storage));
  put(at("synced"), synced(storage.sync));
  at("synced").className = storage.sync.failed > 0 ? "bad" : "";
  const end = samples[samples.length - 1];
  const begin = samples.find((it) => end.now - it.now <= MINUTE_MS);
  const recent = Math.max(0, end.lost - begin.lost);
  put(at("lost"), String(recent));
  at("lost").className = recent > 0 ? "bad" : "";
  put(at("lost-all"), losses(totals).map(([cause, count]) => loss(cause, count)).join(", ") || "nothing since the start");
  const advice = losses(totals).map(([cause, count]) => `${loss(cause, count)}: ${report.advice[cause]}`);
  if (at("advice").dataset.shown !== advice.join()) {
    at("advice").dataset.shown = advice.join();
    at("advice").replaceChildren();
    for (const it of advice) make("li", at("advice"), shown(it));
  }
}

function kept(storage) {
  if (storage.used_bytes === undefined) return "";
  const of = storage.limit_bytes === null ? "" : ` of ${bytes(storage.limit_bytes)}`;
  const removed = Object.values(storage.removed);
  const all = (name) => removed.reduce((sum, it) => sum + it[name], 0);
  const gone = `removed ${all("chunks")} chunks and ${all("files")} files, ${bytes(all("bytes"))}`;
  return `kept ${bytes(storage.used_bytes)}${of}; ${all("chunks") + all("files") > 0 ? gone : "nothing removed"}`;
}

function synced(sync) {
  if (sync.failed > 0) return "a sync has failed: a loss of power may take what was recorded";
  if (sync.when === "chunk") return `synced chunks when they are closed, ${sync.done} so far`;
  if (sync.when === "period") return `synced every ${span(sync.period_seconds)}, ${sync.done} so far`;
  return "";
}

const figure = {
  host: (it) => it.host,
  name: (it) => it.name,
  age: (it) => since(it.created),
  rate: (it) => rateOf(it) ?? 0,
  streams: (it) => it.streams,
  lost,
  lag: (it) => slowest(it) ?? -1,
  bytes: (it) => it.bytes,
};
const rateOf = (session) => growth((it) => it.sessions.get(session.id) ?? 0, RATE_MS);

function newRow(session) {
  const row = document.createElement("tr");
  row.dataset.id = session.id;
  make("td", row, "", "name");
  const name = make("td", row, "", "name");
  make("button", name);
  for (let it = 0; it < 6; it += 1) make("td", row, "", "n");
  const copy = make("button", make("td", row), "copy command", "copy");
  copy.addEventListener("click", (event) => {
    event.stopPropagation();
    copyText(copy);
  });
  row.addEventListener("click", () => { toggle(session.id); });
  return row;
}

function table() {
  const wanted = at("filter").value.toLowerCase();
  const onlyLost = at("only-lost").checked;
  const isShown = (it) => (!onlyLost || lost(it) > 0)
    && (wanted === "" || `${it.host} ${it.name}`.toLowerCase().includes(wanted));
  const of = figure[by];
  const sign = descending ? -1 : 1;
  const compare = (one, other) => one < other ? -1 : one > other ? 1 : 0;
  const sessions = report.sessions.filter(isShown)
    .map((it) => [of(it), it])
    .sort(([one, a], [other, b]) => sign * compare(one, other) || compare(a.id, b.id))
    .map(([, it]) => it).slice(0, ROWS_MAX);
  const ids = new Set(sessions.map((it) => it.id));
  for (const [id, row] of rows) {
    if (!ids.has(id)) { row.remove(); rows.delete(id); }
  }
  sessions.forEach((session, place) => {
    let row = rows.get(session.id);
    if (!row) { row = newRow(session); rows.set(session.id, row); }
    const cells = row.children;
    put(cells[0], shown(session.host));
    cells[0].title = shown(session.host);
    put(cells[1].firstElementChild, shown(session.name));
    cells[1].title = shown(session.name);
    const all = losses(session);
    const texts = [span(since(session.created)), rate(rateOf(session)), String(session.streams),
      String(lost(session)), lag(slowest(session)), bytes(session.bytes)];
    texts.forEach((text, it) => put(cells[2 + it], text));
    cells[5].className = all.length > 0 ? "n lost" : "n";
    cells[5].title = all.map(([cause, count]) => loss(cause, count)).join(", ");
    const copy = cells[8].firstElementChild;
    copy.disabled = session.command === null;
    copy.title = shown(session.command ?? session.unreadable ?? "");
    copy.dataset.command = session.command ?? "";
    row.classList.toggle("open", session.id === open);
    if (at("rows").children[place] !== row) at("rows").insertBefore(row, at("rows").children[place] ?? null);
  });
  at("none").hidden = report.sessions.length > 0;
  at("table").hidden = report.sessions.length === 0;
  for (const button of document.querySelectorAll("th button")) {
    button.setAttribute("aria-pressed", String(button.dataset.by === by));
  }
}

async function copyText(button) {
  const text = button.dataset.command;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers give the clipboard to pages of this machine, or by TLS, alone.
    const area = make("textarea", document.body, text);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy command"; }, 1500);
}

async function toggle(id) {
  open = open === id ? null : id;
  table();
  await detail().catch(noAnswer);
}

async function detail() {
  const id = open;
  at("detail").hidden = id === null;
  if (id === null) return;
  const answer = await fetch(`/status/sessions/${id}`);
  if (open !== id) return;
  if (!answer.ok) {
    // It is over.
    open = null;
    at("detail").hidden = true;
    return;
  }
  const { session, streams } = await answer.json();
  put(at("d-name"), `${shown(session.name)} on ${shown(session.host)}`);
  const chunk = session.chunk === null ? "no chunk" : `chunk ${session.chunk}`;
  const reading = session.command === null ? `no viewer can read it: ${session.unreadable}` : session.command;
  put(at("d-facts"), [session.state, `from ${shown(session.from)}`, `in ${shown(session.directory)}`, chunk, shown(reading)].join(" · "));
  const parts = streams.map((it) => /^(.*)_(\d+)$/.exec(it.channel) ?? [null, it.channel, ""]);
  at("d-losses").replaceChildren();
  for (const [cause, count] of losses(session)) {
    const isLossy = (it) => cause === "events_discarded" ? it.events_discarded > 0 : it.packets_lost > 0;
    const channels = [...new Set(streams.map((it, place) => isLossy(it) ? shown(parts[place][1]) : null))].filter((it) => it !== null);
    const of = channels.length > 0 ? `, of channel ${channels.join(", ")}` : "";
    make("li", at("d-losses"), `${loss(cause, count)}${of}: ${shown(report.advice[cause] ?? "")}`);
  }
  fill(at("d-streams"), streams.map((it, place) => [shown(parts[place][1]), n(it.metadata ? "metadata" : parts[place][2]), n(it.packets), n(bytes(it.bytes)),
    n(it.events_discarded, it.events_discarded > 0), n(it.packets_lost, it.packets_lost > 0), n(it.viewers)]));
  fill(at("d-viewers"), session.viewers.map((it) => [shown(it.peer), n(span(since(it.since))), n(it.packets), n(it.lag_packets), n(lag(it.lag_seconds))]));
}

function warnings() {
  at("log").hidden = report.warnings.length === 0;
  const texts = report.warnings.map((it) => `${it.time} ${it.level}: ${it.text}`);
  if (at("warnings").dataset.shown === texts.join("\n")) return;
  at("warnings").dataset.shown = texts.join("\n");
  at("warnings").replaceChildren();
  for (const text of texts.reverse()) make("li", at("warnings"), shown(text));
}

function noAnswer(error) {
  put(at("ready"), `no answer: ${error.message}`);
  at("ready").className = "bad";
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const answer = await fetch("/status");
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    report = await answer.json();
    take(performance.now());
    strip();
    table();
    warnings();
    await detail();
  } catch (error) {
    noAnswer(error);
  } finally {
    asking = false;
  }
  if (!document.hidden) timer = setTimeout(ask, PAUSE_MS);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const isText = ["host", "name"].includes(button.dataset.by);
    descending = by === button.dataset.by ? !descending : !isText;
    by = button.dataset.by;
    if (report) table();
  });
}
at("filter").addEventListener("input", () => { if (report) table(); });
at("only-lost").addEventListener("change", () => { if (report) table(); });
at("d-close").addEventListener("click", () => { if (open !== null) toggle(open); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
ask();
