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
    r"exercises?|problems?|questions?|figure|table|try it|guided practice|true or false|proof|hint|"
    r"significance)\b(?!.*[|•·])",
    re.IGNORECASE,
)

Pages = Sequence[tuple[float, Sequence[Line]]]


def furniture(pages: Pages) -> list[set[int]]:
    """For each page, given as height and lines, the positions of the lines that are running heads or feet.

    A line is one when it stands in the outer 14 %, the same text, digits aside, stands at the same height on
    three pages or more, and on most of them a gap parts it from the text; so heads that differ between left
    and right pages are found too. A number alone in the outermost row, and clear of the text, is a page number.
    At a height where heads were found, a page's first line is one too if it stands clear: a section of few pages
    changes the head's words.
    """
    seen: dict[str, list[tuple[float, int]]] = {}
    for number, (height, lines) in enumerate(pages):
        for line in lines:
            if _outer(line, height) and not _KEEP.match(line.text):
                seen.setdefault(_key(line.text), []).append((line.y, number))
    repeated = [{i for i, line in enumerate(lines) if _often(line, height, seen)} for height, lines in pages]
    clear: dict[tuple[str, int], list[bool]] = {}
    for (_, lines), candidates in zip(pages, repeated, strict=True):
        for i in candidates:
            clear.setdefault(_place(lines[i]), []).append(_stands_clear(i, lines, candidates))
    found: list[set[int]] = []
    rows: Counter[int] = Counter()
    for (height, lines), candidates in zip(pages, repeated, strict=True):
        drop = {i for i in candidates if 2 * sum(clear[_place(lines[i])]) >= len(clear[_place(lines[i])])}
        drop |= {
            i
            for i, line in enumerate(lines)
            if _number(line.text)
            and _outer(line, height)
            and _last(line, lines)
            and _stands_clear(i, lines, candidates)
        }
        rows.update({round(lines[i].y) for i in drop})
        found.append(drop)
    for (height, lines), drop in zip(pages, found, strict=True):
        drop |= _changing(height, lines, drop, rows)
    return found


def _often(line: Line, height: float, seen: dict[str, list[tuple[float, int]]]) -> bool:
    if not _outer(line, height):
        return False
    return len({page for y, page in seen.get(_key(line.text), []) if abs(y - line.y) <= _NEAR}) >= _PAGES


def _place(line: Line) -> tuple[str, int]:
    return _key(line.text), round(line.y / (3 * _NEAR))


def _stands_clear(i: int, lines: Sequence[Line], candidates: set[int]) -> bool:
    """Whether more than a line's distance parts the line, and those repeated with it, from the page's text."""
    rows = sorted((line.y, j in candidates) for j, line in enumerate(lines) if not line.aside)
    steps = sorted(b[0] - a[0] for a, b in zip(rows, rows[1:], strict=False) if b[0] - a[0] > _NEAR)
    usual = steps[len(steps) // 2] if len(steps) > 3 else 1.35 * lines[i].size
    upper = lines[i].y > (rows[0][0] + rows[-1][0]) / 2
    inward = [
        row for row in (reversed(rows) if upper else rows) if (row[0] <= lines[i].y) == upper or row[0] == lines[i].y
    ]
    edge = lines[i].y
    for y, repeated in inward:
        if abs(y - edge) > max(_NEAR, 1.15 * usual):
            return True
        if not repeated and abs(y - edge) > _NEAR:
            return False
        edge = y
    return True


def _changing(height: float, lines: Sequence[Line], drop: set[int], rows: Counter[int]) -> set[int]:
    """The page's head whose words are rare, at a height where other pages have theirs."""
    rest = [(line.y, i) for i, line in enumerate(lines) if i not in drop and not line.aside]
    if len(rest) < 3:
        return set()
    top, i = max(rest)
    line = lines[i]
    common = sum(rows[y] for y in range(round(top) - 1, round(top) + 2)) >= _PAGES
    clear = top - max(y for y, j in rest if j != i) > 1.8 * line.size
    return {i} if common and clear and _outer(line, height) else set()


def _outer(line: Line, height: float) -> bool:
    return not line.aside and (line.y > height * (1 - _ZONE) or line.y < height * _ZONE)


def _last(line: Line, lines: Sequence[Line]) -> bool:
    """Whether the line is in the page's first or last row, which a head and a number may share."""
    heights = [other.y for other in lines if not other.aside]
    return line.y >= max(heights) - _NEAR or line.y <= min(heights) + _NEAR


def _key(text: str) -> str:
    return " ".join(_DIGITS.sub("#", text).split()).casefold()


def _number(text: str) -> bool:
    bare = text.strip(" .-–—|[]()").removeprefix("Page ")
    return bool(bare) and len(bare) <= 4 and (bare.isdigit() or bool(_ROMAN.fullmatch(bare)))
