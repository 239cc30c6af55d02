"""HTML out of values: every text is escaped, whoever wrote it; only what `tag` made is markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from megascience_ops.looking.mathematics import Node
from megascience_ops.looking.text import pieces


class Html(str):
    """Markup that `tag` made of escaped texts."""


Child = Html | str | int | Iterable["Child"] | None


def tag(name: str, /, *children: Child, **attributes: str | None) -> Html:
    """An element; `class_` is class, and an attribute that is None is left out."""
    said = "".join(
        f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items() if value is not None
    )
    return Html(f"<{name}{said}>{inner(children)}</{name}>")


def inner(children: Iterable[Child]) -> Html:
    """Children one after the other, texts escaped."""
    return Html("".join(_one(child) for child in children))


def rich(value: Any) -> Html:
    """A value of a row: a text with its formulas set, or anything else as it prints."""
    if not isinstance(value, str):
        return tag("span", "none" if value is None else str(value), class_="quiet" if value is None else None)
    said = (one if isinstance(one, str) else _formula(*one) for one in pieces(value))
    return tag("span", *said, class_="text")


def _one(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    return html.escape(str(child)) if isinstance(child, str | int) else inner(child)


def _formula(tex: str, node: Node) -> Html:
    return tag("span", _element(node), class_="formula", title=tex)


def _element(node: Node) -> Html:
    name, attributes, inside = node
    return tag(name, *(one if isinstance(one, str) else _element(one) for one in inside), **attributes)
