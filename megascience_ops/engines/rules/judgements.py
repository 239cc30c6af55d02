"""Judgements by rule on a question and its answer: is it explained, does it stand alone, what is its short answer."""

from __future__ import annotations

import re

from megascience_ops.books.wording import options_of

_CUES = re.compile(
    r"\b(?:because|since|therefore|thus|hence|so that|so the|so we|consequently|as a result|it follows|follows that|implies|which means"
    r"|this means|we (?:find|get|have|obtain|see|need|use|know|can)|substitut\w+|rearrang\w+|solving|solve for|applying|using"
    r"|first|second(?:ly)?,|then|next|finally|given that|due to|in order to|must|the reason|if .{3,60} then|yields?|gives)\b",
    re.I,
)
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)|≈|⇒|\\implies|\\approx")
_ARROW = re.compile(r"(?:→|⟶|⇌|\\rightarrow|\\to\b|->)")
_CHEMICAL = re.compile(r"[A-Z][a-z]?(?:_\{?\d+\}?|\d)?[A-Za-z\d_{}()+^\s−-]*(?:→|⟶|⇌|\\rightarrow|->)\s*\d*\s*[A-Z]")

_NUMBER = r"\(?\d{1,3}(?:[.\-–]\d{1,3})*[a-z]?\)?"
_REFERENCES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("figure", re.compile(rf"\b(?:Figures?|Figs?\.?|Photo|Graph|Diagram|Plate|Scheme|Panel)\s+{_NUMBER}(?![\w°])|\[link\]|!\[", re.I)),
    ("table", re.compile(rf"\bTables?\s+{_NUMBER}(?!\w)|\btable (?:below|above)\b", re.I)),
    ("equation", re.compile(r"\b(?:Equations?|Eqs?\.?|Formulas?)\s+(?:\(\d{1,3}(?:[.\-]\d{1,3})*\)|\d{1,3}[.\-]\d{1,3}|\d{1,3}(?=\s*(?:[.,;:)]|$|and\b|to\b|for\b|in\b)))", re.I)),
    ("place_in_book", re.compile(
        rf"\b(?:Sections?|Chapters?|Examples?|Exercises?|Problems?|Guided Practice|Practice|Questions?|Theorems?|Lemmas?|Propositions?|Corollar(?:y|ies)"
        rf"|Definitions?|Appendix|Activity|Checkpoint|Rules?|Part [IVX]+,)\s+(?:{_NUMBER}|[A-Z]\.\d+)(?!\w)|\bAppendix [A-Z]\b", re.I)),
    ("page", re.compile(r"\b(?:on|see|at) (?:pages?|pp?\.) ?\d+", re.I)),
    ("earlier_item", re.compile(
        r"\b(?:previous|preceding|earlier|prior|above|foregoing) (?:\w+ )?(?:problems?|exercises?|examples?|questions?|sections?|chapters?|scenario|activity|subsection|equations?)\b"
        r"|\b(?:last|next|following) (?:problem|exercise|example|section|chapter)\b|\bthe two (?:previous|preceding)\b"
        r"|\b(?:problems?|exercises?|examples?|questions?) (?:above|prior|earlier|two problems)\b"
        r"|\btwo (?:problems|exercises) (?:prior|ago|earlier)\b|\bchapter(?:’s|'s)? (?:introduction|opening|opener)\b"
        r"|\b(?:discussed|mentioned|described|derived|given|listed|presented|seen|introduced|defined|calculated|computed|found|obtained) (?:earlier|previously|above|in (?:the|this) (?:text|chapter|section|book|module))\b"
        r"|\b(?:in|from|of) (?:the|this) (?:text|chapter|section|module|book|textbook|reading)\b(?! of)", re.I)),
    ("picture", re.compile(
        r"\b(?:the|this|these|following|accompanying|adjacent|attached) (?:\w+ )?(?:figure|drawing|diagram|histogram|scatter ?plot|illustration|picture|photo(?:graph)?|sketch|circuit diagram|flow ?chart|box plots?|bar chart|pie chart|map)s? "
        r"(?:below|above|shown|shows?|here|at (?:the )?(?:left|right)|to the (?:left|right)|on the (?:left|right)|provided|given|displays?|illustrates?|represents?|depict)"
        r"|\bfollowing (?:\w+ )?(?:figure|drawing|diagram|histogram|scatter ?plot|graph|illustration|picture|photo(?:graph)?|sketch|plot|box plots?|bar chart|map)s?\b"
        r"|\b(?:graph|plot|table|figure|curve|spectrum|structure)s? (?:shown|below|above|here|at right|at left)\b"
        r"|\bin the (?:figure|diagram|drawing|picture|photo(?:graph)?|histogram|illustration|sketch)\b|\bsee (?:the )?(?:figure|diagram|graph|table|plot)\b"
        r"|\b(?:as|are|is) (?:shown|pictured|depicted|illustrated|drawn|displayed|sketched) (?:below|above|here|at (?:left|right)|to the (?:left|right))"
        r"|\bas (?:shown|pictured|depicted|illustrated)(?=[.,;]|\s*$)|\b(?:shown|pictured|given|listed) (?:below|above)\b|\bthe (?:graph|plot)s? (?:of [^.?]{1,40} )?is (?:shown|given)\b", re.I)),
    ("chained", re.compile(
        r"\A(?:Now,? (?:suppose|consider|calculate|find|assume|repeat|imagine)|Repeat\b|Again,|Continuing\b|Suppose instead|Refer(?:ring)? (?:back )?to|For the (?:same|situation|problem|above|previous)"
        r"|What if (?:there (?:was|were|is)|you|we|the) (?:\w+ )?(?:also|instead|now)|Using (?:the|your) (?:results?|answers?) (?:from|of|to|in)|Redo\b|Do the same|With the same)\b"
        r"|\b(?:another|the same) \w+ (?:as|from) (?:in |the )?(?:last|previous|preceding)\b|\b(?:your|the) (?:answer|result)s? (?:from|to|of|in) (?:exercise|problem|question|example)", re.I)),
)  # fmt: skip
_PARTS = re.compile(r"(?:^|\s)\(?(?:[b-h]|ii|iii)\)(?=\s|\()")


def is_explained(answer: str) -> bool:
    """Say whether an answer reasons or explains, rather than states a result.

    True with 25 words and two words of reasoning, with 60 words and one, or with three equations; an arrow counts as a
    step only outside chemical equations.
    """
    words = len(re.findall(r"[^\W\d_]{2,}", answer))
    cues = len(_CUES.findall(answer))
    steps = len(_EQUALS.findall(answer)) + len(_ARROW.findall(_CHEMICAL.sub(" ", answer)))
    return (words >= 25 and cues >= 2) or (words >= 60 and cues >= 1) or (steps >= 3 and words >= 4)


def external_reference(question: str, answer: str) -> str | None:
    """Name what a pair needs from elsewhere in its book: `figure`, `table`, `equation`, `earlier_item`, ...; else None.

    A reference counts in the question and, for numbered things and pictures, in the answer.
    """
    for name, pattern in _REFERENCES:
        if pattern.search(question):
            return name
        if name not in ("chained", "earlier_item") and pattern.search(answer):
            return name
    return None


def short_answer(question: str, answer: str) -> str | None:
    """Give the final answer alone, as it stands in `answer`, where a rule can tell; None where it takes judgement.

    In order: the content of the last box; the letter of a choice, if the question has options; true or false; an
    answer of one line of at most 60 characters; the value after the last `is` or `=` of a single-part answer.
    """
    text = answer.strip()
    if boxed := _boxed(text):
        return boxed
    options = options_of(question)
    if options and len(_PARTS.findall(text)) < 1:
        letter = re.match(
            r"(?:(?:the )?(?:correct )?(?:answer|choice|option)(?: is)?:?\s*)?\(?([A-Ha-h])(?:[.):]|\s*$|\s+is\b|,)",
            text,
            re.I,
        )
        return letter.group(1).upper() if letter and letter.group(1).upper() in options else None
    if verdict := re.match(r"(true|false)\b\.?(?!\s+(?:positive|negative))", text, re.I):
        multiple = _PARTS.search(text)
        return None if multiple else verdict.group(1).capitalize()
    if len(text) <= 60 and "\n" not in text and re.search(r"\w", text):
        return text.rstrip(". ") or None
    if _PARTS.search(question) or _PARTS.search(text) or question.count("?") > 1:
        return None
    return _last_value(text)


def _boxed(text: str) -> str | None:
    for start in reversed([found.end() for found in re.finditer(r"\\boxed\s*\{", text)]):
        depth = 1
        for place in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                if content := text[start:place].strip():
                    return content
                break
    return None


def _last_value(text: str) -> str | None:
    """Read the value with which the last line ends; only where nothing follows it."""
    last = text.split("\n")[-1].strip()
    found = re.search(
        r"(?:=|≈|\bis|\bare|\bequals|\bis about|\bis approximately)\s+((?:about |approximately )?[^=≈]{1,40}?)\s*[.]?\s*$",
        last,
    )
    if not found:
        return None
    value = found.group(1).strip()
    numeric = re.match(r"(?:about |approximately )?[$€£]?[−+\-–±]?\s?\(?[$\\]?\d", value)
    words = len(re.findall(r"[^\W\d_]{3,}", value))
    if not numeric or words > 3 or re.search(r"[;:?]|,\s[a-z]|\.\s[A-Z]|\b(?:and|or|if|because|which|than)\b", value):
        return None
    return value
