"""Two columns whose lines come side by side in the file: cut at the gutter and put one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from megascience_ops.books.glyphs import Glyph

_MIN_LINES = 8  # pairs of half lines before a page counts as having two columns
_MIN_GLYPHS = 20  # of a half line: cells of a table are shorter
GUTTER = 1.1  # of the size
MIDDLE = 0.3, 0.7  # of the page's width: where a gutter may be


class _Run(Protocol):
    @property
    def glyphs(self) -> list[Glyph]: ...
    @property
    def y(self) -> float: ...
    @property
    def size(self) -> float: ...


R = TypeVar("R", bound=_Run)


def in_reading_order(runs: list[R], width: float, make: Callable[[list[Glyph], float, float], R]) -> list[R]:
    """The runs of a page `width` points wide; unchanged unless most of them are two half lines side by side."""
    gutter = _gutter(runs, width)
    if gutter is None:
        return runs
    out: list[R] = []
    right: list[R] = []
    for run in runs:
        halves = _halves(run, gutter)
        if halves is None and run.glyphs[0].left < gutter < run.glyphs[-1].right:
            out += [*right, run]  # a heading across both columns ends them
            right = []
        elif halves is None:
            (right if run.glyphs[0].left >= gutter else out).append(run)
        else:
            out.append(make(halves[0], run.y, run.size))
            right.append(make(halves[1], run.y, run.size))
    return out + right


def _gutter(runs: list[R], width: float) -> float | None:
    """The middle of the gap that most long lines share."""
    gaps = []
    wide = 0
    from_left, to_right = (share * width for share in MIDDLE)
    for run in runs:
        glyphs = run.glyphs
        if glyphs[0].left < 0.4 * width and glyphs[-1].right > 0.6 * width:
            wide += 1
            for a, b in zip(glyphs, glyphs[1:], strict=False):
                start = a.left if a.text == " " else a.right
                if b.left - start > GUTTER * run.size and b.text != " " and start < to_right and b.left > from_left:
                    gaps.append((start, b.left))
    for start, end in sorted(gaps, key=lambda gap: gap[1] - gap[0]):
        middle = (start + end) / 2
        if sum(left < middle < right for left, right in gaps) < _MIN_LINES:
            continue
        cut = sum(1 for run in runs if _halves(run, middle) is not None)
        if cut >= _MIN_LINES and cut > 0.6 * wide:
            return middle
    return None


def _halves(run: _Run, gutter: float) -> tuple[list[Glyph], list[Glyph]] | None:
    left = [glyph for glyph in run.glyphs if glyph.left < gutter]
    right = [glyph for glyph in run.glyphs if glyph.left >= gutter]
    while left and left[-1].text == " ":
        left.pop()
    while right and right[0].text == " ":
        right.pop(0)
    if min(_long(left), _long(right)) < _MIN_GLYPHS or right[0].left - left[-1].right < GUTTER * run.size:
        return None
    return left, right


def _long(glyphs: list[Glyph]) -> int:
    return sum(len(glyph.text) for glyph in glyphs)
