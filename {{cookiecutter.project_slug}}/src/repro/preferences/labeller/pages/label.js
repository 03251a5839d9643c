// The labelling page. A label is confirmed only when the server has it on disk; until then the same pair stays.

import { WORDS, Refused, Unreachable, ask, complain, find, load, storeName, storedName } from "./common.js";
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
let lacking = false; // whether to look for more when that is done
let sent = 0; // answers so far
let refused = null; // why the last one was not stored; told until one is

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const held = () => pairs.map((pair) => pair.key);

async function start() {
  setting = await persist(() => ask("api/setting"));
  find("run").textContent = setting.run;
  if (setting.instruction) find("instruction").textContent = setting.instruction;
  annotator = storedName(setting) || (await askName());
  find("annotator").textContent = `Labelling as ${annotator}`;
  find("other").hidden = Boolean(setting.annotator);
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
      complain(refused);
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
  lacking = true;
  if (fetching) return;
  fetching = true;
  try {
    while (lacking) {
      lacking = false;
      const [before, query] = [sent, new URLSearchParams({ annotator, held: held().join(",") })];
      const work = await persist(() => ask(`api/work?${query}`));
      if (before !== sent) lacking = true; // answered meanwhile: this is no longer how things stand
      else await take(work);
      if (!pairs.length && !lacking) {
        await sleep(LOOK_AGAIN);
        lacking = true;
      }
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
  parts.push(work.waits ? `training waits for <b>${waiting}</b>` : `<b>${waiting}</b> left`);
  find("counts").innerHTML = parts.join(" · "); // numbers only
  find("status").textContent = work.status ?? "";
  find("waiting-text").textContent =
    work.pairs.length || pairs.length ? "The next clips are on their way." : work.outlook;
}

function show() {
  const pair = pairs[0];
  for (const id of ["clips", "timeline", "answers"]) find(id).hidden = !pair;
  find("clips").dataset.pair = pair?.key ?? "";
  find("waiting").hidden = Boolean(pair);
  player.show(pair?.clips ?? null);
  shownAt = performance.now();
}

/** Send an answer to `pair`; returns the pair as it is then, once the server has the answer on disk. */
const send = ({ key, version, left, right }, answer, seconds) =>
  persist(() => ask("api/answers", { annotator, pair: { key, version, left, right }, answer, seconds }));

async function choose(answer) {
  if (busy || !pairs.length) return;
  const pressed = performance.now();
  mark(answer);
  await act(async () => {
    last = await send(pairs[0], answer, (pressed - shownAt) / 1000);
    pairs.shift();
    show();
    requestAnimationFrame(() => performance.measure("label", { start: pressed })); // what the page itself costs
    say(`Stored: ${WORDS[answer]}.`);
  });
}

async function undo() {
  if (busy || !last) return;
  await act(async () => {
    const pair = await send(last, "undo", null);
    last = null; // until the server says what was before
    const index = held().indexOf(pair.key);
    if (index >= 0) pairs.splice(index, 1);
    pairs.unshift(await persist(() => load(pair)));
    show();
    say("Taken back: answer it again.");
  });
}

/** Do one thing at a time; what the server refuses is shown. Then see how things stand. */
async function act(action) {
  busy = true;
  sent += 1;
  try {
    await action();
    refused = null;
  } catch (error) {
    refused = `Not stored: ${error.message}`;
    if (error instanceof Refused && error.stale) {
      pairs.length = 0;
      show();
    }
  } finally {
    busy = false;
    complain(refused);
    mark(null);
    find("undo").disabled = !last;
  }
  refill();
}

/** Mark what was chosen, on the clip and the button, while it is being stored. */
function mark(answer) {
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.classList.toggle("chosen", button.dataset.answer === answer);
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
  button.addEventListener("click", (event) => {
    if (event.detail) button.blur(); // by a pointer: the space bar is to pause, not to press it again
    choose(button.dataset.answer);
  });
}
find("other").addEventListener("click", () => {
  storeName("");
  location.reload();
});
find("undo").addEventListener("click", undo);
find("pause").addEventListener("click", pause);
find("slow").addEventListener("click", slow);
find("replay").addEventListener("click", () => player.replay());
press("pause", player.paused);

start().catch((error) => complain(error.message));
