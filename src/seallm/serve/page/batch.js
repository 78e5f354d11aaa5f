// Files of prompts: send one, watch it being answered, stop it, download the answers. Batches outlive a reload of the tab.

import { about, ask, chosen, download, explain, save, state } from "./client.js";

const find = (id) => document.getElementById(id);
const POLL_MILLISECONDS = 700;
const ENDINGS = { running: "", finished: "Finished", stopped: "Stopped", gone: "No longer on the server" };

export function begin() {
  find("file").addEventListener("change", () => send([...find("file").files]));
  const zone = find("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send([...event.dataTransfer.files]);
    });
  }
  const megabytes = Math.floor(about.max_batch_bytes / 2 ** 20);
  find("limits").textContent = `Up to ${about.max_batch_rows.toLocaleString("en")} rows and ${megabytes} MB.`;
  state.batches.forEach((batch) => watch(batch, showBatch(batch)));
}

async function send(files) {
  find("file").value = "";
  for (const file of files) {
    complain("");
    try {
      const content = await textOf(file);
      const body = { name: file.name.slice(-200), content, system: state.system, ...chosen() };
      const begun = await (await ask("page/batches", body)).json();
      const batch = { id: begun.id, name: file.name };
      state.batches.unshift(batch);
      save();
      const item = showBatch(batch, true);
      showProgress(item, begun);
      watch(batch, item);
    } catch (error) {
      complain(`${file.name}: ${explain(error)}`);
    }
  }
}

async function textOf(file) {
  if (file.size > about.max_batch_bytes) throw new Error("The file is larger than this server takes; split it");
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error("The file is not UTF-8. Save it as UTF-8 first");
  }
}

function complain(text) {
  find("file-problem").hidden = !text;
  find("file-problem").textContent = text;
}

function showBatch(batch, isNew = false) {
  const item = find("batch-item").content.firstElementChild.cloneNode(true);
  item.querySelector(".file-name").textContent = batch.name;
  item.querySelector(".stop").addEventListener("click", () => tell(item, ask(`page/batches/${batch.id}/stop`, {})));
  item.querySelector(".download").addEventListener("click", () => fetchFile(batch, item));
  item.querySelector(".forget").addEventListener("click", () => {
    state.batches = state.batches.filter((other) => other.id !== batch.id);
    item.remove();
    save();
  });
  find("batches")[isNew ? "prepend" : "append"](item);
  return item;
}

async function tell(item, asking) {
  try {
    showProgress(item, await (await asking).json());
  } catch (error) {
    item.querySelector(".state").textContent = explain(error);
  }
}

async function fetchFile(batch, item) {
  try {
    const response = await ask(`page/batches/${batch.id}/file`);
    const ending = /\.csv$/i.test(batch.name) ? "csv" : "jsonl";
    download(`${batch.name.replace(/\.[^.]*$/, "")}.answers.${ending}`, await response.blob());
  } catch (error) {
    item.querySelector(".state").textContent = explain(error);
  }
}

async function watch(batch, item) {
  while (item.isConnected) {
    try {
      const progress = await (await ask(`page/batches/${batch.id}`)).json();
      showProgress(item, progress);
      if (progress.state !== "running") return;
    } catch (error) {
      if (error.code === "not_found") return showGone(item);
      item.querySelector(".state").textContent = explain(error); // and ask again: the server may come back
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
}

function showGone(item) {
  item.querySelector(".state").textContent = ENDINGS.gone;
  for (const name of ["stop", "download"]) item.querySelector(`.${name}`).hidden = true;
  item.querySelector(".forget").hidden = false;
}

function showProgress(item, progress) {
  const done = progress.answered + progress.failed;
  const isRunning = progress.state === "running";
  const bar = item.querySelector("progress");
  bar.max = progress.rows;
  bar.value = done;
  const left = done ? Math.ceil((progress.seconds / done) * (progress.rows - done)) : 0;
  const wait = isRunning && done ? ` · about ${left < 90 ? `${left} s` : `${Math.round(left / 60)} min`} left` : "";
  const failed = progress.failed ? ` · ${progress.failed.toLocaleString("en")} without an answer` : "";
  const ended = isRunning ? "" : `${ENDINGS[progress.state]} · `;
  item.querySelector(".state").textContent =
    `${ended}${progress.answered.toLocaleString("en")} of ${progress.rows.toLocaleString("en")} answered${failed}${wait}`;
  item.querySelector(".stop").hidden = !isRunning;
  item.querySelector(".download").hidden = !done;
  item.querySelector(".forget").hidden = isRunning;
  const details = item.querySelector("details");
  details.hidden = !progress.failed;
  const more = progress.failed - progress.problems.length;
  const lines = progress.problems.map(({ line, reason }) => listItem(`Line ${line}: ${reason}`));
  if (more > 0) lines.push(listItem(`and ${more.toLocaleString("en")} more; the downloaded file names all of them`));
  details.querySelector("ul").replaceChildren(...lines);
}

function listItem(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}
