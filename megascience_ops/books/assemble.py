"""From glyphs to lines: where a line begins and ends, columns in reading order, stacked fractions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from megascience_ops.books.columns import in_reading_order
from megascience_ops.books.formulas import with_formulas
from megascience_ops.books.glyphs import Glyph, PageGlyphs, turned
from megascience_ops.books.scripts import SAME_LINE, SMALL, negated, read_line

_LEFT, _RIGHT, _TURN = (itemgetter(Glyph._fields.index(name)) for name in ("left", "right", "turn"))


class Line(NamedTuple):
    """One line of a page: its text, its left and right end, its baseline and its size, in points.

    `aside` is true for text that runs upwards or downwards beside the page's own.
    """

    text: str
    left: float
    right: float
    y: float
    size: float
    aside: bool = False


class Run(NamedTuple):
    """The glyphs of a line that is not read yet, its baseline and its size."""

    glyphs: list[Glyph]
    y: float
    size: float


def page_lines(page: PageGlyphs) -> list[Line]:
    """The lines of a page in reading order."""
    found: list[Line] = []
    for turn, part in _by_turn(with_formulas(page.glyphs, page.bars)):
        glyphs = list(part)
        if not turn:
            runs = in_reading_order(_runs(glyphs), page.width, Run)
            found += _with_fractions([line for run in runs if (line := _line(run)).text])
            continue
        upright = [turned(g, turn, page.width, page.height) if g.size else g for g in glyphs]
        placed = [glyph for glyph in glyphs if glyph.size]
        if text := " ".join(line.text for run in _runs(upright) if (line := _line(run)).text):
            left, right = min(g.left for g in placed), max(g.right for g in placed)
            found.append(Line(text, left, right, min(g.low for g in placed), placed[0].size, True))
    return _with_initials(found)


def _by_turn(glyphs: list[Glyph]) -> Iterable[tuple[int, Iterable[Glyph]]]:
    """The glyphs of a page, parted where their turn changes; most pages have but one."""
    if not any(map(_TURN, glyphs)):
        return [(0, glyphs)] if glyphs else []
    return groupby(_carried(glyphs), key=_TURN)


def _carried(glyphs: list[Glyph]) -> list[Glyph]:
    """The glyphs, each space and newline turned as the glyph before it."""
    out = []
    turn = 0
    for glyph in glyphs:
        turn = glyph.turn if glyph.size else turn
        out.append(glyph if glyph.turn == turn else glyph._replace(turn=turn))
    return out


def _runs(glyphs: list[Glyph]) -> list[Run]:
    """The glyphs parted into lines. PDFium's own line breaks are not trusted: it also breaks where a
    superscript begins; a line ends where the baseline moves or the pen goes back."""
    runs: list[Run] = []
    run: list[Glyph] = []
    base_y = size = end = script_left = 0.0
    in_script = space = newline = False
    for i, glyph in enumerate(glyphs):
        text, x, y, left, right, _, _, own, _ = glyph
        if not own:
            space = space or text == " "
            newline = newline or text == "\n"
            continue
        if y == base_y and own == size and run and x - end >= -0.6 * size:  # as most are: beside the one before
            if space or (newline and x - end > 0.15 * size):
                run.append(_space(run[-1], left))
            in_script = space = newline = False
            if right > end:
                end = right
            run.append(glyph)
            continue
        if run:
            larger = size if size > glyph.size else glyph.size
            shift, step = glyph.y - base_y, glyph.x - end
            script = abs(shift) > 0.1 * larger or glyph.size < SMALL * size
            back = -0.6 * larger
            if script and in_script:  # a subscript under a superscript, a denominator under its numerator
                back = min(back, script_left - end - 0.3 * larger)
            tall = glyph.high - glyph.low > 1.2 * size and glyph.low < base_y + 0.25 * size < glyph.high
            twin = glyph.x == run[-1].x and glyph.y == run[-1].y  # the letters of one ligature
            beside = step >= back and (tall or abs(shift) <= SAME_LINE * larger)
            if beside or twin or _raised_again(run[-1], glyph, base_y) or _on_shoulder(run[-1], glyph, size):
                if space or (newline and step > 0.15 * larger):
                    run.append(_space(run[-1], glyph.left))
                if glyph.size > 1.15 * size and not tall:
                    base_y, size = glyph.y, glyph.size
                if script and not in_script:
                    script_left = glyph.left
                in_script = script
                end = max(end, glyph.right)
                run.append(glyph)
            else:
                runs += _ended(run, base_y, size, glyph)
                run = []
        if not run:
            run = [glyph]
            base = _base(glyphs, i)
            base_y, size, end, script_left = base.y, base.size, glyph.right, glyph.left
            in_script = base is not glyph
        space = newline = False
    if run:
        runs.append(Run(run, base_y, size))
    return runs


def _space(before: Glyph, end: float) -> Glyph:
    """The space between a glyph and the left edge of the next one."""
    _, _, y, _, right, low, high, size, turn = before
    return Glyph(" ", right, y, right, end, low, high, size, turn)


def _raised_again(before: Glyph, glyph: Glyph, base_y: float) -> bool:
    """Whether the glyph is a script's own script, which may stand far from the line."""
    shift, step = glyph.y - before.y, glyph.x - before.right
    if not shift and glyph.size == before.size and -0.2 * glyph.size <= step <= 0.3 * glyph.size:
        return True
    near = abs(shift) <= 0.5 * before.size and -0.2 * before.size <= step <= 0.3 * before.size
    return near and before.text != " " and abs(glyph.y - base_y) <= 1.2 * max(before.size, glyph.size)


def _on_shoulder(before: Glyph, glyph: Glyph, size: float) -> bool:
    """Whether the glyph is an exponent or an index of a tall bracket or fraction, at the height of its end."""
    step = glyph.left - before.right
    tall = before.high - before.low > 1.2 * size
    at_end = before.high - size < glyph.low < before.high + 0.3 * size or before.low - 0.3 * size < glyph.y < before.low
    return tall and at_end and -0.1 * size < step < 0.4 * size and glyph.size < SMALL * size


def _base(glyphs: list[Glyph], i: int) -> Glyph:
    """The glyph whose baseline and size are the line's that begins at `i`: the first may be a raised or a small one."""
    first = glyphs[i]
    for glyph in glyphs[i + 1 : i + 40]:
        if glyph.size > 1.15 * first.size:
            shift = abs(glyph.y - first.y)
            beside = 0 < glyph.x - first.x < 20 * glyph.size and 0.1 * glyph.size < shift <= SAME_LINE * glyph.size
            return glyph if beside else first
        if glyph.size and (glyph.size != first.size or abs(glyph.y - first.y) > 1.2 * first.size):
            break
    return first


def _ended(run: list[Glyph], base_y: float, size: float, following: Glyph) -> list[Run]:
    """The run that ends before `following`: two, when its end is a numerator and what follows the denominator."""
    i = len(run)
    while i and (run[i - 1].text == " " or run[i - 1].y > base_y + 0.3 * size):
        i -= 1
    while i < len(run) and run[i].text == " ":
        i += 1
    if i == 0 or i == len(run) or not run[0].y <= base_y + 0.1 * size:
        return [Run(run, base_y, size)]
    top = run[i:]
    under = following.y < base_y - 0.3 * size and following.size > SMALL * size and top[0].size > SMALL * size
    if not under or not top[0].left - 5 * size < following.left < top[-1].right:
        return [Run(run, base_y, size)]
    main = run[:i]
    while main[-1].text == " ":
        main.pop()
    return [Run(main, base_y, size), Run(top, top[0].y, top[0].size)]


def _line(run: Run) -> Line:
    glyphs, y, base_size = run
    sizes: dict[float, int] = {}
    for glyph in glyphs:
        if glyph[0] != " ":
            sizes[glyph.size] = sizes.get(glyph.size, 0) + len(glyph[0])
    largest = max(sizes)
    if largest < SMALL * base_size:  # the line that it was to be part of began anew
        y, base_size = next(glyph.y for glyph in glyphs if glyph.size == largest and glyph[0] != " "), largest
    # A larger number at its front does not make a line of another size, nor do the scripts in it.
    size = max((size for size in sizes if size >= SMALL * base_size), key=sizes.__getitem__)
    text = negated(read_line(glyphs, y, base_size))
    return Line(text, min(map(_LEFT, glyphs)), max(map(_RIGHT, glyphs)), y, size)


def _with_initials(found: list[Line]) -> list[Line]:
    """The lines with a chapter's large first letter put before the line that it begins."""
    out: list[Line] = []
    for line in found:
        initial = out[-1] if out else None
        if (
            initial is not None
            and len(initial.text) == 1
            and initial.text.isupper()
            and initial.size > 1.9 * line.size
            and initial.y - 0.5 * line.size < line.y < initial.y + initial.size
            and 0 <= line.left - initial.right < line.size
        ):
            line = line._replace(text=initial.text + line.text, left=initial.left)
            out.pop()
        out.append(line)
    return out


def _with_fractions(found: list[Line]) -> list[Line]:
    """The lines, with `(a)/(b)` for a numerator over a denominator beside the line they belong to."""
    out: list[Line] = []
    queue = found[::-1]
    while queue:
        top = queue.pop()
        under = queue[-1] if queue else None
        if under is None or not _stacked(top, under):
            out.append(top)
            continue
        left, right = min(top.left, under.left), max(top.right, under.right)
        before = out[-1] if out and _beside(out[-1], top, under) and out[-1].right <= left + 0.5 * top.size else None
        after = queue[-2] if len(queue) > 1 and _beside(queue[-2], top, under) else None
        if after is not None and after.left < right - 0.5 * top.size:
            after = None
        anchor = before or after
        if anchor is None:
            out.append(top)
            continue
        queue.pop()
        text = f"({top.text})/({under.text})"
        if before is not None:
            out.pop()
            text, left = f"{before.text} {text}", before.left
        if after is not None:
            queue.pop()
            text += after.text if after.text[0] in ".,;:)" else f" {after.text}"
            right = after.right
        # Back into the queue's front: the line may go on with another fraction.
        out.append(Line(text, left, right, anchor.y, anchor.size))
    return out


def _stacked(top: Line, under: Line) -> bool:
    size = max(top.size, under.size)
    middle = (top.left + top.right - under.left - under.right) / 2
    return 0.8 * size < top.y - under.y < 2.1 * size and abs(middle) < 0.6 * size


def _beside(line: Line, top: Line, under: Line) -> bool:
    return under.y + 0.25 * under.size < line.y < top.y - 0.25 * top.size
