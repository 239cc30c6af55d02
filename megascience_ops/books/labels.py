"""What a printed line announces: an example, an exercise, a question, a solution, an answer, a numbered item."""

import re
from functools import lru_cache
from typing import NamedTuple


class Mark(NamedTuple):
    """A line read as the beginning of something: what it is, its printed number, and the text after the label."""

    kind: str
    label: str
    rest: str
    level: int


NUMBER = r"\d{1,3}(?:[.\-–]\d{1,3}){0,3}"
_MARKUP = re.compile(r"^(?:>\s*)?(#{1,6})\s+")
_MARKED = tuple("#>*_")
_EMPHASIS = re.compile(r"^(\*\*|__|\*|_)(?=\S)(.{1,90}?)(?<=\S)\1(?!\w)")

_EXAMPLE = re.compile(
    rf"(?:(?:worked|solved|sample|illustrative)\s+)?(?:example|problem example|illustration)"
    rf"(?:\s+({NUMBER}[a-z]?|[A-Z]\d{{0,2}}(?:\.\d+)*))?\s*(?P<sep>[.:)\]—–-]|\||$)?\s*(?P<rest>.*)$",
    re.I | re.S,
)
_SOLUTION = re.compile(
    r"(?:(?:worked|model|sample|full)\s+)?solutions?"
    r"(?P<part>\s+(?:(?:for|to|of)\s+)?(?:parts?\s*)?\(?[a-z]\)(?:\s*(?:and|,)\s*\(?[a-z]\))*)?"
    r"(?P<what>\s+for\s+[A-Z\d][^.?!]{0,50}$)?\s*(?P<sep>[.:—–]|$)?\s*(?P<rest>.*)$",
    re.I | re.S,
)
_ANSWER = re.compile(
    rf"(?:(?:correct|final|short|model)\s+)?(?:answer|ans)(?:\s+(?:to\s+)?(?:question\s+|exercise\s+)?({NUMBER}))?"
    r"\s*(?P<sep>[.:—–)]|$)?\s*(?P<rest>.*)$",
    re.I | re.S,
)
_STEP = re.compile(
    r"(?P<name>strategy|approach|plan|set ?up|analysis|analyze|evaluate|assess|discussion|significance|check|comment"
    r"|remark|strategy and (?:concept|solution)|discussion and implications|explanation|reasoning|hint)"
    r"(?P<part>\s+(?:for|to|of)\s+(?:part\s+)?\(?[a-z]\))?\s*(?P<sep>[.:]|$)\s*(?P<rest>.*)$",
    re.I | re.S,
)
_QUESTION = re.compile(
    rf"(?P<word>question|review question|q\.?|q(?=\d)|exercise|problem|practice problem|practice|guided practice|try it"
    rf"|self-check|checkpoint|quick check|concept check|your turn|check your understanding|check your learning)"
    rf"(?:\s*(?P<label>{NUMBER}[a-z]?))?\s*(?P<sep>[.:)\]—–-]|$)?\s*(?P<rest>.*)$",
    re.I | re.S,
)
_PRACTICE = re.compile(
    r"check your (?:understanding|learning)|guided practice|try it|your turn|self-check|practice", re.I
)
_ITEM = re.compile(rf"(?:\(?({NUMBER})(?:[.)]\)?|:)(?=\s|$|\()|\[({NUMBER})\]|({NUMBER})(?=\s+\S))\s*(.*)$", re.S)
_WORDS = re.compile(
    r"worked|solved|sample|illustrat|example|problem|solution|model|full|correct|final|short|ans|strategy|approach|plan"
    r"|set|analy[sz]|evaluate|assess|discussion|significance|check|comment|remark|explanation|reasoning|hint|question"
    r"|review|q|exercise|practice|guided|try|self|quick|concept|your",
    re.I,
)
_NOTES = tuple("^[0123456789")
_NUMBERS = tuple("([0123456789")
_OPTION = re.compile(r"(?:\(([A-Ha-h])\)|([A-Ha-h])[.)])\s+(?=\S)")
_FOOTNOTE = re.compile(r"(?:\^\{(\d{1,3})\}\s*|\[\^(\d{1,3})\]:\s*|(\d{1,2})(?=[A-Z(“\"]))(\S.*)$", re.S)


def announces(text: str) -> bool:
    """Whether a line begins with a word by which anything is labelled. Most do not, and are soon told."""
    return bool(_WORDS.match(text))


@lru_cache(8192)  # a line is read again by those before it
def bare(line: str) -> str:
    """Give the line without Markdown heading marks and without emphasis round its first words."""
    text = line.strip()
    if text[:1] in _MARKED:
        text = _EMPHASIS.sub(r"\2", _MARKUP.sub("", text), count=1).strip()
    return text


def heading_depth(line: str) -> int:
    """Give the number of Markdown heading marks, 0 for a plain line."""
    found = _MARKUP.match(line.strip()) if "#" in line else None
    return len(found.group(1)) if found else 0


def example(text: str) -> Mark | None:
    """Read `Example 2.3 Title`, `EXAMPLE`, `Worked Example 4: ...`; a sentence that cites an example is none."""
    return _labelled(_EXAMPLE.match(text), "example", 1)


def question(text: str) -> Mark | None:
    """Read `Question 4`, `Q1.`, `Exercise 3.4: ...`, `Check Your Understanding`."""
    found = _QUESTION.match(text)
    if not found:
        return None
    word = found.group("word").lower()
    kind = "exercise" if word in ("exercise", "problem", "practice problem") else "question"
    if not found.group("label") and not (
        _PRACTICE.fullmatch(word) or found.group("sep") in (":", ".", "") and word != "problem"
    ):
        return None
    if not found.group("label") and word in ("practice", "exercise") and found.group("rest"):
        return None
    return _labelled(found, kind, "label")


def _labelled(found: re.Match[str] | None, kind: str, group: int | str) -> Mark | None:
    if found is None:
        return None
    label, sep, rest = found.group(group) or "", found.group("sep"), found.group("rest")
    if not label and sep is None:
        return None
    if not sep and re.match(r"[a-z,;]|\(?(?:see|cont)", rest):
        return None  # "Example 3.5 provides ..." speaks about an example
    if not label and sep not in (":", ".", "", "|"):
        return None
    return Mark(kind, label.replace("–", "-"), rest, 2)


def solution(text: str, *, expected: bool) -> Mark | None:
    """Read `Solution`, `Solution: ...`, `Solution for (a)`; run-in text only where a question is `expected` to end."""
    found = _SOLUTION.match(text)
    if not found:
        return None
    part, what = found.group("part") or "", found.group("what") or ""
    if not (
        found.group("sep") is not None or part or what or (expected and re.match(r"[A-Z(\d∆Δ$\\]", found.group("rest")))
    ):
        return None
    letters = re.findall(r"\(?([a-z])\)", part)
    return Mark("solution", ",".join(letters), found.group("rest"), 0)


def answer(text: str, *, expected: bool) -> Mark | None:
    """Read `Answer`, `Answer: ...`, `Ans. 4`; run-in text only where an answer is `expected`."""
    found = _ANSWER.match(text)
    if not found:
        return None
    rest = found.group("rest")
    if found.group("sep") is None and not (expected and re.match(r"[A-Z(\d$\\−-]", rest)):
        return None
    return Mark("answer", found.group(1) or "", rest, 0)


def step(text: str) -> Mark | None:
    """Read the heads inside a worked example: Strategy, Discussion, Check."""
    found = _STEP.match(text)
    if not found:
        return None
    return Mark("step", found.group("name").lower(), found.group("rest"), 0)


def alone(text: str) -> bool:
    """Say whether a line is a head inside a worked example and nothing else: `Solution`, `Discussion for (a)`."""
    return bool(re.fullmatch(r"(?:Strategy|Solution|Discussion|Significance)(?: for \([a-z]\))?:?", text))


@lru_cache(8192)
def item(text: str) -> Mark | None:
    """Read a numbered item: `12. ...`, `12) ...`, `(12) ...`, `3.4 ...`, `1.1.104: ...`."""
    if text[:1] not in _NUMBERS:
        return None
    found = _ITEM.match(text)
    if not found:
        return None
    label = found.group(1) or found.group(2) or found.group(3)
    if found.group(3) and not re.search(r"[.\-–]", label):
        return None  # a bare number that begins a line is a number
    return Mark("item", label.replace("–", "-"), found.group(4), 2)


def option(text: str) -> str | None:
    """Give the letter of a multiple-choice option, in capitals."""
    found = _OPTION.match(text)
    return (found.group(1) or found.group(2)).upper() if found else None


def footnote(text: str) -> Mark | None:
    """Read a footnote as it is printed: `^{4} Text`, `4Text`, `[^4]: Text`."""
    found = _FOOTNOTE.match(text) if text[:1] in _NOTES else None
    if not found:
        return None
    return Mark("footnote", found.group(1) or found.group(2) or found.group(3), found.group(4), 0)


@lru_cache(8192)
def order(label: str) -> tuple[int, ...]:
    """Give the numbers of a label, so that labels can be compared; letters are left out."""
    return tuple(int(part) for part in re.findall(r"\d+", label))
