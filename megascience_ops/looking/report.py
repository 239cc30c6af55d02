"""The report of a batch: one HTML file beside its receipts, which opens without a server and holds all it shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from megascience_ops import funnel
from megascience_ops.funnel import Line
from megascience_ops.looking.finding import BULKY
from megascience_ops.looking.html import Html, inner, rich, tag
from megascience_ops.looking.samples import SetAside, asides, counted, samples
from megascience_ops.looking.words import short, standing
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.storage import Store

log = logging.getLogger(__name__)

STYLE = Path(__file__).parent / "look.css"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
FEW = 3  # samples of a stage, and asides of a reason
_LEFT_OUT = BULKY | {"id", "page_starts"}


def path(recipe: str, batch: str) -> str:
    """Where the report of a batch lies. Not in the dataset's folder: it shows rows that were set aside, too."""
    return f"{recipe}/batch={batch}/report.html"


def write(store: Store, recipe: Recipe, batch: str) -> str:
    """Write the report of what there is of a batch by now; its path. The same receipts make the same report."""
    at = path(recipe.name, batch)
    store.put(at, html(store, recipe, batch).encode())
    return at


def html(store: Store, recipe: Recipe, batch: str) -> str:
    """The report as a whole document."""
    lines, found = funnel.lines(store, recipe, batch), funnel.finished(store, recipe, batch)
    title = f"{recipe.name}, batch {batch}"
    head = tag(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("title", title),
        tag("style", Html(STYLE.read_text(encoding="utf-8"))),
    )
    before: Receipt | None = None
    stages: list[Html] = []
    for receipt in found:
        stages.append(_stage(store, before, receipt))
        before = receipt
    written = max((receipt.finished for receipt in found), default="")
    about = tag("p", f"As of {written.replace('T', ' ')}. Rows in = kept + aside, at every stage.", class_="quiet")
    body = tag("body", tag("main", tag("h1", title), about, _tiles(lines), _funnel(lines), _subjects(lines), stages))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _tiles(lines: Sequence[Line]) -> Html:
    last, usage = lines[-1], [line.usage for line in lines]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in usage)
    money = [line.money for line in lines if line.money is not None]
    told = [
        (f"{last.rows_out:,}" if last.receipt else "–", "rows in the dataset"),
        (f"{sum(line.rows_aside for line in lines):,}", "rows set aside"),
        (f"{sum(one.requests for one in usage):,}", f"requests, {sum(one.replayed for one in usage):,} replayed"),
        (short(tokens), "tokens") if tokens else None,
        (f"{sum(money):,.2f}", "cost, by the prices set") if money else None,
        (f"{sum(line.seconds for line in lines):,.0f} s", "of computing"),
    ]
    return tag(
        "div",
        *(tag("div", tag("b", one[0]), tag("span", one[1]), class_="tile") for one in told if one),
        class_="tiles",
    )


def _funnel(lines: Sequence[Line]) -> Html:
    widest: dict[str, int] = {}
    for line in lines:
        widest[line.unit] = max(widest.get(line.unit, 1), line.rows_in)
    rows: list[Html] = []
    unit = ""
    for line in lines:
        if line.unit != unit:
            unit = line.unit
            rows.append(tag("tr", tag("th", f"{unit.capitalize()}s", colspan="6"), class_="unit"))
        state = standing(line)
        why = [tag("span", f"{name} ", tag("b", f"{count:,}"), class_="chip") for name, count in line.reasons.items()]
        why += [
            tag("span", f"+{name} ", tag("b", f"{count:,}"), class_="chip part")
            for name, count in line.parts_aside.items()
        ]
        done = line.receipt is not None
        rows.append(
            tag(
                "tr",
                tag("td", tag("i", class_=f"dot {line.state}"), tag("a", line.stage, href=f"#{line.stage}")),
                tag("td", _bar(line, widest[line.unit]) if done else None, class_="bars"),
                tag("td", f"{line.rows_in:,}" if done else None, class_="count"),
                tag("td", f"{line.rows_out:,}" if done else None, class_="count"),
                tag("td", tag("span", state, class_="chip stale") if state else None, why),
                tag("td", f"{line.seconds:,.1f} s" if done else None, class_="count"),
                class_=line.state,
            )
        )
    return _table(("stage", "", "rows in", "rows out", "aside, by reason", "time"), rows, "funnel")


def _bar(line: Line, widest: int) -> Html:
    def part(count: int, class_: str, title: str) -> Html:
        return tag("i", class_=class_, style=f"width:{100 * count / widest:.2f}%", title=f"{title}: {count:,}")

    shades = enumerate(line.reasons.items())
    aside = [part(count, f"aside shade{place % 4}", reason) for place, (reason, count) in shades]
    return tag("div", part(line.rows_kept, "kept", "kept"), aside, class_="bar")


def _subjects(lines: Sequence[Line]) -> Html | None:
    begin = max((place for place, line in enumerate(lines) if line.unit == "passage"), default=0)
    told = [line for line in lines[begin:] if line.subjects]
    if len(told) < 2:
        return None
    first, last = told[0], told[-1]
    rows = [
        tag(
            "tr",
            tag("td", name.replace("_", " ")),
            *(tag("td", f"{line.subjects.get(name, 0):,}", class_="count") for line in (first, last)),
            tag("td", f"{last.subjects.get(name, 0) / count:.1%}", class_="count"),
        )
        for name, count in sorted(first.subjects.items(), key=lambda item: -item[1])
    ]
    return inner([tag("h2", "By subject"), _table(("subject", first.stage, last.stage, "kept"), rows, "subjects")])


def _stage(store: Store, before: Receipt | None, receipt: Receipt) -> Html:
    """What made a stage, some of its asides by reason, and some of its rows before and after."""
    settings = {name: one for name, one in receipt.config.items() if one is not None and not isinstance(one, dict)}
    made = {
        "engine": " ".join(receipt.engine[name] for name in ("model", "revision") if receipt.engine.get(name)),
        "prompts": ", ".join(f"{name} {digest[:8]}" for name, digest in receipt.prompts.items()),
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "warnings": "; ".join(receipt.warnings),
    }
    told: list[Html | None] = [_fields({name: value for name, value in made.items() if value})]
    for reason, count in counted(receipt).items():
        told.append(tag("h3", f"Aside: {reason} {count:,}"))
        told += [_aside(one) for one in asides(store, before, receipt, reason, 0, FEW)]
    if rows := samples(store, before, receipt, FEW):
        told.append(tag("h3", "Before and after" if before else "Rows"))
        told += [_sample(one.before, one.after) for one in rows]
    kept, aside = (
        f"{receipt.total('rows_in'):,} rows in, {receipt.total('rows_out'):,} out",
        receipt.total("rows_aside"),
    )
    return tag("section", tag("h2", receipt.stage, tag("small", f" {kept}, {aside:,} aside")), told, id=receipt.stage)


def _aside(one: SetAside) -> Html:
    said = {name: getattr(one.aside, name) for name in ("detail", "part", "said") if getattr(one.aside, name)}
    return tag("article", tag("code", one.aside.row), _fields(said), _fields(_read(one.before)), class_="card aside")


def _sample(was: dict[str, Any] | None, after: dict[str, Any]) -> Html:
    old = _read(was) if was and was["id"] == after["id"] else {}
    changed = {name: value for name, value in _read(after).items() if old.get(name, _NEW) != value}
    rows = [
        tag(
            "tr",
            tag("th", name.replace("_", " ")),
            *([tag("td", rich(old[name]) if name in old else None, class_="was")] if old else []),
            tag("td", rich(value)),
        )
        for name, value in changed.items()
    ]
    content = (
        _table(("", "before", "after") if old else ("", ""), rows, "compared")
        if rows
        else tag("p", "as it was", class_="quiet")
    )
    return tag("article", tag("code", after["id"]), content, class_="card")


_NEW = object()


def _read(values: dict[str, Any] | None) -> dict[str, Any]:
    told = {name: value for name, value in (values or {}).items() if name not in _LEFT_OUT}
    if isinstance(source := told.get("source"), dict):
        told["source"] = f"{source['title']}, page {source['page_start']}: {source['section']}"
    return told


def _fields(values: dict[str, Any]) -> Html | None:
    if not values:
        return None
    rows = [tag("tr", tag("th", name.replace("_", " ")), tag("td", rich(value))) for name, value in values.items()]
    return tag("table", *rows, class_="fields")


def _table(names: Sequence[str], rows: Sequence[Html], class_: str) -> Html:
    def heads() -> Iterator[Html]:
        for place, name in enumerate(names):
            counts = name.startswith(("rows", "time")) or (place and class_ == "subjects")
            yield tag("th", name, class_="count" if counts else None)

    return tag("table", tag("thead", tag("tr", heads())), tag("tbody", rows), class_=class_)
