r"""Boxed answers: `\boxed{...}` by balanced braces, the distilled solution, the reference answer."""

import re
from typing import NamedTuple

from megascience_ops.errors import Unparsed
from megascience_ops.parsing.labels import quoted, sections, spoken
from megascience_ops.parsing.units import is_unit

_DOUBLED = re.compile(r"(?<!\\)(?:\\\\)++boxed(?![A-Za-z])")  # an even run of backslashes escapes the escape
_TOKEN = re.compile(r"(?P<box>\\boxed[ \t\n]{0,4}\{)|\\.|(?P<brace>[{}])", re.DOTALL)
_BLANK = re.compile(r"(?:[\s~.…]|\\(?:[,;:!\s]|quad|qquad|[lc]?dots|text\{\s*\}|square(?![a-z])))*+")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_NO_UNIT = r"(?:is|are|as|and|or|for|if|in|where|when|which|because|so)\b"
_TAIL = re.compile(  # a unit in the formula, right behind the box
    rf"(?:(?:\\[,;! ]|[ \t~])*(?:\\(?:text|mathrm)\{{(?! *{_NO_UNIT} )[^{{}}\n]{{1,40}}\}}(?:\^\{{?-?\d\}}?)?"
    r"|\\%|\^\{?\\circ\}?))+"
)
_REST_OF_LINE = re.compile(r"[ \t.*_]*+(?:\n|\Z)")
_PLAIN_TAIL = re.compile(r"[ \t]*\$?[ \t]*(?P<unit>[^\s$][^\n$]{0,40}?)\.?[ \t]*(?:\n|\Z)")
_NONE = re.compile(r"[*_`$]*+(?:\[NONE\]|\\\[NONE\\\]|(?-i:NONE)[*_.`]*+$)", re.IGNORECASE)
_AFTERWORD = re.compile(
    r"^[ \t>#*_(]{0,8}(?:Notes?|Explanation|Analysis|Reasoning|Justification)[*_]{0,3}[:：]",
    re.MULTILINE | re.I,
)


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` that is not empty, stripped; None when there is none.

    Braces are balanced, `\{` and `\}` are no braces, a box that never closes is no box, and of a box in a box
    the inner content counts.
    """
    return next((box.content for box in reversed(_boxes(mended(text))) if not _is_blank(box.content)), None)


def mended(text: str) -> str:
    r"""`text` with `\\boxed` as `\boxed`; a line break before a box (`\\\boxed`) stays."""
    return _DOUBLED.sub(lambda _: r"\boxed", text)


def without_empty_boxes(text: str) -> str:
    r"""`text` without its empty boxes and the `$` around them; every other line break stands.

    A line on which nothing else stood goes with its box. Doubled backslashes before other boxes are mended.
    """
    text = mended(text)
    kept: list[str] = []
    at = 0
    for box in _boxes(text):
        if not _is_blank(box.content) or box.start < at:
            continue
        start, end = _with_delimiters(text, box.start, box.end)
        if rest := _REST_OF_LINE.match(text, end):
            line_start = start
            while line_start and text[line_start - 1] in " \t.*_":
                line_start -= 1
            if line_start == 0 or text[line_start - 1] == "\n":
                start, end = line_start, rest.end()
                if text.startswith("\n\n", start - 2) and text.startswith("\n", end):
                    end += 1
        kept.append(text[at : max(start, at)])
        at = end
    return "".join([*kept, text[at:]]).strip() if kept else text


def unboxed(text: str) -> str:
    """`text` with every box replaced by what it holds, and without delimiters around the whole."""
    text = mended(text)
    pieces, at = [], 0
    for box in _boxes(text):
        if not _is_blank(box.content):
            pieces += [text[at : box.start], box.content]
            at = box.end
    value = without_empty_boxes("".join([*pieces, text[at:]])).strip()
    for opening, closing in _DELIMITERS:
        inner = value[len(opening) : -len(closing)]
        wraps = value.startswith(opening) and value.endswith(closing) and len(value) > len(opening + closing)
        if wraps and opening not in inner and closing not in inner:
            return inner.strip()
    return value


def solution(text: str) -> str:
    r"""A solution that ends in a box: what was said, with `\\boxed` mended.

    Raises `Unparsed`: `no_box`, `empty_box` (the last box holds nothing), `empty`, `unfinished`.
    """
    text = mended(spoken(text))
    found = _boxes(text)
    if not found:
        raise Unparsed("no_box", "the solution has no closed \\boxed{}")
    if _is_blank(found[-1].content):
        raise Unparsed("empty_box", "the last box of the solution is empty")
    return text


def reference_answer(text: str) -> str | None:
    r"""What the last `Reference Answer:` says, or the box when there is no such label; None for `[NONE]`.

    Boxes and the delimiters around a whole formula are taken off; a unit after a box stays with it. Raises
    `Unparsed`: `no_reference_answer`, `empty_answer`, `several_boxes`, `unclear_none`, `empty`, `unfinished`.
    """
    text = spoken(text)
    found = sections(text, "reference answer")
    if not found:
        return _boxed_answer(mended(text))
    value = mended(found[-1].text)
    if _NONE.match(value):
        return None
    if afterword := _AFTERWORD.search(value):
        value = value[: afterword.start()].rstrip()
    boxes = [box for box in _boxes(value) if not _is_blank(box.content)]
    value = _with_unit(value, boxes[0]) if len(boxes) == 1 else unboxed(value)
    if not value or value in ("...", "…"):
        raise Unparsed("empty_answer", "nothing is said after Reference Answer:")
    if value.strip(".*_`\"'").lower() == "none":
        raise Unparsed("unclear_none", "None may be the answer, or say that there is none")
    return value


def _boxed_answer(text: str) -> str:
    boxes = [box for box in _boxes(text) if not _is_blank(box.content)]
    if not boxes:
        raise Unparsed("no_reference_answer", "no line starts with Reference Answer: and there is no box")
    if len({box.content for box in boxes}) > 1:
        raise Unparsed("several_boxes", quoted(" | ".join(box.content for box in boxes)))
    return _with_unit(text, boxes[-1])


def _with_unit(text: str, box: _Box) -> str:
    """The content of a box, and the unit that stands right behind it."""
    if tail := _TAIL.match(text, box.end):
        return box.content + tail[0]
    if (tail := _PLAIN_TAIL.match(text, box.end)) and is_unit(tail["unit"]):
        return f"{box.content} {tail['unit']}"
    return box.content


def _boxes(text: str) -> list[_Box]:
    """Every closed box that is in no other, in order; found in one pass."""
    found: list[_Box] = []
    opened: list[tuple[int, int] | None] = []  # per open brace: where its box and its content start, if any
    for token in _TOKEN.finditer(text):
        if token["box"]:
            opened.append((token.start(), token.end()))
        elif token["brace"] == "{":
            opened.append(None)
        elif token["brace"] and opened and (box := opened.pop()):
            start, content = box[0], text[box[1] : token.start()].strip()
            inner = None
            while found and found[-1].start > start:
                inner = found.pop()
            if inner and len(content) == inner.end - inner.start:  # a box that holds nothing but a box
                content = inner.content
            found.append(_Box(start, token.end(), content))
    return found


def _is_blank(content: str) -> bool:
    return _BLANK.fullmatch(content) is not None


def _with_delimiters(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the formula delimiters right around it, where there are any."""
    left, right = text[max(0, start - 8) : start], text[end : end + 8]
    for opening, closing in _DELIMITERS:
        if left.rstrip().endswith(opening) and right.lstrip().startswith(closing):
            start -= len(left) - len(left.rstrip()) + len(opening)
            return start, end + len(right) - len(right.lstrip()) + len(closing)
    return start, end
