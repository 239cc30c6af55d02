// Elements out of values. Whatever comes from a book or a model becomes a text node or a MathML element, never markup.

const LONG = 1200;
const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(("math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover " +
  "mmultiscripts mprescripts none mtable mtr mtd mstyle menclose").split(" "));

/** h("a", {href, class, title, onclick}, child, [children], "text", null): an element. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "width") element.style.width = value;
    else if (name === "color") element.style.setProperty("--color", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false && child !== "") element.append(child);
  }
}

/** A text of a book or a model, its formulas set. */
export function rich(value) {
  if (value === null || value === undefined) return h("span", { class: "quiet" }, "none");
  if (typeof value === "string") return h("span", { class: "text" }, value);
  return h("span", { class: "text" }, value.pieces.map((piece) =>
    typeof piece === "string" ? piece : h("span", { class: "formula", title: piece[0] }, mathml(piece[1]))));
}

/** The beginning of a text, as it was written. */
export function plain(value, length = 160) {
  const said = typeof value === "string" ? value : (value?.pieces ?? []).map((piece) =>
    typeof piece === "string" ? piece : piece[0]).join("");
  return said.length > length ? `${said.slice(0, length)}…` : said;
}

function mathml([name, attributes, inside]) {
  if (!ELEMENTS.has(name)) return "";
  const element = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  append(element, inside.map((child) => (typeof child === "string" ? child : mathml(child))));
  return element;
}

export const number = (value) => (value ?? 0).toLocaleString("en");

/** 12,345 or 1.23 M. */
export function short(value) {
  if (value < 1e5) return number(Math.round(value));
  const [size, letter] = value >= 1e9 ? [1e9, "G"] : value >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${(value / size).toFixed(letter === "k" ? 0 : 2)} ${letter}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part === whole ? 0 : 1)}%` : "");

export const when = (stamp) => (stamp ? new Date(stamp).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "");

/** A value of a row: a text, a number, a source, neighbours, pages. */
export function value(name, said) {
  if (said === null || said === undefined) return h("span", { class: "quiet" }, "none");
  if (name === "source") return source(said);
  if (name === "neighbours") return neighbours(said);
  if (name === "text" && Array.isArray(said)) return pages(said);
  if (typeof said === "string" || said.pieces) return long(said);
  if (typeof said === "number") return number(said);
  if (Array.isArray(said) && said.every((one) => typeof one !== "object")) return said.join(", ") || h("span", { class: "quiet" }, "none");
  if (typeof said === "object") return h("code", {}, plain(JSON.stringify(said), 2000));
  return String(said);
}

/** Of a long text the beginning, and the rest when it is asked for. */
const long = (said) => plain(said, LONG).length <= LONG ? rich(said)
  : h("details", {}, h("summary", {}, plain(said.pieces ? said : said.trimStart(), 140)), rich(said));

const source = (said) => h("span", {},
  rich(said.title), ", ", said.page_start === said.page_end ? `page ${said.page_start}` : `pages ${said.page_start}–${said.page_end}`,
  said.section ? [" · ", rich(said.section)] : null, said.licence ? h("span", { class: "quiet" }, " · ", rich(said.licence)) : null);

const neighbours = (said) => said.length === 0 ? h("span", { class: "quiet" }, "none") : h("table", {},
  h("tbody", {}, said.map((one) => h("tr", {},
    h("td", { class: "count" }, one.similarity.toFixed(2)), h("td", { class: "count" }, rich(one.benchmark)), h("td", {}, rich(one.question))))));

const pages = (said) => h("div", { class: "pages" }, said.map((one) =>
  h("section", { class: "page", "data-page": one.page }, h("h4", {}, `page ${one.page}`), rich(one.text))));
