// One stage: what made it, rows before and after it, what it set aside, its receipts, and two of them side by side.

import { ask, to } from "./curation.js";
import { duration, h, number, plain, rich, short, value, when } from "./dom.js";

const HIDDEN = new Set(["id", "page_starts", "row"]);

export async function stage(state, name, reason = "", skip = "0", others = "0") {
  const [told, rows, aside] = await Promise.all([
    ask(`stage/${name}`), ask(`stage/${name}/samples`, { skip: others }), ask(`stage/${name}/asides`, { reason, skip }),
  ]);
  const { line, receipt } = told;
  return { content: [
    h("h2", {}, name, " ", h("small", {}, `${number(line.rows_in)} rows in, ${number(line.rows_out)} out, ${number(line.rows_aside)} aside`)),
    reason ? null : line.warnings.map((warning) => h("p", { class: "error" }, rich(warning))),
    reason ? null : history(name, told),
    reason ? null : made(receipt),
    set_aside(name, told.asides, aside, reason, Number(skip)),
    reason ? null : before_and_after(name, told.before, rows, Number(others)),
  ] };
}

function set_aside(name, counted, aside, reason, skip) {
  const total = reason ? counted[reason] ?? 0 : Object.values(counted).reduce((sum, count) => sum + count, 0);
  const chips = Object.entries(counted).map(([one, count]) =>
    h("a", { class: one === reason ? "chip here" : "chip", href: one === reason ? to("stage", name) : to("stage", name, one) }, `${one} `, h("b", {}, number(count))));
  if (!total) return h("section", {}, h("h3", {}, "Set aside"), h("p", { class: "quiet" }, "Nothing was set aside here."));
  return h("section", {}, h("h3", {}, "Set aside"), h("p", {}, chips),
    aside.map((one) => h("article", { class: "card aside" },
      h("header", {}, h("span", { class: "chip" }, one.aside.reason), h("a", { href: to("row", one.aside.row) }, h("code", {}, one.aside.row))),
      one.aside.detail ? h("p", {}, rich(one.aside.detail)) : null,
      one.aside.part ? [h("h4", {}, "the part"), h("p", {}, rich(one.aside.part))] : null,
      one.aside.said ? [h("h4", {}, "what was said"), h("p", {}, rich(one.aside.said))] : null,
      one.before ? fields(one.before, null, `as it came in`) : null)),
    pager(skip, aside.length, total, (at) => to("stage", name, reason, at)));
}

function pager(skip, count, total, href) {
  if (total <= count && !skip) return null;
  return h("p", { class: "pager" },
    skip ? h("a", { href: href(Math.max(0, skip - 10)) }, "← earlier") : null, ` ${number(skip + 1)} to ${number(skip + count)} of ${number(total)} `,
    skip + count < total ? h("a", { href: href(skip + count) }, "later →") : null);
}

function before_and_after(name, before, rows, others) {
  if (!rows.length) return null;
  return h("section", {}, h("h3", {}, before ? `Before and after` : "Rows", " ", h("a", { class: "chip", href: to("stage", name, "", 0, others + 1) }, "show others")),
    rows.map(({ before: was, after }) => h("article", { class: "card" },
      h("header", {}, h("a", { href: to("row", after.id) }, h("code", {}, after.id))),
      was && was.id === after.id ? compared(was, after)
        : [was ? h("details", {}, h("summary", {}, `from ${was.id}`), fields(was)) : null, fields(after)])));
}

/** The fields of a row; where it was there before, what has changed beside what it was. */
function compared(was, after) {
  const names = Object.keys(after).filter((name) => !HIDDEN.has(name));
  const same = (name) => name in was && JSON.stringify(was[name]) === JSON.stringify(after[name]);
  const changed = names.filter((name) => !same(name));
  return [
    changed.length ? h("table", { class: "compared" },
      h("thead", {}, h("tr", {}, h("th", {}, ""), h("th", {}, "before"), h("th", {}, "after"))),
      h("tbody", {}, changed.map((name) => h("tr", {}, h("th", {}, name.replaceAll("_", " ")),
        h("td", { class: "was" }, name in was ? value(name, was[name]) : ""), h("td", {}, value(name, after[name]))))))
      : h("p", { class: "quiet" }, "as it was"),
    h("details", {}, h("summary", {}, `unchanged: ${names.filter(same).join(", ").replaceAll("_", " ")}`),
      fields(Object.fromEntries(names.filter(same).map((name) => [name, after[name]])))),
  ];
}

export function fields(row, only = null, title = null) {
  const names = Object.keys(row).filter((name) => !HIDDEN.has(name) && (only === null || only.has(name)));
  return h("table", { class: "fields" }, title ? h("caption", {}, title) : null,
    h("tbody", {}, names.map((name) => h("tr", {}, h("th", {}, name.replaceAll("_", " ")), h("td", {}, value(name, row[name]))))));
}

function made(receipt) {
  const engine = Object.entries(receipt.engine).map(([name, said]) => [name, said]);
  const rows = [
    ["engine", engine.length ? engine.map(([, said]) => said).join(" ") : null],
    ["prompts", Object.entries(receipt.prompts).map(([name, digest]) => `${name} ${digest.slice(0, 8)}`).join(", ") || null],
    ["asked", asked(receipt)], ["tries again", Object.entries(receipt.effort.retries).map(([name, count]) => `${name} ${count}`).join(", ") || null],
    ["server", Object.entries(receipt.server).map(([name, said]) => `${name} ${said}`).join(", ") || null],
    ["memory", `${number(receipt.effort.peak_memory_mb)} MB`], ["settings", JSON.stringify(receipt.config)],
  ];
  return h("details", { class: "card" }, h("summary", {}, "What made it"), h("table", { class: "fields" }, h("tbody", {},
    rows.filter(([, said]) => said).map(([name, said]) => h("tr", {}, h("th", {}, name), h("td", {}, typeof said === "string" ? said : rich(said)))))));
}

function asked(receipt) {
  return Object.entries(receipt.effort.usage).map(([name, use]) => `${name}: ${number(use.requests)} asked, ${number(use.replayed)} replayed` +
    (use.unread ? `, ${number(use.unread)} unread` : "") + (use.completion_tokens ? `, ${short(use.prompt_tokens)} + ${short(use.completion_tokens)} tokens` : "")).join("; ");
}

function history(name, told) {
  if (told.history.length < 2) return null;
  return h("section", {}, h("h3", {}, "Receipts"), h("table", {},
    h("thead", {}, h("tr", {}, ["number", "written", "rows out", "aside", "shards computed", "time", ""].map((title) => h("th", {}, title)))),
    h("tbody", {}, told.history.map((line, place) => h("tr", {},
      h("td", {}, line.receipt, place === 0 ? h("span", { class: "chip here" }, "current") : null, line.restores ? h("span", { class: "chip" }, `restores ${line.restores}`) : null),
      h("td", {}, when(line.finished)), h("td", {}, number(line.rows_out)), h("td", {}, number(line.rows_aside)),
      h("td", {}, `${line.computed_parts} of ${line.parts}`), h("td", {}, duration(line.seconds)),
      h("td", {}, place + 1 < told.history.length ? h("a", { href: to("diff", name, told.history[place + 1].receipt, line.receipt) }, `compare with ${told.history[place + 1].receipt}`) : null))))),
  h("p", { class: "quiet" }, "To go back to an earlier one: ", h("code", {}, `megascience undo ${name} --to N`)));
}

export async function difference(state, name, before, after) {
  const found = await ask(`stage/${name}/diff`, { before, after });
  const side = (title, values) => Object.keys(values).length ? h("table", { class: "compared" },
    h("thead", {}, h("tr", {}, h("th", {}, title), h("th", {}, `receipt ${found.before}`), h("th", {}, `receipt ${found.after}`))),
    h("tbody", {}, Object.entries(values).map(([key, [was, is]]) => h("tr", {}, h("th", {}, key), h("td", {}, value("", was)), h("td", {}, value("", is)))))) : null;
  const kinds = Object.entries(found.rows).map(([kind, count]) => h("span", { class: "chip" }, `${kind} `, h("b", {}, number(count))));
  const rest = `${found.equal} of ${found.parts} shards are the same by their digests` + (found.left ? `; ${found.left} were not looked at: megascience diff ${name} takes its time` : "");
  return { content: [
    h("h2", {}, h("a", { href: to("stage", name) }, name), ` receipt ${found.before} and ${found.after}`),
    side("made by", found.made_by), side("counts", found.counts),
    h("p", {}, kinds.length ? kinds : "No row differs. ", h("span", { class: "quiet" }, ` ${rest}`)),
    found.changes.map((change) => h("article", { class: "card" },
      h("header", {}, h("span", { class: "chip" }, change.kind), h("a", { href: to("row", change.id) }, h("code", {}, plain(change.id)))),
      h("table", { class: "compared" }, h("tbody", {}, [...new Set([...Object.keys(change.before), ...Object.keys(change.after)])].filter((one) => !HIDDEN.has(one)).map((one) => h("tr", {},
        h("th", {}, one.replaceAll("_", " ")), h("td", { class: "was" }, one in change.before ? value(one, change.before[one]) : ""),
        h("td", {}, one in change.after ? value(one, change.after[one]) : ""))))))),
  ] };
}
