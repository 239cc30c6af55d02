// One row's whole life, from its book to its end; and looking for rows.

import { ask, to } from "./curation.js";
import { h, number, plain, rich, short, value } from "./dom.js";

const QUIET = new Set(["id", "page_starts", "document", "excerpt", "sha256"]);

export async function row(state, ...steps) {
  const id = steps.join("/");
  const { moments, alike } = await ask("row", { row: id });
  const known = {};
  const place = pageOf(moments, id);
  return { content: [
    h("h2", {}, "The life of ", h("code", {}, id)), lineage(id), ending(moments, id, state.places.stages),
    h("ol", { class: "life" }, moments.map((moment) => h("li", { class: moment.asides.length ? "moment aside" : "moment", "data-stage": moment.stage },
      h("h3", {}, h("a", { href: to("stage", moment.stage) }, moment.stage), heard(moment, id)),
      moment.asked.sort((one, other) => one.prompt.localeCompare(other.prompt)).map(said),
      moment.rows.map((one) => told(one, known, place)),
      moment.asides.map((one) => h("div", { class: "card aside" }, h("header", {}, h("span", { class: "chip" }, one.reason), one.id !== one.row ? h("code", {}, one.id) : null),
        one.detail ? h("p", {}, rich(one.detail), linked(one.detail)) : null, one.part ? h("p", {}, rich(one.part)) : null, one.said ? h("p", {}, "said: ", rich(one.said)) : null)),
      moment.became ? h("p", {}, h("a", { href: to("search", moment.stage, id + "/") }, `${number(moment.became)} rows have come of it`)) : null,
      moment.stage === stageOf(moments) && alike ? same(alike, id) : null))),
  ], after: turn_to_page };
}

/** What the row came to: its question and answer as they stand last, and whether they are in the dataset. */
function ending(moments, id, stages) {
  const last = moments.at(-1);
  const rows = moments.flatMap((moment) => moment.rows).filter((one) => one.id === id);
  const aside = last.asides.find((one) => one.row === id);
  const said = aside ? [h("span", { class: "chip stale" }, "aside"), ` at ${last.stage}: ${aside.reason}`]
    : last.stage === stages.at(-1) ? [h("span", { class: "chip good" }, "kept"), " in the dataset"] : [h("span", { class: "chip" }, "kept"), ` as far as ${last.stage}`];
  const row = rows.at(-1);
  return h("div", { class: "card" }, h("p", {}, said),
    row?.question ? [h("p", { class: "question" }, rich(row.question)), h("p", {}, rich(row.answer))] : null);
}

/** The passage is shown from the page on which the row stands. */
function turn_to_page() {
  for (const pages of document.querySelectorAll(".pages")) {
    const here = pages.querySelector(".page.here");
    if (here) pages.scrollTop = here.offsetTop;
  }
}

/** A row that was said to be like this one can be followed. */
function linked(detail) {
  const id = plain(detail, 1000).split(/\s+/).find((word) => /^[0-9a-f]{16}\/\S+$/.test(word));
  return id ? [" ", h("a", { href: to("row", id) }, "see that row")] : null;
}

const stageOf = (moments) => moments.find((moment) => /dedup/.test(moment.stage))?.stage;

const pageOf = (moments, id) => moments.flatMap((moment) => moment.rows).findLast((one) => one.id === id && (one.source || one.page_start));

function lineage(id) {
  const steps = id.split("/");
  return h("p", { class: "lineage" }, steps.map((step, place) => [place ? " / " : "",
    h("a", { href: to("row", steps.slice(0, place + 1).join("/")) }, ["book", "passage", "question"][place] ?? "part", " ", h("code", {}, step))]));
}

/** What is new or has changed since the stage before; all of it the first time. */
function told(one, known, place) {
  const last = known[one.id] ?? Object.assign({}, ...Object.values(known).slice(-1));
  const names = Object.keys(one).filter((name) => !QUIET.has(name));
  const changed = names.filter((name) => JSON.stringify(last[name]) !== JSON.stringify(one[name]));
  known[one.id] = one;
  if (!changed.length) return h("p", { class: "quiet" }, "as it was");
  const table = h("table", { class: "fields" }, h("tbody", {}, changed.map((name) => h("tr", {}, h("th", {}, name.replaceAll("_", " ")), h("td", {}, field(name, one, place))))));
  return h("div", { class: "card" }, table);
}

function field(name, one, place) {
  if (name !== "text" || !Array.isArray(one.text)) return value(name, one[name]);
  const [first, last] = place?.source ? [place.source.page_start, place.source.page_end] : [place?.page_start, place?.page_end];
  const pages = value(name, one.text);
  for (const page of pages.children) {
    const number = Number(page.dataset.page);
    if (number >= first && number <= last) page.classList.add("here");
  }
  return h("details", { open: true }, h("summary", {}, first ? `the passage; the row stands on page ${first === last ? first : `${first} to ${last}`}` : "the passage"), pages);
}

function said(completion) {
  return h("details", { class: "card said" }, h("summary", {}, "answered to ", h("b", {}, completion.prompt), " ",
    h("span", { class: "quiet" }, [completion.finish_reason, completion.model, completion.completion_tokens ? `${short(completion.prompt_tokens)} + ${short(completion.completion_tokens)} tokens` : null].filter(Boolean).join(" · "))),
  h("p", {}, rich(completion.text)));
}

/** A button that shows the very words that were asked. */
function heard(moment, id) {
  if (!moment.asked.length) return null;
  const place = h("div", {});
  const read = async (event) => {
    event.target.disabled = true;
    const about = moment.asked.map((one) => one.row).sort((one, other) => other.length - one.length)[0] ?? id;
    try {
      const words = await ask("row/words", { row: about, stage: moment.stage });
      place.replaceChildren(...(words.length ? words.map((one) => h("details", { class: "card said", open: words.length === 1 }, h("summary", {}, "asked ", h("b", {}, one.prompt)), h("p", { class: "words" }, rich(one.words))))
        : [h("p", { class: "quiet" }, "The prompt reads otherwise by now, so its words then are not known.")]));
    } catch (error) {
      place.replaceChildren(h("p", { class: "quiet" }, error.message));
    }
  };
  return [" ", h("button", { type: "button", onclick: read }, "show the prompt"), place];
}

function same(alike, id) {
  return h("div", { class: "card" }, h("p", {}, "Questions that say the same: "), h("ul", {},
    h("li", {}, h("a", { href: to("row", alike.kept) }, h("code", {}, alike.kept)), alike.kept === id ? " (this one)" : "", " is kept"),
    alike.duplicates.map((one) => h("li", {}, h("a", { href: to("row", one.row) }, h("code", {}, one.row)), one.row === id ? " (this one)" : "", ": ", rich(one.detail)))));
}

export async function search(state, stage = "", words = "", after = "") {
  const stages = state.places.stages;
  const chosen = stage || stages.at(-1);
  const found = words.length > 1 ? await ask("search", { stage: chosen, words, after }) : null;
  const box = h("input", { type: "search", value: words, placeholder: "words, or the beginning of an id", minlength: 2, maxlength: 200, "aria-label": "Words" });
  const choose = h("select", { "aria-label": "Stage" }, stages.map((name) => h("option", { selected: name === chosen }, name)));
  const go = (event) => {
    event.preventDefault();
    const said = box.value.trim();
    location.hash = /^[0-9a-f]{16}(\/\S+)?$/.test(said) ? to("row", said) : to("search", choose.value, said);
  };
  return { content: [
    h("form", { class: "search", onsubmit: go }, box, " in the rows of ", choose, h("button", {}, "Find")),
    found ? results(found, chosen, words) : h("p", { class: "quiet" }, "Looks into questions, titles and passages. An id opens the life of its row: a book, a passage, or a question."),
  ] };
}

function results(found, stage, words) {
  return [h("p", { class: "quiet" }, `${number(found.hits.length)} found in ${number(found.looked)} of ${number(found.rows)} rows`),
    h("ul", { class: "hits" }, found.hits.map((hit) => h("li", {}, h("a", { href: to("row", hit.id) }, rich(hit.text)), h("small", {}, h("code", {}, hit.id))))),
    found.after ? h("p", {}, h("a", { href: to("search", stage, words, found.after) }, "go on looking →")) : null];
}
