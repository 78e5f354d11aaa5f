// One conversation: keeps its turns, asks /v1/chat/completions, and shows the answer while it arrives.

import { TOO_LONG, about, ask, asked, download, events, explain, nameLanguage, refusal, save, state } from "./client.js";
import { render } from "./markdown.js";
import { languageOf } from "./scripts.js";

const find = (id) => document.getElementById(id);
const [main, turnList, message] = ["scroll", "turns", "message"].map(find);
const FULL_SHARE = 0.75; // of the model's positions: beyond it the oldest exchange is no longer sent

let positions = Infinity; // of the model: prompt and answer share them
let running = null; // AbortController of the answer that is being streamed
let edited = null; // number of the turn that the composer will replace
let changed = () => {}; // told whenever what can be done here has changed

export const chat = {
  get isBusy() { return running !== null; },
  get isEditing() { return edited !== null; },
  get isEmpty() { return !state.turns.length; },
  stop: () => running?.abort(),
  submit, endEdit, clear, showAll, saveAsFile,
};

export function begin(model, whenChanged) {
  positions = model.max_model_len;
  changed = whenChanged;
}

// A person's words as they are; a model's as the Markdown they are meant to be.
function setText(element, turn) {
  element.lang = turn.language?.code ?? languageOf(turn.content);
  if (turn.role === "assistant") render(element, turn.content);
  else element.replaceChildren(document.createTextNode(turn.content));
}

function showTurn(turn, number) {
  const item = find("turn").content.firstElementChild.cloneNode(true);
  item.classList.add(turn.role);
  item.classList.toggle("forgotten", number < state.forgotten);
  if (turn.content) setText(item.querySelector(".text"), turn);
  showNote(item, turn);
  showLanguage(item, turn.language);
  item.querySelector(".copy").addEventListener("click", (event) => copy(turn.content, event.currentTarget));
  item.querySelector(".copy").hidden = !navigator.clipboard; // browsers give it to secure pages only
  item.querySelector(".edit").addEventListener("click", () => startEdit(number));
  item.querySelector(".again").addEventListener("click", answerAgain);
  turnList.append(item);
  return item;
}

function showNote(item, turn) {
  const note = item.querySelector(".note");
  note.hidden = !turn.note;
  note.classList.toggle("alert", Boolean(turn.failed));
  note.textContent = turn.note ?? "";
}

export function showLanguage(item, language) {
  const label = item.querySelector(".language");
  label.hidden = !language;
  label.textContent = language?.name ?? "";
  label.title = language ? `Language of this answer: ${language.native_name ?? language.name}` : "";
}

function showAll() {
  turnList.replaceChildren();
  state.turns.forEach(showTurn);
  markEdited();
  main.scrollTop = state.turns.length ? main.scrollHeight : 0;
}

function markEdited() {
  [...turnList.children].forEach((item, number) => item.classList.toggle("edited", number === edited));
}

export const isAtBottom = () => main.scrollHeight - main.scrollTop - main.clientHeight < 60;
export const toBottom = () => { main.scrollTop = main.scrollHeight; };

async function copy(text, button) {
  await navigator.clipboard.writeText(text);
  const icon = button.querySelector("use");
  icon.setAttribute("href", "#done");
  setTimeout(() => icon.setAttribute("href", "#copy"), 1200);
}

function startEdit(number) {
  if (running) return;
  edited = number;
  message.value = state.turns[number].content;
  markEdited();
  changed();
  turnList.children[number].scrollIntoView({ block: "nearest" });
  message.focus();
}

function endEdit() {
  edited = null;
  message.value = "";
  markEdited();
  changed();
}

function submit(content) {
  if (edited !== null) cutTo(edited);
  state.turns.push({ role: "user", content });
  endEdit();
  showAll();
  answer();
}

function answerAgain() {
  if (running) return;
  cutTo(state.turns.findLastIndex((turn) => turn.role === "user") + 1);
  endEdit();
  showAll();
  answer();
}

function cutTo(length) {
  state.turns.length = length;
  state.forgotten = Math.min(state.forgotten, Math.max(0, 2 * Math.floor((length - 1) / 2)));
}

// Leave the oldest exchange out of what is sent; false where only the last message is left.
function forgetOne() {
  if (state.forgotten + 2 >= state.turns.length) return false;
  forget(state.forgotten + 2);
  return true;
}

function forget(count) {
  state.forgotten = count;
  [...turnList.children].forEach((item, number) => item.classList.toggle("forgotten", number < count));
}

// Ask for the answer to the last turn, and stream it into a new one.
async function answer() {
  const { turns } = state; // a new conversation puts another list in its place
  const turn = { role: "assistant", content: "" };
  const item = showTurn(turn, turns.length);
  item.classList.add("busy");
  running = new AbortController();
  changed();
  toBottom();
  save();
  try {
    const end = await streamInto(turn, item.querySelector(".text"), running.signal);
    if (end === "length") turn.note = "Cut here: the answer ran out of room.";
  } catch (error) {
    turn.failed = error.name !== "AbortError";
    turn.note = turn.failed ? explain(error) : "Stopped.";
  }
  running = null;
  item.classList.remove("busy");
  if (turn.content) setText(item.querySelector(".text"), turn);
  showNote(item, turn);
  turns.push(turn);
  changed();
  save();
  await label(turn, item);
}

async function label(turn, item) {
  try {
    turn.language = await nameLanguage(turn.content);
  } catch (error) {
    console.warn("the language of the answer is not known:", error.message);
    return;
  }
  showLanguage(item, turn.language);
  if (turn.language) item.querySelector(".text").lang = turn.language.code;
  save();
}

async function streamInto(turn, element, signal) {
  const response = await request(signal);
  const show = painter(element);
  let end = null;
  for await (const event of events(response)) {
    if (event.error) throw refusal(event.error);
    if (event.usage) showRoom(event.usage.total_tokens);
    const choice = event.choices?.[0];
    end = choice?.finish_reason ?? end;
    turn.content += choice?.delta.content ?? "";
    if (choice?.delta.content) show(turn.content);
  }
  if (end === null) throw new Error("The answer broke off: the connection was lost.");
  if (!turn.content.trim()) turn.note = "The model had nothing to say.";
  return end;
}

// Shows a growing text, once a frame at most.
export function painter(element) {
  let text = null;
  return (grown) => {
    if (text === null) {
      requestAnimationFrame(() => {
        const follow = isAtBottom();
        if (text.length < 400) element.lang = languageOf(text);
        render(element, text);
        text = null;
        if (follow) toBottom();
      });
    }
    text = grown;
  };
}

async function request(signal) {
  const before = state.forgotten;
  for (;;) {
    const body = { ...asked(state.turns.slice(state.forgotten)), stream: true, stream_options: { include_usage: true } };
    try {
      return await ask("v1/chat/completions", body, signal);
    } catch (error) {
      if (TOO_LONG.includes(error.code) && forgetOne()) continue;
      if (TOO_LONG.includes(error.code)) forget(before); // not even the last message fits: the history is not to blame
      throw error;
    }
  }
}

function showRoom(tokens) {
  const unit = document.createElement("span");
  unit.className = "unit"; // no room for it on a phone
  unit.textContent = " tokens";
  find("room").replaceChildren(`${tokens.toLocaleString("en")} / ${positions.toLocaleString("en")}`, unit);
  find("room").title = "What this conversation takes of the model's positions";
  if (tokens > FULL_SHARE * positions) forgetOne();
}

function clear() {
  running?.abort();
  Object.assign(state, { turns: [], forgotten: 0 });
  find("room").replaceChildren();
  endEdit();
  showAll();
  save();
}

// The conversation as seallm reads conversations, with what made it.
function saveAsFile() {
  const messages = asked(state.turns).messages;
  const language = state.turns.findLast((turn) => turn.language)?.language.code ?? "";
  const record = {
    messages, language, model: about.model, policy: about.policy ?? (state.policy || null),
    temperature: state.temperature, saved: new Date().toISOString(),
  };
  download("conversation.json", new Blob([`${JSON.stringify(record, null, 1)}\n`], { type: "application/json" }));
}
