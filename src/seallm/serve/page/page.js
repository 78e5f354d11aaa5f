// The chat page: keeps a conversation, sends it to /v1/chat/completions, and shows the answer while it arrives.
// Whatever a person or the model wrote goes into the page as text nodes only, never as markup.

import { languageOf } from "./scripts.js";

const find = (id) => document.getElementById(id);
const [main, turnList, welcome, composer] = ["scroll", "turns", "welcome", "composer"].map(find);
const [message, send, stop, settings] = ["message", "send", "stop", "settings"].map(find);
const FULL_SHARE = 0.75; // of the model's positions: beyond it the oldest exchange is no longer sent

// Everything that outlives a reload of the tab: {role, content, note} a turn, and the number of turns no longer sent.
const state = { turns: [], forgotten: 0, system: "", temperature: 0.7, key: "", ...saved() };
let positions = Infinity; // of the model: prompt and answer share them
let running = null; // AbortController of the answer that is being streamed
let edited = null; // number of the turn that the composer will replace

function saved() {
  try {
    return JSON.parse(sessionStorage.getItem("seallm")) ?? {};
  } catch {
    return {}; // storage is switched off, or holds something else: start anew
  }
}

function save() {
  try {
    sessionStorage.setItem("seallm", JSON.stringify(state));
  } catch (error) {
    console.warn("this conversation will not outlive the tab:", error.name);
  }
}

function setText(element, text) {
  element.replaceChildren(document.createTextNode(text));
  element.lang = languageOf(text);
}

function showTurn(turn, number) {
  const item = find("turn").content.firstElementChild.cloneNode(true);
  item.classList.add(turn.role);
  item.classList.toggle("forgotten", number < state.forgotten);
  if (turn.content) setText(item.querySelector(".text"), turn.content);
  showNote(item, turn);
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

function showAll() {
  turnList.replaceChildren();
  state.turns.forEach(showTurn);
  welcome.hidden = state.turns.length > 0;
  main.scrollTop = state.turns.length ? main.scrollHeight : 0;
}

function showState() {
  send.hidden = Boolean(running);
  stop.hidden = !running;
  send.disabled = !message.value.trim();
  find("editing").hidden = edited === null;
  [...turnList.children].forEach((item, number) => item.classList.toggle("edited", number === edited));
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight}px`;
  message.lang = languageOf(message.value);
}

const isAtBottom = () => main.scrollHeight - main.scrollTop - main.clientHeight < 60;
const toBottom = () => { main.scrollTop = main.scrollHeight; };

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
  showState();
  turnList.children[number].scrollIntoView({ block: "nearest" });
  message.focus();
}

function endEdit() {
  edited = null;
  message.value = "";
  showState();
}

function submit() {
  const content = message.value.trim();
  if (!content || running) return;
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
  state.forgotten += 2;
  [...turnList.children].forEach((item, number) => item.classList.toggle("forgotten", number < state.forgotten));
  return true;
}

// Ask for the answer to the last turn, and stream it into a new one.
async function answer() {
  const { turns } = state; // a new conversation puts another list in its place
  const turn = { role: "assistant", content: "" };
  const item = showTurn(turn, turns.length);
  item.classList.add("busy");
  running = new AbortController();
  showState();
  toBottom();
  save();
  try {
    const end = await streamInto(turn, item.querySelector(".text"), running.signal);
    if (end === "length") turn.note = "Cut here: the answer ran out of room.";
  } catch (error) {
    turn.failed = error.name !== "AbortError";
    turn.note = turn.failed ? explain(error) : "Stopped.";
    if (error.code === "invalid_api_key") askForKey();
  }
  running = null;
  item.classList.remove("busy");
  showNote(item, turn);
  turns.push(turn);
  showState();
  save();
}

async function streamInto(turn, element, signal) {
  const response = await request(signal);
  const text = document.createTextNode("");
  let end = null;
  for await (const event of events(response)) {
    if (event.error) throw Object.assign(new Error(event.error.message), { code: event.error.code });
    if (event.usage) showRoom(event.usage.total_tokens);
    const choice = event.choices?.[0];
    end = choice?.finish_reason ?? end;
    const piece = choice?.delta.content;
    if (!piece) continue;
    const follow = isAtBottom();
    if (!turn.content) element.replaceChildren(text);
    text.appendData(piece);
    turn.content += piece;
    if (turn.content.length < 400) element.lang = languageOf(turn.content);
    if (follow) toBottom();
  }
  if (end === null) throw new Error("The answer broke off: the connection was lost.");
  if (!turn.content.trim()) turn.note = "The model had nothing to say.";
  return end;
}

async function request(signal) {
  const headers = { "content-type": "application/json" };
  if (state.key) headers.authorization = `Bearer ${state.key}`;
  for (;;) {
    const kept = state.turns.slice(state.forgotten).filter((turn) => turn.content.trim());
    const messages = kept.map(({ role, content }) => ({ role, content }));
    if (state.system.trim()) messages.unshift({ role: "system", content: state.system });
    const body = { messages, temperature: state.temperature, stream: true, stream_options: { include_usage: true } };
    const response = await fetch("v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
    if (response.ok) return response;
    const error = (await response.json()).error;
    if (error.code === "context_length_exceeded" && forgetOne()) continue;
    throw Object.assign(new Error(error.message), { code: error.code });
  }
}

// The JSON values of a stream of server-sent events.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) if (part !== "data: [DONE]") yield JSON.parse(part.slice("data: ".length));
  }
}

function explain(error) {
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  const text = error.message;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function showRoom(tokens) {
  find("room").hidden = false;
  find("room").textContent = `${tokens.toLocaleString("en")} / ${positions.toLocaleString("en")} tokens`;
  find("room").title = "What this conversation takes of the model's positions";
  if (tokens > FULL_SHARE * positions) forgetOne();
}

async function askForModel() {
  const headers = state.key ? { authorization: `Bearer ${state.key}` } : {};
  const response = await fetch("v1/models", { headers });
  if (response.status === 401) return askForKey();
  const [model] = (await response.json()).data;
  positions = model.max_model_len;
  find("model").textContent = model.id;
  document.title = model.id;
}

function askForKey() {
  find("key-box").hidden = false;
  settings.showModal();
  find("key").focus();
}

function newConversation() {
  running?.abort();
  Object.assign(state, { turns: [], forgotten: 0 });
  find("room").hidden = true;
  endEdit();
  showAll();
  save();
  message.focus();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
message.addEventListener("input", showState);
message.addEventListener("keydown", (event) => {
  const isTouch = matchMedia("(hover: none) and (pointer: coarse)").matches; // there Enter is the only way to a new line
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !isTouch) {
    event.preventDefault();
    submit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || settings.open) return;
  if (running) running.abort();
  else if (edited !== null) endEdit();
});
stop.addEventListener("click", () => running?.abort());
find("new").addEventListener("click", newConversation);
find("cancel-edit").addEventListener("click", endEdit);
find("open-settings").addEventListener("click", () => settings.showModal());
find("close-settings").addEventListener("click", () => settings.close());
settings.addEventListener("click", (event) => {
  if (event.target === settings) settings.close(); // a click beside it
});
settings.addEventListener("close", () => {
  save();
  if (!find("key-box").hidden) askForModel();
});
for (const name of ["system", "temperature", "key"]) {
  const field = find(name);
  const show = () => {
    find("temperature-value").textContent = state.temperature.toFixed(1);
    find("system").lang = languageOf(state.system);
  };
  field.value = state[name];
  field.addEventListener("input", () => {
    state[name] = name === "temperature" ? Number(field.value) : field.value;
    show();
  });
  show();
}
for (const example of document.querySelectorAll("#examples button")) {
  example.addEventListener("click", () => {
    message.value = example.textContent;
    showState();
    message.focus();
  });
}
askForModel().catch(() => { find("model").textContent = "the server cannot be reached"; });
// a reload while an answer was on its way
if (state.turns.at(-1)?.role === "user") state.turns.push({ role: "assistant", content: "", note: "Interrupted." });
showAll();
showState();
