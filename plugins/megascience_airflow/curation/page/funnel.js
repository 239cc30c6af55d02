// The funnel as a picture: a bar for each stage, as wide as what came in; what was kept, and what went aside and why.

import { ask, to } from "./curation.js";
import { duration, h, number, percent, plain, short, when } from "./dom.js";

const UNITS = { file: "Files", book: "Books", passage: "Passages", question: "Questions" };
const STATES = { done: "done", running: "running", stopped: "stopped", stale: "stale", waiting: "not begun" };

let known = ""; // the stages as they were at the last look
let changed = 0; // when a look last found them otherwise

export async function funnel() {
  const { lines, dataset } = await ask("funnel");
  const now = JSON.stringify(lines);
  if (now !== known) [known, changed] = [now, Date.now()];
  return { content: [tiles(lines), picture(lines), subjects(lines), where(lines, dataset)], again: pause(lines) };
}

/** Seconds until the next look: a batch that changed within the last minute, or that is at work, will soon do so again. */
function pause(lines) {
  const lively = lines.some((line) => line.state === "running") || Date.now() - changed < 60000;
  return lively ? 3 : 15;
}

function tiles(lines) {
  const sum = (of) => lines.reduce((total, line) => total + of(line), 0);
  const last = lines.at(-1);
  const asked = lines.filter((line) => line.unit === "question" && line.receipt);
  const tokens = sum((line) => line.usage.prompt_tokens + line.usage.completion_tokens);
  const money = lines.some((line) => line.money !== null) ? sum((line) => line.money ?? 0) : null;
  const now = lines.find((line) => line.state === "running");
  return h("div", { class: "tiles" },
    tile(last.receipt ? number(last.rows_out) : "–", "rows in the dataset"),
    asked.length ? tile(percent(asked.at(-1).rows_out, asked[0].rows_in), `of ${number(asked[0].rows_in)} questions`) : null,
    tile(short(sum((line) => line.rows_aside)), "rows set aside"),
    tile(short(sum((line) => line.usage.requests)), `requests, ${short(sum((line) => line.usage.replayed))} replayed`),
    tokens ? tile(short(tokens), `tokens, ${short(sum((line) => line.usage.completion_tokens))} of answers`) : null,
    money === null ? null : tile(money.toLocaleString("en", { maximumFractionDigits: 2 }), "cost, by the prices set"),
    now ? tile(now.underway.seconds_left === null ? "…" : duration(now.underway.seconds_left), `left of ${now.stage}`)
      : tile(duration(sum((line) => line.seconds)), "of computing"));
}

const tile = (said, about) => h("div", { class: "tile" }, h("b", {}, said), h("span", {}, about));

function picture(lines) {
  const widest = {};
  for (const line of lines) widest[line.unit] = Math.max(widest[line.unit] ?? 1, line.rows_in, line.underway?.total ?? 0);
  const cost = lines.some((line) => line.usage.prompt_tokens + line.usage.completion_tokens > 0);
  const money = lines.some((line) => line.money !== null);
  const rows = [];
  lines.forEach((line, place) => {
    if (line.unit !== lines[place - 1]?.unit) {
      rows.push(h("tr", { class: "unit" }, h("th", { colspan: 6 + cost + money, scope: "rowgroup" }, UNITS[line.unit])));
    }
    rows.push(h("tr", { class: line.state, "data-stage": line.stage },
      h("td", {}, h("i", { class: `dot ${line.state}`, title: STATES[line.state] }), h("a", { href: to("stage", line.stage) }, line.stage)),
      h("td", { class: "bars" }, line.underway ? progress(line) : bar(line, widest[line.unit])),
      h("td", { class: "count" }, line.receipt ? number(line.rows_in) : ""),
      h("td", { class: "count" }, line.receipt ? number(line.rows_out) : ""),
      h("td", { class: "reasons" }, standing(line), reasons(line)),
      cost ? h("td", { class: "count", title: rate(line) }, tokens(line)) : null,
      money ? h("td", { class: "count" }, line.money ? line.money.toFixed(2) : "") : null,
      h("td", { class: "count" }, line.receipt ? duration(line.seconds) : "")));
  });
  const names = ["stage", "", "rows in", "rows out", "aside, by reason", ...(cost ? ["tokens"] : []), ...(money ? ["cost"] : []), "time"];
  return h("table", { class: "funnel" },
    h("thead", {}, h("tr", {}, names.map((name) => h("th", { class: /rows|tokens|cost|time/.test(name) ? "count" : null }, name)))),
    h("tbody", {}, rows));
}

function bar(line, widest) {
  if (!line.receipt) return null;
  const part = (count) => `${(100 * count) / widest}%`;
  const aside = Object.entries(line.reasons).map(([reason, count], place) =>
    h("i", { class: `aside shade${place % 4}`, width: part(count), title: `${reason}: ${number(count)} of ${number(line.rows_in)}` }));
  return h("div", { class: "bar", role: "img", "aria-label": `${line.rows_kept} of ${line.rows_in} kept` },
    h("i", { class: "kept", width: part(line.rows_kept), title: `kept: ${number(line.rows_kept)} of ${number(line.rows_in)}` }), aside);
}

function progress(line) {
  const { done, total, lanes, rows_per_second, seconds_left } = line.underway;
  const told = [`${number(done)} of ${number(total)} rows`, lanes > 1 ? `${lanes} lanes` : null,
    rows_per_second ? `${short(rows_per_second)} rows/s` : null,
    line.state === "running" && seconds_left !== null && done < total ? `${duration(seconds_left)} left` : null];
  return h("div", {},
    h("div", { class: "bar", role: "progressbar", "aria-valuenow": done, "aria-valuemax": total },
      h("i", { class: `done ${line.state}`, width: `${(100 * done) / Math.max(total, 1)}%` })),
    h("small", {}, told.filter(Boolean).join(" · ")));
}

function standing(line) {
  if (line.state === "stale") return h("span", { class: "chip stale", title: "The stage before has other rows now; run this one" }, "stale");
  if (line.state === "stopped") return h("span", { class: "chip stale", title: "Nothing was told for a while" }, "stopped");
  if (line.warnings.length) return h("span", { class: "chip stale", title: plain(line.warnings.join("; "), 600) }, "warning");
  if (line.restores) return h("span", { class: "chip", title: "By megascience undo" }, `receipt ${line.restores} restored`);
  return null;
}

function reasons(line) {
  const chip = (reason, count, part) => h("a", {
    class: part ? "chip part" : "chip", href: to("stage", line.stage, reason),
    title: part ? "parts of rows that went on" : percent(count, line.rows_in),
  }, `${part ? "+" : ""}${reason} `, h("b", {}, number(count)));
  return [...Object.entries(line.reasons).map(([reason, count]) => chip(reason, count, false)),
    ...Object.entries(line.parts_aside).map(([reason, count]) => chip(reason, count, true))];
}

function tokens(line) {
  const { prompt_tokens, completion_tokens } = line.usage;
  return prompt_tokens + completion_tokens ? short(prompt_tokens + completion_tokens) : "";
}

const rate = (line) => `${short(line.usage.prompt_tokens)} of prompts (${short(line.usage.cached_tokens)} cached), ` +
  `${short(line.usage.completion_tokens)} of answers, ${short(line.tokens_per_second)} a second`;

function subjects(lines) {
  const begin = lines.findLastIndex((line) => line.unit === "passage"); // its rows out are the first questions
  const told = lines.slice(begin).filter((line) => Object.keys(line.subjects).length);
  if (told.length < 2) return null;
  const [first, last] = [told[0], told.at(-1)];
  const names = Object.keys(first.subjects).sort((one, other) => first.subjects[other] - first.subjects[one]);
  const most = Math.max(...Object.values(first.subjects));
  return h("section", {}, h("h2", {}, "By subject"), h("table", { class: "subjects" },
    h("thead", {}, h("tr", {}, ["subject", "", first.stage, last.stage, "kept"].map((name, place) => h("th", { class: place > 1 ? "count" : null }, name)))),
    h("tbody", {}, names.map((name) => h("tr", {}, h("td", {}, name.replace("_", " ")),
      h("td", { class: "bars" }, h("div", { class: "bar" },
        h("i", { class: "kept", width: `${(100 * (last.subjects[name] ?? 0)) / most}%` }),
        h("i", { class: "aside shade0", width: `${(100 * (first.subjects[name] - (last.subjects[name] ?? 0))) / most}%` }))),
      h("td", { class: "count" }, number(first.subjects[name])), h("td", { class: "count" }, number(last.subjects[name])),
      h("td", { class: "count" }, percent(last.subjects[name] ?? 0, first.subjects[name])))))));
}

function where(lines, dataset) {
  const last = lines.at(-1);
  return last.receipt ? h("p", { class: "quiet" }, "Dataset: ", h("code", {}, dataset), `, written ${when(last.finished)}`) : null;
}
