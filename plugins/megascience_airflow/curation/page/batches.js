// Batch by batch: how much of what came in was kept, stage by stage.

import { ask, to } from "./curation.js";
import { h, number, percent, short, when } from "./dom.js";

export async function batches(state) {
  const found = await ask("batches");
  const names = found[0]?.lines.map((line) => line.stage) ?? [];
  const telling = names.filter((name, place) => found.some((one) => one.lines[place].rows_aside || one.lines[place].rows_out !== one.lines[place].rows_kept));
  const most = Math.max(1, ...found.map((one) => one.lines.at(-1).rows_out));
  const open = (batch) => (event) => {
    event.preventDefault();
    state.batch = batch;
    location.hash = to("funnel");
  };
  return { content: [h("h2", {}, "Batches ", h("small", {}, `the newest ${found.length}, in the order in which they were begun`)),
    h("div", { class: "wide" }, h("table", { class: "yields" },
      h("thead", {}, h("tr", {}, h("th", {}, "batch"), h("th", {}, "rows in the dataset"), telling.map((name) => h("th", { class: "turned" }, h("span", {}, name))),
        h("th", { class: "count" }, "tokens"), h("th", { class: "count" }, "cost"), h("th", {}, "finished"))),
      h("tbody", {}, found.map(({ batch, lines }) => {
        const last = lines.at(-1);
        const tokens = lines.reduce((sum, line) => sum + line.usage.prompt_tokens + line.usage.completion_tokens, 0);
        const money = lines.reduce((sum, line) => sum + (line.money ?? 0), 0);
        return h("tr", {}, h("td", {}, h("a", { href: to("funnel"), onclick: open(batch) }, batch)),
          h("td", { class: "bars" }, h("div", { class: "bar" }, h("i", { class: "kept", width: `${(70 * last.rows_out) / most}%` }), h("span", {}, number(last.rows_out)))),
          telling.map((name) => cell(lines.find((line) => line.stage === name))),
          h("td", { class: "count" }, tokens ? short(tokens) : ""), h("td", { class: "count" }, money ? money.toFixed(2) : ""),
          h("td", {}, last.receipt ? when(last.finished) : h("span", { class: "quiet" }, unfinished(lines))));
      })))),
    h("p", { class: "quiet" }, "A cell says how many of the rows that came into a stage it kept; where a row becomes several, how many each became.")] };
}

function unfinished(lines) {
  const at = lines.findLast((line) => line.receipt || line.underway);
  return at ? `${at.state === "running" ? "running" : "stands at"} ${at.stage}` : "not begun";
}

function cell(line) {
  if (!line?.receipt || !line.rows_in) return h("td", { class: "cell" });
  const kept = line.rows_kept / line.rows_in;
  const grown = line.rows_out !== line.rows_kept && line.rows_kept;
  return h("td", { class: "cell", "data-kept": Math.floor(kept * 10), title: `${line.stage}: ${number(line.rows_kept)} of ${number(line.rows_in)} kept, ${number(line.rows_out)} out` },
    grown ? `×${(line.rows_out / line.rows_kept).toFixed(1)}` : percent(line.rows_kept, line.rows_in));
}
