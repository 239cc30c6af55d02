"""Running heads, running feet and page numbers: what a book prints on page after page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from megascience_ops.books.assemble import Line

_ZONE = 0.14  # of the page's height, at the top and at the bottom
_NEAR = 4.0  # points
_PAGES = 3
_DIGITS = re.compile(r"\d+")
_ROMAN = re.compile(r"[ivxlc]+", re.IGNORECASE)
# Words that books repeat at the edge of a page and that are text all the same.
_KEEP = re.compile(
    r"\W*(?:check your (?:learning|understanding|progress)|solutions?|answers?|strategy|discussion|examples?|"
    r"exercises?|problems?|questions?|try it|guided practice|true or false|proof|hint|significance)\b(?!.*[|•·])",
    re.IGNORECASE,
)

Pages = Sequence[tuple[float, Sequence[Line]]]


def furniture(pages: Pages) -> list[set[int]]:
    """For each page, given as height and lines, the positions of the lines that are running heads or feet.

    A line is one when it stands in the outer 14 % and the same text, digits aside, stands at the same
    height on three pages or more, which also finds heads that differ between left and right pages. A number
    alone at the outermost line is a page number. At a height where heads were found, a page's first line
    is one too if it stands clear of the text: sections of a few pages change the head's words.
    """
    seen: dict[str, list[tuple[float, int]]] = {}
    for number, (height, lines) in enumerate(pages):
        for line in lines:
            if _outer(line, height):
                seen.setdefault(_key(line.text), []).append((line.y, number))
    found: list[set[int]] = []
    rows: Counter[int] = Counter()
    for height, lines in pages:
        drop = set()
        for i, line in enumerate(lines):
            if not _outer(line, height):
                continue
            places = seen[_key(line.text)]
            often = len({n for y, n in places if abs(y - line.y) <= _NEAR}) >= _PAGES
            if (often and not _KEEP.match(line.text)) or (_number(line.text) and _outermost(line, lines)):
                drop.add(i)
        rows.update({round(lines[i].y) for i in drop})
        found.append(drop)
    for (height, lines), drop in zip(pages, found, strict=True):
        drop |= _changing(height, lines, drop, rows)
    return found


def _changing(height: float, lines: Sequence[Line], drop: set[int], rows: Counter[int]) -> set[int]:
    """The page's head whose words are rare, at a height where other pages have theirs."""
    rest = [(line.y, i) for i, line in enumerate(lines) if i not in drop and not line.aside]
    if len(rest) < 3:
        return set()
    top, i = max(rest)
    line = lines[i]
    common = sum(rows[y] for y in range(round(top) - 1, round(top) + 2)) >= _PAGES
    clear = top - max(y for y, j in rest if j != i) > 1.8 * line.size
    return {i} if common and clear and _outer(line, height) and not _KEEP.match(line.text) else set()


def _outer(line: Line, height: float) -> bool:
    return not line.aside and (line.y > height * (1 - _ZONE) or line.y < height * _ZONE)


def _outermost(line: Line, lines: Sequence[Line]) -> bool:
    others = [other.y for other in lines if other is not line and not other.aside]
    if not others:
        return True
    # Two lines may share the outermost row: a head and the number beside it.
    return line.y >= max(others) - _NEAR or line.y <= min(others) + _NEAR


def _key(text: str) -> str:
    return " ".join(_DIGITS.sub("#", text).split()).casefold()


def _number(text: str) -> bool:
    bare = text.strip(" .-–—|[]()").removeprefix("Page ")
    return bool(bare) and len(bare) <= 4 and (bare.isdigit() or bool(_ROMAN.fullmatch(bare)))
