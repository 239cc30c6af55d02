// The frame of the Curation page: which batch, which view, and keeping it fresh. Views are in files of their own.

import { h } from "./dom.js";
import { batches } from "./batches.js";
import { funnel } from "./funnel.js";
import { row, search } from "./rows.js";
import { difference, stage } from "./stage.js";

const given = Object.fromEntries([...new URLSearchParams(location.search)].filter(([, said]) => !/^\{.*\}$/.test(said)));
const state = { dag: given.dag ?? "textbook_reasoning", root: given.root, batch: given.batch, places: null };
const VIEWS = { funnel, stage, diff: difference, row, search, batches };
const TABS = [["funnel", "Funnel"], ["search", "Rows"], ["batches", "Batches"]];
let timer = null;
let turn = 0;

/** JSON from the server about the chosen batch; an error has the server's own words. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams({ root: state.root, batch: state.batch, ...parameters });
  const response = await fetch(`api/${encodeURIComponent(state.dag)}/${path}?${query}`, { credentials: "same-origin" });
  const said = await response.json().catch(() => ({}));
  if (!response.ok) {
    const detail = typeof said.detail === "string" ? said.detail : "";
    throw new Error(response.status === 401 ? "You are not logged in: open Airflow and log in." : detail || `The server answered ${response.status}.`);
  }
  return said;
}

/** The address of a view inside the page. */
export const to = (...steps) => `#/${steps.map(encodeURIComponent).join("/")}`;

async function start() {
  follow_theme();
  await look_for_places();
  const first = state.places.places.find((place) => place.batches.length) ?? state.places.places[0];
  state.root = state.places.current?.root ?? state.root ?? first?.root;
  state.batch = state.places.current?.batch ?? state.batch ?? first?.batches[0];
  if (given.task && !location.hash) {
    const name = state.places.stages.find((one) => given.task === one || given.task.split(".").includes(one));
    history.replaceState(null, "", name ? to("stage", name) : to("funnel"));
  }
  window.addEventListener("hashchange", show);
  await show();
}

async function look_for_places() {
  state.places = await ask("places", given.run ? { run: given.run } : {});
}

const is_known = () => state.places.places.some((place) => place.root === state.root && place.batches.includes(state.batch));

async function show() {
  clearTimeout(timer);
  const mine = (turn += 1);
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const view = Object.hasOwn(VIEWS, name) ? name : "funnel";
  head(view);
  const place = document.getElementById("view");
  try {
    if (!state.batch) throw new Error("No batch was begun yet under this root: trigger the DAG.");
    const made = await VIEWS[view](state, ...rest);
    if (!is_known()) { // it has begun since
      await look_for_places();
      head(view);
    }
    if (mine !== turn) return;
    const at = window.scrollY;
    place.replaceChildren(...[made.content].flat(Infinity).filter(Boolean));
    made.after?.();
    window.scrollTo(0, made.again ? at : 0);
    if (made.again) timer = setTimeout(show, made.again * 1000);
  } catch (error) {
    if (mine !== turn) return;
    place.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
    timer = setTimeout(show, 15000);
  }
}

function head(view) {
  const here = state.places?.places ?? [];
  const chooser = h("select", { "aria-label": "Batch", onchange: choose }, here.map((place) =>
    place.batches.map((batch) => h("option", {
      value: `${place.root} ${batch}`, title: place.address, selected: place.root === state.root && batch === state.batch,
    }, here.length > 1 && here[0].root !== place.root ? `${batch} (${place.address})` : batch))));
  if (state.batch && !is_known()) chooser.prepend(h("option", { selected: true }, `${state.batch} (not begun)`));
  document.getElementById("head").replaceChildren(
    h("strong", {}, state.places?.recipe ?? state.dag), h("label", {}, "batch ", chooser),
    h("nav", {}, TABS.map(([name, title]) => h("a", { href: to(name), class: name === view ? "here" : null }, title))));
}

function choose(event) {
  [state.root, state.batch] = event.target.value.split(" ");
  if (location.hash === to("funnel")) show();
  else location.hash = to("funnel");
}

/** Airflow keeps its theme where a page of the same origin can read it. */
function follow_theme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = localStorage.getItem("theme");
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  window.addEventListener("storage", apply);
  system.addEventListener("change", apply);
}

start().catch((error) => document.getElementById("view").replaceChildren(h("p", { class: "error", role: "alert" }, error.message)));
