"""Texts of books and models made ready to show: formulas as trees, and control characters as signs to be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megascience_ops.looking.mathematics import Node, tree
from megascience_ops.strangers import visible

LONGEST = 40_000  # characters of a text; of more the beginning is shown
MOST_FORMULAS = 400

_FORMULA = re.compile(
    r"""\$\$(?P<block>.{1,2000}?)\$\$ | \\\[(?P<bracket>.{1,2000}?)\\\] | \\\((?P<paren>.{1,2000}?)\\\)
    | (?<![\\$\w])\$ (?!\s|\d[\d.,]*\s+[A-Za-z]{2}) (?P<dollar>[^$\n]{1,400}?) (?<![\s\\])\$(?![\w$])  # no money
    | (?<=[\w)\]])(?P<script>[\^_]\{[^{}$\\]{1,30}\})  # as books' raised and lowered signs are read
    """,
    re.DOTALL | re.VERBOSE,
)

Piece = str | tuple[str, Node]  # plain text, or a formula as it was written with its tree


def pieces(text: str) -> Iterator[Piece]:
    """A text in pieces, one after the other."""
    said = text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text):,} characters)"
    place = 0
    for number, found in enumerate(_FORMULA.finditer(said)):
        if number == MOST_FORMULAS:
            break
        name = str(found.lastgroup)
        latex = "{}" * (name == "script") + found[name].strip()
        if node := tree(latex, name in ("block", "bracket")):
            if before := said[place : found.start()]:
                yield visible(before)
            yield visible(found[0]), node
            place = found.end()
    if rest := said[place:]:
        yield visible(rest)


def shown(value: Any) -> Any:
    """Any JSON value, its texts ready to show: one with formulas becomes `{"pieces": [text, [tex, node], ...]}`."""
    if isinstance(value, str):
        made = list(pieces(value))
        return {"pieces": made} if any(not isinstance(one, str) for one in made) else "".join(map(str, made))
    if isinstance(value, Mapping):
        return {name: shown(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [shown(one) for one in value]
    return value
