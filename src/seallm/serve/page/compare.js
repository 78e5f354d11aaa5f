// Two models answer side by side, unnamed; a judgement names them and goes into the server's review database.

import { isAtBottom, painter, toBottom } from "./chat.js";
import { TOO_LONG, ask, asked, events, explain, refusal, save, state } from "./client.js";
import { render } from "./markdown.js";
import { languageOf } from "./scripts.js";

const SIDES = ["left", "right"];
const VERDICTS = { left: "Left is better", right: "Right is better", tie: "Equally good", both_bad: "Both are bad" };
const find = (id) => document.getElementById(id);
const pairList = find("pairs");
let running = null; // AbortController of the answers that are being streamed
let isJudging = false; // a judgement is on its way: a second press of the key must not follow it
let changed = () => {};

export const comparison = {
  get isBusy() { return running !== null; },
  get isEmpty() { return !state.pairs.length; },
  get waits() { return Boolean(state.pairs.at(-1)?.id) && !state.pairs.at(-1).verdict; },
  stop: () => running?.abort(),
  submit, clear, showAll,
};

export function begin(whenChanged) {
  changed = whenChanged;
}

// What was asked before, with the answers that were found better; where neither was, the left one.
function history() {
  return state.pairs.flatMap((pair) => {
    const kept = pair.verdict === "right" || !pair.texts[0].trim() ? pair.texts[1] : pair.texts[0];
    return kept.trim() ? [{ role: "user", content: pair.question }, { role: "assistant", content: kept }] : [];
  });
}

function showPair(pair) {
  const item = find("pair").content.firstElementChild.cloneNode(true);
  const question = item.querySelector(".question");
  question.textContent = pair.question;
  question.lang = languageOf(pair.question);
  SIDES.forEach((side, number) => setText(item.querySelector(`.${side} .text`), pair.texts[number]));
  for (const button of item.querySelectorAll("[data-verdict]")) {
    button.addEventListener("click", () => judge(pair, item, button.dataset.verdict));
  }
  item.querySelector(".skip").addEventListener("click", () => skip(pair, item));
  item.querySelector(".verdicts").addEventListener("keydown", (event) => {
    const button = event.target.tagName === "INPUT" ? null : item.querySelectorAll("[data-verdict]")[Number(event.key) - 1];
    button?.click();
  });
  const name = item.querySelector("input");
  name.value = state.annotator;
  name.addEventListener("input", () => { state.annotator = name.value; });
  pairList.append(item);
  showVerdict(pair, item);
  return item;
}

function setText(element, text) {
  element.lang = languageOf(text);
  render(element, text);
}

function showVerdict(pair, item) {
  item.querySelector(".verdicts").hidden = !pair.id || Boolean(pair.verdict);
  item.querySelector("label").hidden = Boolean(state.annotator) && !pair.wantsName;
  SIDES.forEach((side) => {
    const column = item.querySelector(`.${side}`);
    column.classList.toggle("better", pair.verdict === side);
    column.querySelector(".name").textContent = pair.names?.[side] ?? (side === "left" ? "Left" : "Right");
  });
  const note = item.querySelector(".note");
  const said = pair.names ? `You said: ${VERDICTS[pair.verdict].toLowerCase()}.` : "";
  note.textContent = pair.note ?? said;
  note.hidden = !note.textContent;
  note.classList.toggle("alert", Boolean(pair.failed));
}

function showAll() {
  pairList.replaceChildren();
  state.pairs.forEach(showPair);
}

async function submit(question) {
  find("message").value = "";
  const turns = [...history(), { role: "user", content: question }];
  const pair = { question, texts: ["", ""], id: null };
  const { pairs } = state;
  const item = showPair(pair);
  item.classList.add("busy");
  running = new AbortController();
  changed();
  toBottom();
  try {
    await streamInto(pair, item, turns, running.signal);
    if (!pair.id) pair.note = "There is nothing to judge: an answer is empty, or both are the same.";
  } catch (error) {
    pair.failed = error.name !== "AbortError";
    pair.note = pair.failed ? explain(error) : "Stopped.";
  }
  running = null;
  item.classList.remove("busy");
  SIDES.forEach((side, number) => setText(item.querySelector(`.${side} .text`), pair.texts[number]));
  pairs.push(pair);
  showVerdict(pair, item);
  changed();
  save();
  if (pair.id && pairs === state.pairs && !find("message").value) item.querySelector("[data-verdict]").focus();
  toBottom();
}

async function streamInto(pair, item, turns, signal) {
  const paint = SIDES.map((side) => painter(item.querySelector(`.${side} .text`)));
  const response = await request(turns, signal);
  let hasEnded = false;
  for await (const event of events(response)) {
    if (event.error) throw refusal(event.error);
    if ("id" in event) {
      pair.id = event.id;
      hasEnded = true;
    } else if (event.text) {
      const number = SIDES.indexOf(event.side);
      pair.texts[number] += event.text;
      paint[number](pair.texts[number]);
    }
  }
  if (!hasEnded) throw new Error("The answers broke off: the connection was lost.");
}

// Where the models have no room for the whole history, its oldest exchanges are not sent.
async function request(turns, signal) {
  for (let first = 0; ; first += 2) {
    try {
      return await ask("page/pairs", asked(turns.slice(first)), signal);
    } catch (error) {
      if (!TOO_LONG.includes(error.code) || first + 2 >= turns.length) throw error;
    }
  }
}

async function judge(pair, item, verdict) {
  if (isJudging) return;
  const annotator = state.annotator.trim();
  pair.wantsName = !annotator;
  pair.note = annotator ? undefined : "Whose judgement is it? Type a name first.";
  if (annotator) {
    isJudging = true;
    try {
      pair.names = await (await ask("page/judgements", { id: pair.id, verdict, annotator })).json();
      pair.verdict = verdict;
      pair.failed = false;
    } catch (error) {
      Object.assign(pair, { note: explain(error), failed: true, wantsName: true });
    }
    isJudging = false;
  }
  const follow = isAtBottom();
  showVerdict(pair, item);
  save();
  changed();
  if (pair.verdict) find("message").focus();
  else item.querySelector("input").focus();
  if (follow) toBottom();
}

function skip(pair, item) {
  Object.assign(pair, { verdict: "skipped", note: "Skipped: the models stay unnamed." });
  showVerdict(pair, item);
  save();
  changed();
  find("message").focus();
}

function clear() {
  running?.abort();
  state.pairs = [];
  showAll();
  changed();
  save();
}
