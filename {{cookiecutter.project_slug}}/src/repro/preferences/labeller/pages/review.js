// The review page: all that the annotator has answered; any of it can be looked at again and corrected.

import { WORDS, ask, complain, find, load, storedName } from "./common.js";
import { Player } from "./player.js";

const player = new Player(
  [...document.querySelectorAll(".clip canvas")],
  document.querySelector("#timeline div"),
);
let setting, annotator, looked, oldest;

async function start() {
  setting = await ask("api/setting");
  find("run").textContent = setting.run;
  find("instruction").textContent = setting.instruction || "Which clip is better?";
  annotator = storedName(setting);
  if (annotator) await more();
  else location.replace("./"); // where the name is asked for
}

async function more() {
  const query = new URLSearchParams({ annotator, ...(oldest && { before: oldest }) });
  const answer = await ask(`api/given?${query}`);
  report(answer.progress);
  for (const label of answer.given) {
    find("rows").append(rowOf(label));
    oldest = label.id;
  }
  find("none").hidden = find("rows").childElementCount > 0;
  find("more").hidden = !answer.more;
}

function report({ mine, repeated, consistent }) {
  const parts = [`${mine.toLocaleString("en")} ${mine === 1 ? "label" : "labels"} of yours`];
  if (repeated) parts.push(`asked again about ${repeated}, the same answer to ${consistent}`);
  find("counts").textContent = parts.join(" · ");
}

function rowOf(label) {
  const row = document.createElement("tr");
  const seconds = label.latency_seconds;
  const name = document.createElement("th");
  name.scope = "row";
  const button = document.createElement("button");
  button.className = "link";
  button.textContent = `${label.number}${label.repeated ? " (again)" : ""}`;
  button.addEventListener("click", () => look(label.key, row).catch((error) => complain(error.message)));
  name.append(button);
  row.append(name);
  const given = new Date(label.created).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  for (const text of [WORDS[label.answer], seconds == null ? "" : `${seconds.toFixed(1)} s`, given]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  row.dataset.answer = label.answer;
  return row;
}

async function look(key, row) {
  complain(null);
  const query = new URLSearchParams({ annotator, key });
  const pair = await load(await ask(`api/pair?${query}`));
  looked = { pair, row };
  find("looked-at").hidden = false;
  player.show(pair.clips);
  mark(row.dataset.answer);
  for (const other of find("rows").children) other.ariaCurrent = other === row ? "true" : null;
  find("looked-at").scrollIntoView({ block: "nearest" });
}

async function correct(answer) {
  if (!looked || answer === looked.row.dataset.answer) return;
  const { pair, row } = looked;
  const { key, version, left, right } = pair;
  try {
    looked.pair.version = (
      await ask("api/answers", { annotator, pair: { key, version, left, right }, answer, seconds: null })
    ).version;
  } catch (error) {
    complain(`Not stored: ${error.message}`);
    return;
  }
  complain(null);
  row.dataset.answer = answer;
  row.children[1].textContent = WORDS[answer];
  mark(answer);
  find("said").textContent = `Stored: ${WORDS[answer]}.`;
}

function mark(answer) {
  for (const button of document.querySelectorAll("button[data-answer]")) {
    button.classList.toggle("chosen", button.dataset.answer === answer);
    button.setAttribute("aria-pressed", String(button.dataset.answer === answer));
  }
}

for (const button of document.querySelectorAll("button[data-answer]")) {
  button.addEventListener("click", () => correct(button.dataset.answer));
}
find("more").addEventListener("click", () => more().catch((error) => complain(error.message)));
start().catch((error) => complain(error.message));
