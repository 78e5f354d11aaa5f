// The page: its tabs, its settings and its composer. What a person or a model wrote never becomes markup.

import { begin as beginBatch } from "./batch.js";
import { begin as beginChat, chat } from "./chat.js";
import { about, ask, save, state, whenAKeyIsNeeded } from "./client.js";
import { begin as beginComparison, comparison } from "./compare.js";
import { languageOf } from "./scripts.js";

const find = (id) => document.getElementById(id);
const [message, send, stop, settings] = ["message", "send", "stop", "settings"].map(find);
const TABS = ["chat", "compare", "batch"];
const METER_MILLISECONDS = 350; // after the last key
const current = () => (state.tab === "compare" ? comparison : chat);
let meterTimer = 0;

function showState() {
  const { isBusy } = current();
  send.hidden = isBusy;
  stop.hidden = !isBusy;
  send.disabled = !message.value.trim() || (state.tab === "compare" && comparison.waits);
  find("editing").hidden = !chat.isEditing;
  find("welcome").hidden = state.tab === "batch" || !current().isEmpty || isBusy;
  find("blind").hidden = state.tab !== "compare";
  find("export").hidden = state.tab !== "chat" || chat.isEmpty;
  find("hint").textContent =
    state.tab === "compare" && comparison.waits ? "Judge the answers, or skip them, to go on" : "Enter sends, Shift + Enter starts a new line";
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight}px`;
  message.lang = languageOf(message.value);
  clearTimeout(meterTimer);
  meterTimer = setTimeout(showMeter, METER_MILLISECONDS);
}

// What the message costs here, and in the tokenizer of the base model.
async function showMeter() {
  const text = message.value.trim();
  let shown = "";
  try {
    if (text) shown = price(await (await ask("v1/tokenize", { text })).json());
  } catch (error) {
    console.warn("the message cannot be counted:", error.message);
  }
  if (text === message.value.trim()) find("meter").textContent = shown;
}

function price({ base, counts: [count] }) {
  const own = `${count.tokens.toLocaleString("en")} tokens`;
  if (base === null || !count.base_tokens) return own;
  return `${own} · ${count.base_tokens.toLocaleString("en")} in ${base} (${(count.base_tokens / count.tokens).toFixed(1)}×)`;
}

function showTab(name) {
  if (chat.isEditing) chat.endEdit();
  state.tab = name;
  for (const tab of TABS) find(`tab-${tab}`).setAttribute("aria-pressed", tab === name);
  find("turns").hidden = name !== "chat";
  find("pairs").hidden = name !== "compare";
  find("composer").hidden = name === "batch";
  find("batch").hidden = name !== "batch";
  find("room").hidden = name !== "chat";
  find("model").textContent = name === "compare" ? "Two models" : about.model;
  document.body.dataset.tab = name;
  showState();
  save();
  find("scroll").scrollTop = name === "batch" || current().isEmpty ? 0 : find("scroll").scrollHeight;
}

function submit() {
  const content = message.value.trim();
  if (!content || send.disabled || current().isBusy) return;
  current().submit(content);
  showState();
}

function startAnew() {
  current().clear();
  message.value = "";
  showState();
  find("scroll").scrollTop = 0;
  message.focus();
}

function askForKey() {
  find("key-box").hidden = false;
  if (state.key) find("about-key").textContent = "This is not the server's key.";
  if (!settings.open) settings.showModal();
  find("key").focus();
}

async function askForModel() {
  const [model] = (await (await ask("v1/models")).json()).data;
  Object.assign(about, await (await ask("page/about")).json());
  beginChat(model, showState);
  beginComparison(showState);
  beginBatch();
  showPolicies();
  find("tab-compare").hidden = !about.compares;
  if (!about.compares && state.tab === "compare") state.tab = "chat";
  find("tabs").hidden = false;
  about.model = model.id;
  document.title = model.id;
  showTab(state.tab);
}

function showPolicies() {
  const choice = find("policy");
  const names = about.may_choose ? about.policies : [];
  const own = about.policy ? `${about.policy} (this server's)` : "none";
  const options = [["", own], ...names.filter((name) => name !== about.policy).map((name) => [name, name])];
  choice.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
  if (!names.includes(state.policy)) state.policy = "";
  choice.value = state.policy;
  choice.disabled = !about.may_choose;
  find("about-policy").textContent = about.may_choose
    ? "Its system prompt, in the language of the first message, stands before yours."
    : "This server holds every conversation to it; your system prompt is added behind.";
}

find("composer").addEventListener("submit", (event) => {
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
  if (current().isBusy) current().stop();
  else if (chat.isEditing) chat.endEdit();
});
stop.addEventListener("click", () => current().stop());
for (const tab of TABS) find(`tab-${tab}`).addEventListener("click", () => showTab(tab));
find("new").addEventListener("click", startAnew);
find("export").addEventListener("click", chat.saveAsFile);
find("cancel-edit").addEventListener("click", chat.endEdit);
find("open-settings").addEventListener("click", () => settings.showModal());
find("key").addEventListener("keydown", (event) => {
  if (event.key === "Enter") settings.close();
});
find("close-settings").addEventListener("click", () => settings.close());
settings.addEventListener("click", (event) => {
  if (event.target === settings) settings.close(); // a click beside it
});
settings.addEventListener("close", () => {
  save();
  if (!about.model) askForModel().catch(showNoServer);
});
for (const name of ["system", "policy", "temperature", "key"]) {
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

function showNoServer(error) {
  if (error.code !== "invalid_api_key") find("model").textContent = "the server cannot be reached";
}

whenAKeyIsNeeded(askForKey);
// a reload while an answer was on its way
if (state.turns.at(-1)?.role === "user") state.turns.push({ role: "assistant", content: "", note: "Interrupted." });
chat.showAll();
comparison.showAll();
showState();
askForModel().catch(showNoServer);
