// A model's Markdown in, elements out. Every element is made by name and every text is a text node, so that nothing a
// model writes can become markup; HTML in it stays what it is: characters. Links lead to http, https and mailto alone,
// and pictures are not loaded.

import { languageOf } from "./scripts.js";

const MAX_DEPTH = 6; // of lists in quotes in lists, and of emphasis in emphasis
const MAX_INLINE = 10_000; // characters of one paragraph that are looked through; a longer one is shown as it is
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const ITEM = /^( {0,12})([-*+]|\d{1,9}[.)])[ \t]+(.*)$/;
const QUOTE = /^ {0,3}> ?/;
const DIVIDER = /^ {0,3}\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;
const LINK = /\[([^[\]\n]{1,300})\]\(([^\s()<>]{1,2000})(?: "[^"\n]{0,200}")?\)/y;
const ADDRESS = /https?:\/\/[^\s<>()"'`*\]]{1,2000}/y;
const SAFE = new Set(["http:", "https:", "mailto:"]);
const MARKS = [["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];
const LETTER = /[\p{L}\p{M}\p{N}]/u;

// Put a text into an element, in place of what it holds.
export function render(element, text) {
  element.replaceChildren(blocks(text.split("\n"), 0));
}

function make(name, lines, depth) {
  const element = document.createElement(name);
  if (typeof lines === "string") {
    element.lang = languageOf(lines);
    element.append(inline(lines, depth));
  } else {
    element.append(blocks(lines, depth + 1));
  }
  return element;
}

function blocks(lines, depth) {
  const found = document.createDocumentFragment();
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) at += 1;
    else at = block(found, lines, at, depth);
  }
  return found;
}

// One block that begins in line `at`; returns the line after it.
function block(found, lines, at, depth) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (FENCE.test(line)) return code(found, lines, at);
  if (heading) {
    found.append(make(`h${Math.min(6, heading[1].length + 2)}`, heading[2], 0)); // the page's own headings stand above
    return at + 1;
  }
  if (RULE.test(line)) {
    found.append(document.createElement("hr"));
    return at + 1;
  }
  if (depth < MAX_DEPTH && QUOTE.test(line)) {
    const end = after(lines, at, (other) => QUOTE.test(other));
    found.append(make("blockquote", lines.slice(at, end).map((other) => other.replace(QUOTE, "")), depth));
    return end;
  }
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(found, lines, at, depth);
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "")) return table(found, lines, at);
  const end = after(lines, at + 1, (other) => other.trim() && !begins(other, depth));
  found.append(make("p", lines.slice(at, end).join("\n"), 0));
  return end;
}

function begins(line, depth) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || (depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line)));
}

function after(lines, at, belongs) {
  while (at < lines.length && belongs(lines[at])) at += 1;
  return at;
}

function code(found, lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]);
  const end = after(lines, at + 1, (line) => !(line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], "")));
  const element = document.createElement("code");
  element.append(lines.slice(at + 1, end).join("\n"));
  const frame = document.createElement("pre");
  frame.tabIndex = 0; // scrolled by keyboard
  frame.title = language.trim().slice(0, 40);
  frame.append(element);
  found.append(frame);
  return end + 1;
}

function list(found, lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(mark);
  const element = document.createElement(isOrdered ? "ol" : "ul");
  if (isOrdered && mark.slice(0, -1) !== "1") element.start = Number(mark.slice(0, -1));
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length > indent.length + 1 || /\d/.test(item[2]) !== isOrdered || RULE.test(lines[at])) break;
    const end = itemEnd(lines, at + 1, indent.length + 1);
    const rest = lines.slice(at + 1, end).map((line) => line.slice(Math.min(line.search(/\S|$/), indent.length + 3)));
    const inner = make("li", [item[3], ...rest], depth);
    if (inner.firstElementChild?.tagName === "P") inner.firstElementChild.replaceWith(...inner.firstElementChild.childNodes);
    inner.lang = languageOf(item[3]);
    element.append(inner);
    at = end;
  }
  found.append(element);
  return at;
}

// An item goes on in lines that stand further in, or that simply go on; an empty line ends it unless such a line follows.
function itemEnd(lines, at, inner) {
  for (; at < lines.length; at += 1) {
    const line = lines[at].trim() ? lines[at] : (lines[at + 1] ?? "");
    const standsIn = line.search(/\S/) >= inner;
    if (!line.trim() || (!standsIn && (!lines[at].trim() || begins(line, 0)))) return at;
  }
  return at;
}

function table(found, lines, at) {
  const end = after(lines, at + 2, (line) => line.includes("|"));
  const element = document.createElement("table");
  const columns = cells(lines[at]).length;
  for (const [number, line] of [lines[at], ...lines.slice(at + 2, end)].entries()) {
    const row = element.insertRow();
    for (const cell of cells(line).slice(0, columns)) row.append(make(number ? "td" : "th", cell, 0));
  }
  const frame = document.createElement("div");
  frame.className = "wide";
  frame.tabIndex = 0;
  frame.append(element);
  found.append(frame);
  return end;
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
}

function inline(text, depth) {
  const found = document.createDocumentFragment();
  if (depth > MAX_DEPTH || text.length > MAX_INLINE) {
    found.append(text);
    return found;
  }
  let plain = "";
  for (let at = 0; at < text.length; ) {
    const [node, length] = special(text, at, depth) ?? [null, 1];
    if (node === null) plain += text[at];
    else {
      found.append(plain, node);
      plain = "";
    }
    at += length;
  }
  found.append(plain);
  return found;
}

// [node, characters it takes] where something but plain text begins at `at`, else null.
function special(text, at, depth) {
  const character = text[at];
  if (character === "\\" && /[\\`*_~[\]()#>|!-]/.test(text[at + 1] ?? "")) return [document.createTextNode(text[at + 1]), 2];
  if (character === "`") return codeSpan(text, at);
  if (character === "[") return link(text, at);
  if (character === "h") return address(text, at);
  return "*_~".includes(character) ? emphasis(text, at, depth) : null;
}

function codeSpan(text, at) {
  const ticks = /`+/y;
  ticks.lastIndex = at;
  const mark = ticks.exec(text)[0];
  const end = text.indexOf(mark, at + mark.length);
  if (end < 0) return [document.createTextNode(mark), mark.length];
  const element = document.createElement("code");
  element.append(text.slice(at + mark.length, end));
  return [element, end + mark.length - at];
}

function link(text, at) {
  LINK.lastIndex = at;
  const match = LINK.exec(text);
  const href = match && safe(match[2]);
  return href ? [anchor(href, match[1]), match[0].length] : null;
}

function address(text, at) {
  ADDRESS.lastIndex = at;
  const match = ADDRESS.exec(text);
  if (!match) return null;
  const shown = match[0].replace(/[.,;:!?]+$/, "");
  const href = safe(shown);
  return href ? [anchor(href, shown), shown.length] : null;
}

function safe(address) {
  try {
    const url = new URL(address);
    return SAFE.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative, or no address at all: it stays text
  }
}

function anchor(href, shown) {
  const element = document.createElement("a");
  Object.assign(element, { href, title: href, target: "_blank", rel: "noopener noreferrer nofollow" });
  element.append(shown);
  return element;
}

function emphasis(text, at, depth) {
  const found = MARKS.find(([mark]) => text.startsWith(mark, at));
  if (!found) return null;
  const [mark, name] = found;
  const first = at + mark.length;
  const inWord = mark[0] === "_" && at > 0 && LETTER.test(text[at - 1]); // snake_case is no emphasis
  if (inWord || !/\S/.test(text[first] ?? "")) return [document.createTextNode(mark), mark.length];
  for (let end = text.indexOf(mark, first + 1); end > 0; end = text.indexOf(mark, end + 1)) {
    const closes = /\S/.test(text[end - 1]) && text[end - 1] !== "\\" && !(mark[0] === "_" && LETTER.test(text[end + mark.length] ?? ""));
    if (mark.length === 1 && text[end + 1] === mark && text[end - 1] !== mark) end += 1; // the opening of a strong one
    else if (closes) {
      const element = document.createElement(name);
      element.append(inline(text.slice(first, end), depth + 1));
      return [element, end + mark.length - at];
    }
  }
  return [document.createTextNode(mark), mark.length];
}
