"""What a printed line announces: a chapter, an example, an exercise, a solution, a list of answers."""

import re
from typing import NamedTuple


class Mark(NamedTuple):
    """A line read as the beginning of something: what it is, its printed number, and the text after the label."""

    kind: str
    label: str
    rest: str
    level: int


NUMBER = r"\d{1,3}(?:[.\-–]\d{1,3}){0,3}"
_END = re.compile(r"[.!?:;,]\s*$")
_MARKUP = re.compile(r"^(?:>\s*)?(#{1,6})\s+")
_EMPHASIS = re.compile(r"^(\*\*|__|\*|_)(?=\S)(.{1,90}?)(?<=\S)\1(?!\w)")

_CHAPTER = re.compile(r"(?:chapter|unit|part|lecture|module)\s+(\d{1,3}|[IVXL]{1,6}|[A-Z])\b[.:\s—–-]*(.{0,90})$", re.I)
_APPENDIX = re.compile(r"appendix(?:\s+([A-Z]|\d{1,2}))?\b[.:\s—–-]*(.{0,90})$", re.I)
_SECTION = re.compile(r"(?:§\s*|section\s+)?(\d{1,2}(?:\.\d{1,2}){1,3})\.?\s+(\S.{1,90})$", re.I)
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
    r"(?P<name>strategy|approach|plan|set ?up|analysis|analyze|evaluate|assess|discussion|significance|check|comment|remark"
    r"|strategy and (?:concept|solution)|discussion and implications|explanation|reasoning|hint)"
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
_OPTION = re.compile(r"(?:\(([A-Ha-h])\)|([A-Ha-h])[.)])\s+(?=\S)")
_FOOTNOTE = re.compile(r"(?:\^\{(\d{1,3})\}\s*|\[\^(\d{1,3})\]:\s*|(\d{1,2})(?=[A-Z(“\"]))(\S.*)$", re.S)

_EXERCISE_WORDS = frozenset(
    [
        "exercise",
        "exercises",
        "problem",
        "problems",
        "question",
        "questions",
        "review",
        "practice",
        "conceptual",
        "concept",
        "critical",
        "thinking",
        "self",
        "check",
        "self-check",
        "additional",
        "further",
        "chapter",
        "section",
        "end",
        "of",
        "end-of-chapter",
        "homework",
        "discussion",
        "and",
        "&",
        "for",
        "quiz",
        "test",
        "multiple",
        "choice",
        "multiple-choice",
        "true",
        "false",
        "true/false",
        "or",
        "fill",
        "in",
        "the",
        "blank",
        "blanks",
        "fill-in-the-blank",
        "short",
        "answer",
        "matching",
        "study",
        "challenge",
        "test",
        "your",
        "understanding",
    ]
)
_EXERCISE_NOUNS = re.compile(
    r"exercises?$|problems?$|questions?$|quiz|choice|true|blanks?|practice|review questions", re.I
)
_KEY_WORDS = frozenset(
    [
        "answer",
        "answers",
        "key",
        "keys",
        "solution",
        "solutions",
        "to",
        "the",
        "for",
        "of",
        "all",
        "selected",
        "odd",
        "even",
        "odd-numbered",
        "even-numbered",
        "numbered",
        "exercise",
        "exercises",
        "problem",
        "problems",
        "question",
        "questions",
        "chapter",
        "section",
        "review",
        "appendix",
        "and",
        "&",
        "hints",
        "practice",
        "end",
        "check",
        "your",
        "understanding",
        "self-check",
        "quiz",
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
    ]
)
_KEY_NOUNS = re.compile(r"\banswers\b|\bsolutions\b|\banswer keys?\b", re.I)
REGIONS = {
    "front_matter": re.compile(
        r"(?:brief |table of |detailed )?contents|preface|foreword|acknowledge?ments?|copyright(?: page)?|about the authors?",
        re.I,
    ),
    "bibliography": re.compile(
        r"references|bibliography|works cited|further reading|suggested reading|notes and references", re.I
    ),
    "index": re.compile(r"(?:subject |author |alphabetical )?index(?: of terms)?", re.I),
    "glossary": re.compile(r"glossary|key terms|key equations|list of symbols", re.I),
    "summary": re.compile(
        r"(?:chapter |section )?(?:summary|review|recap)|key concepts(?: and summary)?|key (?:points|ideas|takeaways)",
        re.I,
    ),
}


def bare(line: str) -> str:
    """Give the line without Markdown heading marks and without emphasis round its first words."""
    text = _MARKUP.sub("", line.strip())
    text = _EMPHASIS.sub(r"\2", text, count=1)
    return text.strip()


def heading_depth(line: str) -> int:
    """Give the number of Markdown heading marks, 0 for a plain line."""
    found = _MARKUP.match(line.strip())
    return len(found.group(1)) if found else 0


def region_of(text: str) -> str | None:
    """Say which part of a book a heading opens: exercises, answer_key, index, ...; None for any other line."""
    head = re.sub(rf"^(?:{NUMBER}\.?\s+)", "", text.strip()).strip(" .:")
    if not head or len(head) > 70:
        return None
    for region, pattern in REGIONS.items():
        if pattern.fullmatch(head):
            return region
    words = [word for word in re.split(r"[\s,:]+", head.lower()) if word and not re.fullmatch(NUMBER, word)]
    if len(words) > 8:
        return None
    if _KEY_NOUNS.search(head) and all(word in _KEY_WORDS for word in words):
        return "answer_key"
    if words and _EXERCISE_NOUNS.search(" ".join(words)) and all(word in _EXERCISE_WORDS for word in words):
        plural = words[-1].endswith("s") or len(words) > 1 or words[0] == "quiz"
        return "exercises" if plural and not _PRACTICE.fullmatch(" ".join(words)) else None
    return None


def chapter(text: str) -> Mark | None:
    """Read `Chapter 3 Title`, `Appendix B`."""
    if len(text) > 110 or re.search(r"\.{3,}|(?:\. ){3,}", text) or text.rstrip().endswith((".", ",", ";")):
        return None
    if found := _CHAPTER.match(text):
        rest = found.group(2)
        if rest and not re.match(r"[^a-z]", rest):
            return None
        return Mark("chapter", found.group(1), rest, 5)
    if (found := _APPENDIX.match(text)) and (found.group(1) or not found.group(2)):
        return Mark("chapter", f"Appendix {found.group(1) or ''}".strip(), found.group(2), 5)
    return None


def section(text: str) -> Mark | None:
    """Read `2.3 Title`: a short line that is no sentence."""
    found = _SECTION.match(text)
    if not found:
        return None
    title = found.group(2)
    if _END.search(title) or len(title.split()) > 12 or not re.match(r"[A-Z“\"(]", title) or "=" in title:
        return None
    if not re.search(r"[A-Za-z]{3}", title) or re.search(r"\s\d{1,4}$", title):
        return None
    return Mark("section", found.group(1), title, 4)


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


def item(text: str) -> Mark | None:
    """Read a numbered item: `12. ...`, `12) ...`, `(12) ...`, `3.4 ...`, `1.1.104: ...`."""
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
    found = _FOOTNOTE.match(text)
    if not found:
        return None
    return Mark("footnote", found.group(1) or found.group(2) or found.group(3), found.group(4), 0)


_RUNNING = re.compile(
    r"(?:thus|therefore|hence|where|and|so|then|or|if|now|because|since|this|these|that|it|we|let|note|given|using|finally|first"
    r"|substitut\w*|solving|rearranging|entering|from|for example|similarly|also|but|as|with|is|are|which|when)\b",
    re.I,
)


def title(text: str) -> bool:
    """Say whether a paragraph of one line looks like an unnumbered heading."""
    words = text.split()
    if not 1 <= len(words) <= 10 or _END.search(text) or len(text) > 80:
        return False
    if (
        not re.match(r"[A-Z“\"]", text)
        or _RUNNING.match(text)
        or re.search(r"[=<>≈→∑∫√+×|\\]|\d\s*$|\^\{|_\{|\b[A-Za-z]\(", text)
    ):
        return False
    return bool(re.search(r"[A-Za-z]{4}", text)) and sum(len(word) for word in words if word.isalpha()) * 2 >= len(text)


def order(label: str) -> tuple[int, ...]:
    """Give the numbers of a label, so that labels can be compared; letters are left out."""
    return tuple(int(part) for part in re.findall(r"\d+", label))
