"""From lines to paragraphs: what flows on, what stands on its own line, where a new paragraph begins."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from megascience_ops.books.assemble import Line
from megascience_ops.books.symbols import HYPHEN

_LABEL = re.compile(
    r"(?:example|exercise|problem|question|theorem|lemma|definition|proposition|corollary|proof|solution|answer|"
    r"strategy|discussion|significance|remark|hint|checkpoint|check your (?:learning|understanding)|try it|"
    r"guided practice|figure|table|chapter|section|appendix|part)s?(?: key)?(?:\s+[\dA-Z][\w.\-]*)?"
    r"(?:$|\s*[.:)]|\s+[A-Z(])",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?:\(?\d{1,3}(?:\.\d{1,3})*[.)]|\ufffd{1,3}[.)]|\d{1,2}\.\d{1,3}|\(?[a-h][.)]|\([a-zA-Z]\)|\(?[ivx]{1,5}[.)]|[A-H][.)]|[•▪‣–➢✓◦■▶*-])"
    r"\s+(?=\S)"
)
_NUMBER = re.compile(r"(\d{1,3})[.)] ")
_ENDED = re.compile(r"[.?!:;][)\]”’\"'}]*$")
_PROSE_END = re.compile(r"[a-z] [^\W\d_]+[,;:.)\-\u00ad]?$")  # a table's row ends with a number or a lone letter
_PART = re.compile(r"\(([b-h])\) ")
_ROW = re.compile(r"^.{0,60}[ $]\d[\d.,]*%?$")  # as a table's rows end
_WORD = re.compile(r"\S+")
_LETTERS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_OPEN_END = re.compile(r"\w[/–—]$")  # "g/" and "mol", "Frank–" and "Starling": broken at a sign that stands close
_TAIL = re.compile(r"([^\W\d_]+)$")
_HEAD = re.compile(r"[^\W\d_]+")
_PARAGRAPH = "\n\n"
# First parts of words that are written in one: "some-thing" at a line's end is no compound.
_CLOSED = frozenset(
    re.findall(
        r"\w+",
        "some any every with how when what where who there here under over out up down in on for through back "
        "hand mean off inter super trans sub non pre re un dis mis be to other never noth any rain sun day fore "
        "after before photo electro thermo micro macro semi auto",
    )
)


def vocabulary(lines: Iterable[Line]) -> set[str]:
    """The words of a book, and its compounds with their hyphens: what a word cut at a line's end is looked up in."""
    words: set[str] = set()
    for line in lines:
        found = _LETTERS.findall(line.text.casefold())
        words.update(found[:-1] if line.text.endswith((HYPHEN, "-")) else found)
    return words


def paragraphs(page: list[Line], words: Collection[str] = ()) -> str:
    """The page's text: paragraphs parted by a blank line, their lines joined by a space; lists, labels,
    headings and displayed lines keep a line of their own. `words` is the book's vocabulary."""
    if not page:
        return ""
    size = _middle(line.size for line in page)
    edges = _right_edges(page)
    leading = _leading(page, edges, size)
    out = [page[0].text]
    start = page[0]  # the first line of the paragraph that is being read
    for a, b, edge in zip(page, page[1:], edges, strict=False):
        joint = _joint(start, a, b, size, leading, edge)
        if joint == "\n" and _in_line(out[-1], b.text) and _full(a, b, edge):
            joint = " "
        if joint == " ":
            out[-1] = _joined(out[-1], b.text, words)
        else:
            out += [joint, b.text]
            start = b
    return "".join(part.replace(HYPHEN, "-") for part in out)


def _leading(page: list[Line], edges: list[float], size: float) -> float:
    """The distance of lines within a paragraph, in points: after a full line the paragraph goes on."""
    steps = [(a.y - b.y, a.right > edge - size) for a, b, edge in zip(page, page[1:], edges, strict=False)]
    steps = [(step, full) for step, full in steps if 0.7 * size < step < 3 * size]
    full = [step for step, is_full in steps if is_full]
    if len(full) > 2:
        return _middle(full)
    return min((step for step, _ in steps), default=1.3 * size)


def _right_edges(page: list[Line]) -> list[float]:
    """For each line, how far to the right its paragraph may reach, in points: as far as the lines of its column
    do, or no farther than itself when neighbours end at the very same place, as beside a picture."""
    edges: dict[tuple[int, int], float] = {}
    out = []
    for i, line in enumerate(page):
        key = (round(line.left / 8), round(line.right / 40))
        if key not in edges:
            column = [o.right for o in page if o.left < line.right and o.right > line.left and o.left > line.left - 60]
            edges[key] = _nearly_all(column) if len(column) > 3 else max(column, default=line.right)
        edge = edges[key]
        if line.right < edge and line.right - line.left > 12 * line.size and _PROSE_END.search(line.text):
            near = page[max(0, i - 5) : i + 6]
            same = sum(abs(o.right - line.right) < 0.8 and abs(o.left - line.left) < 3 * line.size for o in near)
            edge = line.right if same > 2 else edge
        out.append(edge)
    return out


def _middle(values: Iterable[float]) -> float:
    """The lower median."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _nearly_all(values: list[float]) -> float:
    """What 19 of 20 values do not exceed, between two of them: as `statistics.quantiles(values, n=20)` ends."""
    values = sorted(values)
    place = min(19 * (len(values) + 1) // 20, len(values) - 1)
    part = 19 * (len(values) + 1) - 20 * place
    return (values[place - 1] * (20 - part) + values[place] * part) / 20


def _joint(start: Line, a: Line, b: Line, size: float, leading: float, edge: float) -> str:
    """What stands between two lines: a space, a line break, or a blank line. `start` began a's paragraph."""
    if a.aside or b.aside:
        return _PARAGRAPH
    gap, em = a.y - b.y, a.size
    like = abs(a.size - b.size) <= 0.09 * max(a.size, b.size)
    full = _full(a, b, edge)
    open_end = not _ENDED.search(a.text)
    goes_on = full and like and open_end and b.text[:1].islower()
    usual = max(leading, 1.05 * em)
    if gap < -0.5 * em or gap > 12 * em:  # the next column, or something set aside
        return " " if goes_on and b.left > a.left else _PARAGRAPH
    if a.text.endswith(HYPHEN) and like and gap < 1.8 * usual:
        return " "
    if gap > 1.35 * usual:  # a fraction or a raised index may push a paragraph's lines apart
        return " " if goes_on and gap < 1.8 * usual else _PARAGRAPH
    if not like:
        return _PARAGRAPH if max(a.size, b.size) > 1.09 * size and min(a.size, b.size) >= 0.95 * size else "\n"
    if full and open_end and abs(b.left - a.left) < 0.6 * em and a is not start:
        return " "  # a number or a label that the line break brought to the front
    item = _ITEM.match(b.text)
    if item or (b.text[:1].isupper() and _LABEL.match(b.text)):
        if item and _next_item(start, b):
            return "\n"
        inside = full and open_end and b.left < start.left + 4 * em
        return " " if inside and not (item and b.left < start.left - 0.6 * em) else "\n"
    if b.left > a.left + 0.8 * em and not (a is start and _ITEM.match(a.text)):
        return _PARAGRAPH if b.left < a.left + 4 * em else "\n"
    if a.left > b.left + (4 if a is start else 0.8) * em:
        return "\n"
    if full and not (_ROW.search(a.text) and _ROW.search(b.text)):
        return " "
    if (
        open_end
        and a.right > a.left + 0.8 * (edge - a.left)
        and len(a.text) > 40
        and -4 * em < b.left - a.left < 0.6 * em
    ):
        return " "  # what follows is a formula, which is not broken
    return "\n" if a is start or open_end else _PARAGRAPH


def _next_item(start: Line, b: Line) -> bool:
    """Whether a line has the number after that of the paragraph's first line, and stands where that stands."""
    numbers = [_NUMBER.match(line.text) for line in (start, b)]
    if numbers[0] is None or numbers[1] is None:
        return False
    return 0 < int(numbers[1].group(1)) - int(numbers[0].group(1)) < 30 and abs(b.left - start.left) < 0.6 * b.size


def _in_line(said: str, text: str) -> bool:
    """Whether `text` begins with a part, as `(b)`, of which the one before stands in the middle of what was said."""
    part = _PART.match(text)
    return part is not None and f" ({chr(ord(part.group(1)) - 1)}) " in said


def _full(a: Line, b: Line, edge: float) -> bool:
    """Whether the break after `a` was forced: the next word would not have fitted any more."""
    word = _WORD.match(b.text)
    width = (b.right - b.left) * len(word.group() if word else "") / max(len(b.text), 1)
    return a.right + 0.25 * a.size + width > edge - 0.3 * a.size


def _joined(before: str, after: str, words: Collection[str]) -> str:
    if _OPEN_END.search(before):
        return before + after
    if not before.endswith((HYPHEN, "-")):
        return f"{before} {after}"
    tail, head = _TAIL.search(before[:-1]), _HEAD.match(after)
    if tail is None or head is None:
        return before[:-1] + "-" + after
    if not before.endswith(HYPHEN) and not head.group()[0].islower():
        return before + after
    one, two = tail.group().casefold(), head.group().casefold()
    compound = f"{one}-{two}" in words or (one in words and two in words and len(one) > 2 and one not in _CLOSED)
    if compound and one + two not in words:
        return before[:-1] + "-" + after
    return before[:-1] + after
