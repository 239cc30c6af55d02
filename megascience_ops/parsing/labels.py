"""Labels such as `Question:` at the start of a line, in all the markdown that models put around them."""

import re
from functools import cache
from typing import NamedTuple

from megascience_ops.errors import Unparsed

_SPACE = r"[ \t\u00a0\u3000\ufeff\u200b]"
# What markdown puts before a label: quotes, headings, emphasis, bullets, and the space between them.
_MARK = r"[ \t\u00a0\u3000\ufeff\u200b>#*_`+\-•]"
_LIST_NUMBER = r"\(?\d{1,4}[.)]"
_EMPHASIS = "*_`"

_THINKING = re.compile(
    r"(?P<open>^[ \t]*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]))"
    r"|</(?:think|thinking|thought|reasoning)>|\[/THINK\]",
    re.MULTILINE | re.IGNORECASE,
)
RULE = re.compile(r"[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*")  # a horizontal rule between two pairs


class Section(NamedTuple):
    """One label and the text below it, as far as the next label."""

    name: str  # lower case, as asked for
    number: str | None  # of `Question 3:`; the number of a list item is not one
    text: str


def spoken(text: str) -> str:
    """The answer proper: line ends made `\\n`, and what a reasoning model thought before it taken away.

    Raises `Unparsed`: `unfinished` where a block of thinking never closes, `empty` where nothing was said.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if marks := list(_THINKING.finditer(text)):
        if marks[-1]["open"]:
            raise Unparsed("unfinished", "a block of thinking was opened and not closed")
        text = text[marks[-1].end() :]
    text = text.strip("\ufeff\u200b \t\n")
    if not text or text.isspace():
        raise Unparsed("empty", "nothing was said")
    return text


def sections(text: str, *names: str, numbered: bool = False) -> list[Section]:
    """Every line of `text` that starts with one of the labels `names`, with what follows it.

    A label is bounded and ends in a colon (also full-width, also with emphasis around either). A heading or a
    line in emphasis needs no colon, nor does a label of two words that has a line to itself. Text before the
    first label is nobody's. `numbered` lets a number stand between the name and the colon.
    """
    found = [m for m in _pattern(names, numbered).finditer(text) if m["colon"] or _stands_alone(m)]
    ends = [*(m.start() for m in found), len(text)][1:]
    return [
        Section(" ".join(m["name"].lower().split()), m["number"], _value(m, text[m.end() : end]))
        for m, end in zip(found, ends, strict=True)
    ]


def line(text: str) -> str:
    """The first line of `text` that is not blank, stripped; empty when there is none."""
    return text.strip().partition("\n")[0].strip()


def quoted(text: str, length: int = 160) -> str:
    """The start of what was said, on one line, for the detail of an `Unparsed`."""
    return repr(text if len(text) <= length else text[:length] + "…")


@cache
def _pattern(names: tuple[str, ...], numbered: bool) -> re.Pattern[str]:
    # Possessive quantifiers throughout: a line of a hundred thousand asterisks is read once.
    name = "|".join(name.replace(" ", rf"{_SPACE}{{1,4}}") for name in names)
    final = "" if numbered else rf"(?:final{_SPACE}{{1,4}})?"
    part = r"(?: ?\([a-z]{1,4}\)|[a-z])?"
    count = rf"(?P<number>\d{{1,4}}(?:\.\d{{1,3}}){{0,3}}{part})"
    number = rf"(?:{_SPACE}*+(?:no\.|\#)?{_SPACE}*+\(?{count}\)?)?"
    return re.compile(
        rf"^(?P<lead>{_MARK}*+(?:{_LIST_NUMBER}{_MARK}*+)?)"
        rf"{final}(?P<name>{name})(?![a-z_]){number if numbered else '(?P<number>(?!))?'}"
        rf"{_SPACE}*+(?P<closed>[*_`]*+){_SPACE}*+(?:(?P<colon>[:：])|\#*+{_SPACE}*+$)",
        re.MULTILINE | re.IGNORECASE | re.ASCII,
    )


def _stands_alone(label: re.Match[str]) -> bool:
    """Whether a label without a colon is plainly one: it has the line to itself already."""
    lead = label["lead"]
    return "#" in lead or bool(_opened(lead)) or " " in label["name"].strip()


def _opened(lead: str) -> str:
    """The emphasis that begins right at the label: `**` in `1. **Question`."""
    return lead[len(lead.rstrip(_EMPHASIS)) :]


def _value(label: re.Match[str], text: str) -> str:
    """What follows a label, without the emphasis that belongs to the label and without rules at the end."""
    opened = _opened(label["lead"])
    if label["closed"]:
        opened = ""
    run = text[: len(text) - len(text.lstrip(_EMPHASIS))]
    if opened and run.startswith(opened):
        text, opened = text[len(opened) :], ""
    elif run and (run == text or text[len(run)].isspace()):
        text = text[len(run) :]  # emphasis before a space closes, it cannot open
    if len(opened) > 1:  # `**Question: What is x?**`
        text = text.replace(opened, "", 1)
    lines = text.strip().split("\n")
    while lines and (not lines[-1].strip() or RULE.fullmatch(lines[-1])):
        lines.pop()
    return _plain("\n".join(lines).strip())


def _plain(value: str) -> str:
    """`value` without emphasis around the whole of it."""
    for mark in ("**", "__"):
        inner = value[2:-2]
        if len(value) > 4 and value.startswith(mark) and value.endswith(mark) and mark not in inner:
            return inner.strip()
    return value
