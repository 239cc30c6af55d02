"""Is a question the same as a benchmark's? Decided by the words and the numbers alone."""

from __future__ import annotations

import re
import textwrap

from megascience_ops.contamination.wording import normalised
from megascience_ops.dedup import jaccard, shingles

JACCARD = 0.5
FEWEST = 5  # trigrams on both sides: stems like "What is the capital of ..." share half of fewer
CONTAINMENT = 0.8
FEWEST_CONTAINED = 12  # "Which of the following statements is true?" stands in many questions

# A minus is a sign where nothing stands before it from which it could subtract.
_NUMBER = re.compile(
    r"(?:(?<![^\s(\[{$=<>:,])[-−])?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d*\.\d+|\d+)(?:[eE][+-]?\d+)?"
)
_ENUMERATION = re.compile(
    r"^\s*(?:(?:exercise|problem|question|example)\s+\d+(?:\.\d+)*[.):]?|\(?\d+(?:\.\d+)*[.):])\s+",
    re.IGNORECASE,
)
_CANDIDATE = re.compile(r"^Candidate \d+:$", re.MULTILINE)
_SMALL_DIGITS = str.maketrans({small: f" {digit % 10}" for digit, small in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉")})


def same_question(question: str, candidate: str) -> tuple[bool, str]:
    """Whether the two ask the same, and a sentence that says why.

    They do if both normalise to the same text, if their word trigrams have a Jaccard similarity of at least
    0.5 (five trigrams or more on both sides), or if at least 0.8 of the shorter one's lie in the other
    (twelve or more). Numbers that differ make them two questions: other values, another answer. Where one
    text contains the other, the numbers of the contained one have to be in the other. A number before the
    text that only counts exercises is no number.
    """
    question, candidate = _ENUMERATION.sub("", question), _ENUMERATION.sub("", candidate)
    if normalised(question) == normalised(candidate):
        return True, "Both texts are the same but for case, spacing and punctuation."
    left, right = shingles(question), shingles(candidate)
    fewer = min(len(left), len(right))
    similarity, contained = jaccard(left, right), len(left & right) / fewer
    alike = similarity >= JACCARD and fewer >= FEWEST
    inside = contained >= CONTAINMENT and fewer >= FEWEST_CONTAINED
    own, other = numbers(question), numbers(candidate)
    if alike and own == other:
        return True, f"The texts share {similarity:.0%} of their word trigrams and have the same numbers."
    shorter, longer = (own, other) if len(left) <= len(right) else (other, own)
    if inside and shorter <= longer:
        return True, f"One text contains {contained:.0%} of the other's word trigrams, and its numbers."
    if alike or inside:
        return (
            False,
            f"Wording alike, but the numbers differ: {_shown(own - other)} against {_shown(other - own)}.",
        )
    return False, f"The texts share only {similarity:.0%} of their word trigrams."


def same_as_each(question: str, candidates: str) -> list[tuple[bool, str]]:
    """The same for each of `Candidate 1:`, `Candidate 2:`, ... with their lines indented below."""
    return [same_question(question, textwrap.dedent(one).strip()) for one in _CANDIDATE.split(candidates)[1:]]


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text, also inside words (`C2H6`, `10²`), written in one way: `1,000.0` is `1000`."""
    found = (match.group() for match in _NUMBER.finditer(text.translate(_SMALL_DIGITS)))
    return frozenset(_plain(number) for number in found)


def _plain(number: str) -> str:
    mantissa, _, exponent = number.lower().replace(",", "").replace("−", "-").partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    mantissa = mantissa.lstrip("-")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    mantissa = mantissa.lstrip("0") or "0"
    return f"{sign}{mantissa}" + (f"e{exponent.lstrip('+')}" if exponent else "")


def _shown(numbers: frozenset[str]) -> str:
    return ", ".join(sorted(numbers)[:5]) or "none"
