// The review page: asks for one item after the other, shows it, and sends what the annotator says of it.
// Whatever a model or a person wrote goes into the page as text nodes or field values only, never as markup.

import { languageOf } from "./scripts.js";

const find = (id) => document.getElementById(id);
const [main, door, article, note, status, help] = ["scroll", "door", "item", "note", "status", "help"].map(find);
const RETRY_SECONDS = [1, 2, 4, 8, 15];
const TASKS = { conversation: "Is this a good conversation?", comparison: "Which answer is better?" };
const WHYS = { conversation: "What is wrong?", comparison: "What is wrong with the worse one?" };
const ROLES = { system: "Instructions", user: "Question", assistant: "Answer" };
const SAID = {
  accept: "Accepted", edit: "Edit saved", reject: "Rejected", skip: "Skipped",
  left: "A is better", right: "B is better", tie: "Equal", both_bad: "Both bad",
};

// Kept between visits: who it is, the chosen language (null: all), and a judgement that is not known to be saved.
const kept = { name: "", token: "", language: null, unsaved: null, ...stored("review") };
let item = null; // that is shown
let languageNames = {}; // by code
let editing = false;
let busy = false; // a request is on its way: buttons wait
let seconds = 0; // that the item was looked at, up to `since`
let since = null; // when it was last turned to; null while it is hidden

function stored(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {}; // storage is switched off, or holds something else: start anew
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch (error) {
    console.warn("this will not outlive the tab:", error.name);
  }
}

const keep = (changes) => store("review", Object.assign(kept, changes));

// ---- talking to the server

class Refused extends Error {
  constructor(status, { message, code }) {
    super(message);
    Object.assign(this, { status, code });
  }
}

async function ask(path, body) {
  const bytes = new TextEncoder().encode(`${kept.name}:${kept.token}`);
  const headers = { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
  if (body) headers["content-type"] = "application/json";
  const request = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(path, { ...request, signal: AbortSignal.timeout(20_000) });
  if (response.ok) return response.json();
  const refusal = await response.json().catch(() => ({ error: { message: `the server said ${response.status}` } }));
  throw new Refused(response.status, refusal.error);
}

// Ask until there is an answer: a server that is away or has no hand free is asked again, what it refuses is not.
async function insist(path, body) {
  for (let tries = 0; ; tries += 1) {
    try {
      const answer = await ask(path, body);
      if (tries) say("");
      return answer;
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error;
      const wait = RETRY_SECONDS[Math.min(tries, RETRY_SECONDS.length - 1)];
      const why = error instanceof Refused ? sentence(error.message) : "The server cannot be reached.";
      say(`${body ? "Not saved yet. " : ""}${why} Trying again in ${wait} s.`, true);
      await new Promise((resolve) => { setTimeout(resolve, 1000 * wait); });
    }
  }
}

// Run one thing at a time; what the server refuses is said, and a wrong name or token leads back to the door.
async function alone(work) {
  if (busy) return;
  busy = true;
  showState();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) openDoor(sentence(error.message));
    else say(sentence(error.message), true);
  } finally {
    busy = false;
    showState();
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

function say(text, isAlert = false) {
  status.textContent = text;
  status.classList.toggle("alert", isAlert);
}

// ---- coming in

async function openDoor(alert = "") {
  Object.assign(kept, { token: "" });
  show(null);
  for (const id of ["nothing", "tools", "bar"]) find(id).hidden = true;
  door.hidden = false;
  find("door-alert").hidden = !alert;
  find("door-alert").textContent = alert;
  find("name").value = kept.name;
  find("name").focus();
  const { invited_only: isInvitedOnly } = await insist("api/door");
  find("token-box").hidden = !isInvitedOnly;
  find("token").required = isInvitedOnly;
  if (isInvitedOnly && kept.name) find("token").focus();
}

async function comeIn() {
  const me = await insist("api/me");
  const isKnown = me.progress.languages.some((row) => row.language === kept.language);
  keep({ name: me.name, language: isKnown ? kept.language : null });
  find("who").textContent = me.name;
  find("go").title = `Leave (${me.name})`;
  showReasons(me.reasons);
  door.hidden = true;
  find("tools").hidden = find("bar").hidden = false;
  if (kept.unsaved) await insist("api/judgements", kept.unsaved).catch(forgetRefused);
  keep({ unsaved: null });
  await next();
}

function forgetRefused(error) {
  if (error.status === 401) throw error;
  say(`A judgement from before could not be saved: ${error.message}`, true);
}

// ---- showing

async function next() {
  const query = kept.language === null ? "" : `?language=${encodeURIComponent(kept.language)}`;
  const answer = await insist(`api/next${query}`);
  showProgress(answer.progress);
  show(answer.item);
}

function show(shown) {
  item = shown;
  editing = false;
  article.hidden = find("actions").hidden = !shown;
  find("nothing").hidden = Boolean(shown) || !door.hidden;
  seconds = 0;
  since = document.hidden ? null : performance.now();
  if (!shown) return;
  const isComparison = shown.kind === "comparison";
  find("task").textContent = TASKS[shown.kind];
  find("why").textContent = WHYS[shown.kind];
  find("item-language").textContent = languageNames[shown.language] ?? shown.language;
  find("item-language").lang = languageOf(find("item-language").textContent);
  find("item-category").textContent = shown.category;
  fill(find("turns"), shown.messages);
  find("answers").hidden = !isComparison;
  ["left", "right"].forEach((side, number) => fill(find(side), shown.answers[number] ?? []));
  showEarlier(shown.earlier);
  const draft = stored("review-draft");
  if (draft.item === shown.id) startEdit(draft.texts);
  main.scrollTop = 0;
  showState();
}

function fill(list, messages) {
  list.replaceChildren(...messages.map((message) => {
    const turn = find("turn").content.firstElementChild.cloneNode(true);
    turn.classList.add(message.role);
    turn.querySelector(".role").textContent = ROLES[message.role];
    const text = turn.querySelector(".text");
    text.textContent = message.content;
    text.lang = languageOf(message.content) || item.language;
    return turn;
  }));
}

function showEarlier(earlier) {
  for (const chip of document.querySelectorAll(".chip input")) chip.checked = earlier?.reasons.includes(chip.value) ?? false;
  note.value = earlier?.note ?? "";
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.classList.toggle("earlier", button.dataset.verdict === earlier?.verdict);
  }
  if (earlier?.messages) startEdit(earlier.messages.map((message) => message.content));
  if (earlier) say(`Taken back: ${SAID[earlier.verdict]}. Judge it again.`);
}

function showProgress({ mine, languages }) {
  const [left, done, total] = ["left", "done", "total"].map((key) => languages.reduce((sum, row) => sum + row[key], 0));
  const chosen = languages.find((row) => row.language === kept.language);
  find("bar").max = total || 1;
  find("bar").value = done;
  find("bar").title = `${done} of ${total} done by all`;
  find("item-left").textContent = `${(chosen?.left ?? left).toLocaleString("en")} left for you, ${mine.toLocaleString("en")} judged`;
  find("nothing-about").textContent = (chosen?.left ?? left)
    ? "Others have the last ones before them. Look again in a while."
    : `You judged ${mine.toLocaleString("en")}. Thank you!`;
  languageNames = Object.fromEntries(languages.map((row) => [row.language, row.name]));
  find("language").replaceChildren(
    option(`All languages · ${left}`, "all"),
    ...languages.map((row) => option(`${row.name} · ${row.left}`, `=${row.language}`)),
  );
  find("language").hidden = languages.length < 2;
  find("language").value = chosen ? `=${chosen.language}` : "all";
}

function option(text, value) {
  const made = new Option(text, value);
  made.lang = languageOf(text);
  return made;
}

function showReasons(reasons) {
  const chips = reasons.map((reason, number) => {
    const chip = find("reason").content.firstElementChild.cloneNode(true);
    chip.querySelector("input").value = reason;
    chip.querySelector(".word").textContent = reason;
    chip.querySelector("kbd").textContent = number + 1;
    return chip;
  });
  find("reasons").replaceChildren(find("reasons").querySelector("legend"), ...chips);
}

function showState() {
  const kind = item?.kind;
  find("conversation-buttons").hidden = kind !== "conversation" || editing;
  find("edit-buttons").hidden = !editing;
  find("comparison-buttons").hidden = kind !== "comparison";
  for (const button of document.querySelectorAll("#actions button, #take-back, #door button")) button.disabled = busy;
  if (editing) find("save-edit").disabled = busy || !isChanged();
}

// ---- judging

function judge(verdict, messages = []) {
  return alone(async () => {
    const reasons = [...document.querySelectorAll(".chip :checked")].map((chip) => chip.value);
    const body = { item: item.id, verdict, reasons, note: note.value, messages, seconds: lookedAt() };
    keep({ unsaved: body });
    try {
      await insist("api/judgements", body);
    } catch (error) {
      if (error.status !== 401) keep({ unsaved: null }); // else it is sent when they have come in again
      throw error;
    }
    keep({ unsaved: null });
    store("review-draft", {});
    say(`${SAID[verdict]}.`);
    await next();
  });
}

function takeBack() {
  return alone(async () => {
    const answer = await insist("api/undo", {});
    showProgress(answer.progress);
    if (answer.item) show(answer.item);
    else say("There is nothing to take back.");
  });
}

function lookedAt() {
  return Math.round((seconds + (since === null ? 0 : (performance.now() - since) / 1000)) * 10) / 10;
}

function startEdit(texts = item.messages.map((message) => message.content)) {
  editing = true;
  [...find("turns").children].forEach((turn, number) => {
    const field = document.createElement("textarea");
    const text = turn.querySelector(".text");
    field.className = "text";
    field.rows = 1;
    field.dir = "auto";
    field.lang = text.lang;
    field.value = texts[number];
    field.setAttribute("aria-label", ROLES[item.messages[number].role]);
    field.addEventListener("input", () => {
      store("review-draft", { item: item.id, texts: edited() });
      grow(field);
      showState();
    });
    text.replaceWith(field);
    grow(field);
  });
  find("turns").querySelector(".turn:last-child textarea").focus();
  showState();
}

const edited = () => [...find("turns").querySelectorAll("textarea")].map((field) => field.value);
const isChanged = () => edited().some((text, number) => text !== item.messages[number].content) && edited().every((text) => text.trim());

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

function saveEdit() {
  if (!editing || !isChanged()) return;
  const texts = edited();
  judge("edit", item.messages.map(({ role }, number) => ({ role, content: texts[number] })));
}

function cancelEdit() {
  store("review-draft", {});
  editing = false;
  fill(find("turns"), item.messages);
  showState();
}

// ---- hands

for (const button of document.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => judge(button.dataset.verdict));
}
const CLICKS = {
  edit: () => startEdit(), "save-edit": saveEdit, "cancel-edit": cancelEdit, "take-back": takeBack,
  "look-again": () => alone(next), "open-help": () => help.showModal(), "close-help": () => help.close(),
  go: () => { keep({ name: "", token: "", unsaved: null }); openDoor(); },
};
for (const [id, act] of Object.entries(CLICKS)) find(id).addEventListener("click", act);
help.addEventListener("click", (event) => {
  if (event.target === help) help.close(); // a click beside it
});
find("language").addEventListener("change", (event) => {
  const { value } = event.currentTarget;
  keep({ language: value === "all" ? null : value.slice(1) });
  alone(next);
});
door.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = find("name").value;
  if (name !== kept.name) keep({ unsaved: null }); // it is another person's
  keep({ name, token: find("token").value.trim() });
  alone(comeIn);
});
note.addEventListener("input", () => {
  note.lang = languageOf(note.value);
  grow(note);
});

const KEYS = {
  conversation: { a: () => judge("accept"), e: () => startEdit(), r: () => judge("reject") },
  comparison: {
    ArrowLeft: () => judge("left"), ArrowRight: () => judge("right"), t: () => judge("tie"), b: () => judge("both_bad"),
  },
};
document.addEventListener("keydown", (event) => {
  if (help.open || event.isComposing) return;
  if (editing && event.key === "Enter" && (event.ctrlKey || event.metaKey)) return saveEdit();
  const isWriting = event.target.matches("textarea, input:not([type='checkbox']), select");
  if (event.key === "Escape") return editing ? cancelEdit() : event.target.blur();
  if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (event.key === "?") return help.showModal();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const chip = document.querySelectorAll(".chip input")[Number(key) - 1];
  const act = !item || busy || editing ? undefined : {
    ...KEYS[item.kind],
    s: () => judge("skip"),
    n: () => note.focus(),
    ...(chip && { [key]: () => chip.click() }),
  }[key];
  const always = { u: takeBack }[key];
  const todo = act ?? (busy || editing || !door.hidden ? undefined : always);
  if (!todo) return undefined;
  event.preventDefault();
  return todo();
});
addEventListener("resize", () => document.querySelectorAll("textarea").forEach(grow));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) seconds = lookedAt();
  since = document.hidden ? null : performance.now();
});

// an invitation: #name=...&token=...; what follows the # never leaves the browser
const invitation = new URLSearchParams(location.hash.slice(1));
if (invitation.has("name")) {
  keep({ name: invitation.get("name"), token: invitation.get("token") ?? "" });
  history.replaceState(null, "", location.pathname);
}
if (kept.name) alone(comeIn);
else openDoor();
