"""Judgements by rule on a question and its answer: is it explained, does it stand alone, what is its short answer."""

from __future__ import annotations

import re

from megascience_ops.books.wording import options_of
from megascience_ops.engines.rules.references import REFERENCES
from megascience_ops.parsing import boxed

_CUES = re.compile(
    r"\b(?:because|since|therefore|thus|hence|so that|so the|so we|consequently|as a result|it follows|follows that"
    r"|implies|which means|this means|we (?:find|get|have|obtain|see|need|use|know|can)|substitut\w+|rearrang\w+"
    r"|solving|solve for|applying|using|first|second(?:ly)?,|then|next|finally|given that|due to|in order to|must"
    r"|the reason|if .{3,60} then|yields?|gives)\b",
    re.I,
)
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)|≈|⇒|\\implies|\\approx")
_ARROW = re.compile(r"(?:→|⟶|⇌|\\rightarrow|\\to\b|->)")
_CHEMICAL = re.compile(
    r"[A-Z][a-z]?(?:_\{?\d+\}?|\d)?[A-Za-z\d_{}()+^\s−-]{0,120}(?:→|⟶|⇌|\\rightarrow|->)\s*\d*\s*[A-Z]"
)

_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_ORDER = re.compile(r"(?:Find|Compute|Calculate|Determine|Estimate|Evaluate|Show|Explain|Give|State|Solve|Describe)\b")
_CHECK = re.compile(r"\b(?:as a check|check|agrees|reasonable|compared)\b", re.I)
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
    for name, pattern in REFERENCES:
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
    if in_box := boxed(text):
        return in_box
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
    if len(text) <= 60 and "\n" not in text and re.search(r"\w", text) and not _PARTS.search(text):
        return text.rstrip(". ") or None
    if _PARTS.search(question) or _PARTS.search(text) or _asks_several(question):
        return None
    if leading := re.match(r"([$€£]?[−-]?\d[\d,]*\.\d+%?|\d+%)\.(?=\s)", text):
        return leading.group(1)  # "0.0714. Even when a patient tests positive, ..."
    lines = text.split("\n")
    if len(lines) > 1 and all(len(line) < 40 for line in lines) or sum(0 < len(line) < 25 for line in lines) > 3:
        return None  # several values, or the pieces of a diagram
    return _last_value(text)


def _asks_several(question: str) -> bool:
    """Whether more than one thing is asked for, so that the last value of an answer is not the whole of it."""
    asking = [sentence for sentence in _SENTENCE.split(question) if "?" in sentence or _ORDER.match(sentence)]
    return len(asking) > 1 or any(re.search(r"\band\b|, how", sentence) for sentence in asking)


def _last_value(text: str) -> str | None:
    """Read the value with which the last line ends; only where nothing follows it."""
    last = text.split("\n")[-1].strip()
    if _CHECK.search(_SENTENCE.split(last)[-1]):
        return None
    found = re.search(
        r"(?:=|≈|\b(?:is|are|equals|is about|is approximately))\s+((?:about |approximately )?[^=≈]{1,40}?)\s*[.]?\s*$",
        last,
    )
    if not found:
        return None
    value = found.group(1).strip()
    numeric = re.match(r"(?:about |approximately )?[$€£]?[−+\-–±]?\s?\(?[$\\]?\d", value)
    words = len(re.findall(r"[^\W\d_]{3,}", value))
    if (
        not numeric
        or words > 3
        or value.count("×") > 1
        or "\\" in value  # a piece of TeX
        or re.search(r"[;:?]|,\s[a-z]|\.\s[A-Z]|\b(?:and|or|if|because|which|than)\b", value)
    ):
        return None
    return value
