"""Headings as books print them: chapters, sections, exercises, answer keys, the parts before and after the text."""

import re

from megascience_ops.books.labels import NUMBER, Mark

_RUNNING = re.compile(
    r"(?:thus|therefore|hence|where|and|so|then|or|if|now|because|since|this|these|that|it|we|let|note|given|using|finally|first"
    r"|substitut\w*|solving|rearranging|entering|from|for example|similarly|also|but|as|with|is|are|which|when"
    r"|figure|fig\.|table|photo)\b",
    re.I,
)


_END = re.compile(r"[.!?:;,]\s*$")
_GOES_ON = re.compile(
    r"\b(?:is|are|was|be|that|as|by|to|of|the|an?|and|or|with|from|gives|yields|becomes?|obtain|get|have)$"
)
_CHAPTER = re.compile(r"(?:chapter|unit|part|lecture|module)\s+(\d{1,3}|[IVXL]{1,6}|[A-Z])\b[.:\s—–-]*(.{0,90})$", re.I)
_APPENDIX = re.compile(r"appendix(?:\s+([A-Z]|\d{1,2}))?\b[.:\s—–-]*(.{0,90})$", re.I)
_CHAPTERS = tuple("cuplma")
_SECTIONS = tuple("§sS0123456789")
_SECTION = re.compile(r"(?:§\s*|section\s+)?(\d{1,2}(?:\.\d{1,2}){1,3})\.?\s+(\S.{1,90})$", re.I)
_PRACTICE = re.compile(r"check your (?:understanding|learning)|self-check|practice", re.I)
_EXERCISE_WORDS = frozenset(
    re.findall(
        r"\S+",
        "exercise exercises problem problems question questions review practice conceptual concept critical "
        "thinking self check self-check additional further chapter section end of end-of-chapter homework "
        "discussion and & for quiz test multiple choice multiple-choice true false true/false or fill in the "
        "blank blanks fill-in-the-blank short answer matching study challenge your understanding ",
    )
)
_EXERCISE_NOUNS = re.compile(
    r"exercises?$|problems?$|questions?$|quiz|choice|true|blanks?|practice|review questions", re.I
)
_KEY_WORDS = frozenset(
    re.findall(
        r"\S+",
        "answer answers key keys solution solutions to the for of all selected odd even odd-numbered even- "
        "numbered numbered exercise exercises problem problems question questions chapter section review "
        "appendix and & hints practice end check your understanding self-check quiz a b c d e f ",
    )
)
_ADVICE = re.compile(r"\b(?:for|to|of|in|on|how|about|with|solving|steps?|strateg\w+|common|these|such)\b", re.I)
_ASKS = re.compile(r"[A-Z][^.?!:]*\s(?:[Qq]uestions|[Ee]xercises|[Pp]roblems)")
_KEY_NOUNS = re.compile(r"\banswers\b|\bsolutions\b|\banswer keys?\b", re.I)
_REGIONS = {
    "front_matter": re.compile(
        r"(?:brief |table of |detailed )?contents|preface|foreword|acknowledge?ments?|copyright(?: page)?"
        r"|about the authors?",
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


_FIRST_WORDS = _EXERCISE_WORDS | _KEY_WORDS
_FIRST_WORDS |= frozenset(
    re.findall(
        r"\S+",
        "brief table detailed contents preface foreword acknowledgement acknowledgements acknowledgment "
        "acknowledgments copyright about references bibliography works further suggested notes subject author "
        "alphabetical index glossary list summary recap",
    )
)
_BETWEEN, _NUMBER = re.compile(r"[\s,:]+"), re.compile(NUMBER)
_NO_TITLE = re.compile(r"[=<>≈→∑∫√+×|\\]|\d\s*$|\^\{|_\{|\b[A-Za-z]\(")
_CAPITAL = re.compile(r"[A-Z“\"]")
_LETTERS = re.compile(r"[A-Za-z]{4}")
_LEADING = re.compile(rf"^(?:{NUMBER}\.?\s+)")
_LONG = 90


def _begins_heading(text: str) -> bool:
    """Whether the first word, a number before it left out, can begin a heading that opens a part of a book."""
    for word in text.split(None, 3):
        if not word[0].isdigit():
            return word.strip(".,:").lower() in _FIRST_WORDS
    return False


def region_of(text: str) -> str | None:
    """Say which part of a book a heading opens: exercises, answer_key, index, ...; None for any other line."""
    if len(text) > _LONG or not _begins_heading(text):
        return None  # as nearly every line, and soon told
    head = _LEADING.sub("", text.strip()).strip(" .:")
    if not head or len(head) > 70:
        return None
    for region, pattern in _REGIONS.items():
        if pattern.fullmatch(head):
            return region
    words = [word for word in _BETWEEN.split(head.lower()) if word and not _NUMBER.fullmatch(word)]
    if len(words) > 8:
        return None
    if _KEY_NOUNS.search(head) and all(word in _KEY_WORDS for word in words):
        return "answer_key"
    if words and _EXERCISE_NOUNS.search(" ".join(words)) and all(word in _EXERCISE_WORDS for word in words):
        plural = words[-1].endswith("s") or len(words) > 1 or words[0] == "quiz"
        return "exercises" if plural and not _PRACTICE.fullmatch(" ".join(words)) else None
    return None


def asks(text: str) -> bool:
    """Say whether a heading of any words ends as those over exercises do: `Interactive Link Questions`."""
    if not text.endswith(("uestions", "xercises", "roblems")):
        return False
    return len(text.split()) <= 6 and bool(_ASKS.fullmatch(text)) and not _ADVICE.search(text)


def chapter(text: str) -> Mark | None:
    """Read `Chapter 3 Title`, `Appendix B`."""
    if text[:1].lower() not in _CHAPTERS:
        return None
    chapter, appendix = _CHAPTER.match(text), _APPENDIX.match(text)
    if not chapter and not appendix:
        return None
    if len(text) > 110 or re.search(r"\.{3,}|(?:\. ){3,}", text) or text.rstrip().endswith((".", ",", ";")):
        return None
    if found := chapter:
        rest = found.group(2)
        if rest and not re.match(r"[^a-z]", rest):
            return None
        return Mark("chapter", found.group(1), rest, 5)
    if (found := appendix) and (found.group(1) or not found.group(2)):
        return Mark("chapter", f"Appendix {found.group(1) or ''}".strip(), found.group(2), 5)
    return None


def section(text: str) -> Mark | None:
    """Read `2.3 Title`: a short line that is no sentence."""
    found = _SECTION.match(text) if text[:1] in _SECTIONS else None
    if not found:
        return None
    title = re.sub(r"\^\{\d+\}$", "", found.group(2))
    if _END.search(title) or len(title.split()) > 12 or not re.match(r"[A-Z“\"(]", title) or "=" in title:
        return None
    if not re.search(r"[A-Za-z]{3}", title) or re.search(r"\s\d{1,4}$", title):
        return None
    return Mark("section", found.group(1), title, 4)


def title(text: str) -> bool:
    """Say whether a paragraph of one line looks like an unnumbered heading."""
    words = text.split()
    if not 1 <= len(words) <= 10 or _END.search(text) or _GOES_ON.search(text) or len(text) > 80:
        return False
    if not _CAPITAL.match(text) or _RUNNING.match(text) or _NO_TITLE.search(text):
        return False
    return bool(_LETTERS.search(text)) and sum(len(word) for word in words if word.isalpha()) * 2 >= len(text)
