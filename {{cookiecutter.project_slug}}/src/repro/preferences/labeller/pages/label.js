// The labelling page. A label is confirmed only when the server has it on disk; until then the same pair stays.

import { WORDS, Refused, Unreachable, ask, complain, count, find, load, storeName, storedName } from "./common.js";
import { Player } from "./player.js";

const RETRY = 1000; // milliseconds between two tries to reach a server that is gone
const LOOK_AGAIN = 1000; // milliseconds, while there is nothing to label

const player = new Player(
  [...document.querySelectorAll(".clip canvas")],
  document.querySelector("#timeline div"),
);
const pairs = []; // loaded; the first is the one that is shown
let setting, annotator, last, shownAt;
let busy = false; // while an answer is on its way
let fetching = false;

export const costs = (window.labelCosts = []); // milliseconds from a key to the next pair, for who measures

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const held = () => pairs.map((pair) => pair.key);

async function start() {
  setting = await persist(() => ask("api/setting"));
  find("run").textContent = setting.run;
  if (setting.instruction) find("instruction").textContent = setting.instruction;
  annotator = storedName(setting) || (await askName());
  find("annotator").textContent = `Labelling as ${annotator}`;
  await refill();
}

/** Ask who it is; until a name is given, nothing else can be done. */
async function askName() {
  const dialog = find("who");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const name = find("name").value.trim();
  if (!name) return askName();
  storeName(name);
  return name;
}

/** Do it until the server answers; what it refuses is thrown. */
async function persist(action) {
  for (;;) {
    try {
      const result = await action();
      complain(null);
      return result;
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      complain(`${error.message} Trying again; nothing that was confirmed is lost.`);
      await sleep(RETRY);
    }
  }
}

/** Have pairs at hand, so that the next one is there when it is wanted. */
async function refill() {
  if (fetching) return;
  fetching = true;
  try {
    for (;;) {
      const query = new URLSearchParams({ annotator, held: held().join(",") });
      const work = await persist(() => ask(`api/work?${query}`));
      if (busy) break; // an answer is on its way, and brings newer work
      await take(work);
      if (pairs.length) break;
      await sleep(LOOK_AGAIN);
    }
  } catch (error) {
    complain(error.message);
    setTimeout(refill, 5 * LOOK_AGAIN);
  } finally {
    fetching = false;
  }
}

/** Take in what the server says of the work. */
async function take(work) {
  report(work);
  for (const pair of work.pairs) {
    if (held().includes(pair.key)) continue;
    const loaded = await persist(() => load(pair));
    if (held().includes(pair.key)) continue;
    pairs.push(loaded);
    if (pairs.length === 1) show();
  }
  if (!pairs.length) show();
}

function report(work) {
  const { labels, waiting, mine, per_hour: rate } = work.progress;
  const wanted = setting.wanted ?? labels + waiting;
  last = work.last;
  find("undo").disabled = !last;
  find("progress").max = Math.max(wanted, labels, 1);
  find("progress").value = labels;
  const parts = [`<b>${labels.toLocaleString("en")}</b> of ${wanted.toLocaleString("en")} labels`];
  if (mine !== labels) parts.push(`${mine.toLocaleString("en")} yours`);
  if (rate) parts.push(`${Math.round(rate).toLocaleString("en")} an hour`);
  parts.push(work.status === "running" ? `training waits for <b>${waiting}</b>` : `<b>${waiting}</b> left`);
  find("counts").innerHTML = parts.join(" · "); // numbers only
  find("status").textContent = work.status ?? "";
  find("waiting-text").textContent =
    work.status === "running"
      ? "All labelled. Training goes on; its next comparisons appear here by themselves."
      : work.status === "queued"
        ? "The run has not begun yet. Its comparisons appear here by themselves."
        : "All labelled. There is nothing left to compare in this run.";
}

function show() {
  const pair = pairs[0];
  for (const id of ["clips", "timeline", "answers"]) find(id).hidden = !pair;
  find("waiting").hidden = Boolean(pair);
  player.show(pair?.clips ?? null);
  shownAt = performance.now();
}

/** Send an answer to `pair`; returns what the server says then, once it has it. */
const send = (pair, answer, seconds) =>
  persist(() => {
    const { key, version, left, right } = pair;
    const rest = held().filter((one) => one !== key);
    return ask("api/answers", { annotator, pair: { key, version, left, right }, answer, seconds, held: rest });
  });

async function choose(answer) {
  if (busy || !pairs.length) return;
  const pressed = performance.now();
  const [pair] = pairs;
  mark(answer, "chosen");
  await act(async () => {
    const work = await send(pair, answer, (pressed - shownAt) / 1000);
    pairs.shift();
    mark(answer, null);
    show();
    requestAnimationFrame(() => costs.push(performance.now() - pressed));
    say(`Stored: ${WORDS[answer]}.`);
    return work;
  });
}

async function undo() {
  if (busy || !last) return;
  await act(async () => {
    const pair = last;
    const work = await send(pair, "undo", null);
    const index = held().indexOf(work.again.key);
    if (index >= 0) pairs.splice(index, 1);
    pairs.unshift(await persist(() => load(work.again)));
    show();
    say("Taken back: answer it again.");
    return work;
  });
}

/** Do one thing at a time. What the server says in the end is taken in; what it refuses is shown. */
async function act(action) {
  busy = true;
  let work;
  try {
    work = await action();
  } catch (error) {
    mark(null, null);
    complain(`Not stored: ${error.message}`);
    if (error instanceof Refused && error.stale) {
      pairs.length = 0;
      show();
    }
  } finally {
    busy = false;
  }
  if (work) await take(work);
  if (!pairs.length) refill();
}

/** Mark what was chosen, on the clip and the button. */
function mark(answer, state) {
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.classList.toggle("chosen", Boolean(state) && button.dataset.answer === answer);
  }
}

function say(line) {
  const said = find("said");
  said.textContent = line;
  said.classList.remove("fresh");
  void said.offsetWidth; // begins the animation anew
  said.classList.add("fresh");
}

function press(button, on) {
  find(button).setAttribute("aria-pressed", String(on));
}

function pause() {
  player.paused = !player.paused;
  press("pause", player.paused);
}

function slow() {
  player.slow = !player.slow;
  press("slow", player.slow);
}

const KEYS = {
  ArrowLeft: () => choose("left"),
  ArrowRight: () => choose("right"),
  ArrowUp: () => choose("tie"),
  ArrowDown: () => choose("incomparable"),
  Backspace: undo,
  u: undo,
  " ": pause,
  s: slow,
  r: () => player.replay(),
};

document.addEventListener("keydown", (event) => {
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const onControl = event.key === " " && event.target.closest("button, a"); // which the space bar presses
  if (!action || event.ctrlKey || event.altKey || event.metaKey || find("who").open || onControl) return;
  event.preventDefault();
  if (!event.repeat) action();
});
for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => choose(button.dataset.answer));
}
find("undo").addEventListener("click", undo);
find("pause").addEventListener("click", pause);
find("slow").addEventListener("click", slow);
find("replay").addEventListener("click", () => player.replay());
press("pause", player.paused);

start().catch((error) => complain(error.message));
