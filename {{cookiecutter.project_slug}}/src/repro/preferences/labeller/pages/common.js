// What both pages share: talking to the server, clips, and words.

export const WORDS = { left: "left", right: "right", tie: "equal", incomparable: "can’t tell" };

export const find = (id) => document.getElementById(id);

/** What the server could not be asked (it is gone), as opposed to what it refused. */
export class Unreachable extends Error {}

/** What the server refused; `stale` if the page no longer shows how things stand. */
export class Refused extends Error {
  constructor(line, stale) {
    super(line);
    this.stale = stale;
  }
}

/** Ask the server, with a POST if there is a body. Returns its answer. */
export async function ask(path, body) {
  let response, answer;
  try {
    response = await fetch(path, body && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    answer = await response.json();
  } catch {
    throw new Unreachable("The labelling server does not answer. Is repro label still running?");
  }
  if (!response.ok) throw new Refused(answer.error, response.status === 409);
  return answer;
}

/** A pair with its two clips, ready to be drawn. */
export async function load(pair) {
  const [left, right] = await Promise.all([loadClip(pair.left), loadClip(pair.right)]);
  return { ...pair, clips: [left, right] };
}

async function loadClip(hash) {
  let response, blob;
  try {
    response = await fetch(`clips/${hash}`);
    if (response.ok) blob = await response.blob();
  } catch {
    throw new Unreachable("The labelling server does not answer. Is repro label still running?");
  }
  if (!blob) throw new Refused((await response.json()).error, false);
  return { ...JSON.parse(response.headers.get("Clip")), sheet: await createImageBitmap(blob) };
}

/** Show a line that something is wrong, or none. */
export function complain(line) {
  const alert = find("alert");
  if (alert.textContent !== (line ?? "")) alert.textContent = line ?? "";
  alert.hidden = !line;
}

/** The annotator's name, if it is known. */
export function storedName(setting) {
  try {
    return setting.annotator ?? localStorage.getItem("annotator");
  } catch {
    return setting.annotator; // a browser that keeps nothing
  }
}

export function storeName(name) {
  try {
    localStorage.setItem("annotator", name);
  } catch {
    // asked again next time
  }
}
