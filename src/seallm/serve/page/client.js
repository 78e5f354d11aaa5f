// What the page keeps, and how it asks the server.

// Everything that outlives a reload of the tab. A turn is {role, content, note, language}; a pair is {question, texts,
// id, verdict, names}; a batch is {id, name}.
export const state = {
  tab: "chat", turns: [], forgotten: 0, pairs: [], batches: [], system: "", policy: "", temperature: 0.7, key: "",
  annotator: "", ...saved(),
};

function saved() {
  try {
    return JSON.parse(sessionStorage.getItem("seallm")) ?? {};
  } catch {
    return {}; // storage is switched off, or holds something else: start anew
  }
}

export function save() {
  try {
    sessionStorage.setItem("seallm", JSON.stringify(state));
  } catch (error) {
    console.warn("this conversation will not outlive the tab:", error.name);
  }
}

// Why a conversation is refused that would be answered without its oldest turns: for the model, or for what the server reads.
export const TOO_LONG = ["context_length_exceeded", "prompt_too_long"];

// What /page/about says; empty until it was asked.
export const about = { policies: [], compares: false, names_languages: false };

let askForKey = () => {};

export function whenAKeyIsNeeded(ask) {
  askForKey = ask;
}

// Ask the server; a refusal is thrown as an Error with its code. Without a body it is a GET.
export async function ask(path, body, signal) {
  const headers = state.key ? { authorization: `Bearer ${state.key}` } : {};
  if (body) headers["content-type"] = "application/json";
  const how = body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers, signal };
  const response = await fetch(path, how);
  if (response.ok) return response;
  throw refusal((await response.json()).error);
}

export function refusal(error) {
  if (error.code === "invalid_api_key") askForKey();
  return Object.assign(new Error(error.message), { code: error.code });
}

// The JSON values of a stream of server-sent events.
export async function* events(response) {
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

// The system prompt and the policy of the settings, as requests take them.
export function asked(turns) {
  const messages = turns.filter((turn) => turn.content.trim()).map(({ role, content }) => ({ role, content }));
  if (state.system.trim()) messages.unshift({ role: "system", content: state.system });
  return { messages, ...chosen() };
}

export function chosen() {
  return { temperature: state.temperature, ...(state.policy ? { policy: state.policy } : {}) };
}

export function explain(error) {
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  const text = error.message;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// The language of a text, as the server's identifier sees it; null where it is not certain.
export async function nameLanguage(text) {
  if (!about.names_languages || !text.trim()) return null;
  const found = await (await ask("page/language", { text: text.slice(0, 20_000) })).json();
  return found.code ? found : null;
}

export function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
