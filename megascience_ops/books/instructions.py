"""What a book says once for several exercises, `In Exercises 5–12, find the derivative`, and for which it says it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from megascience_ops.books import labels
from megascience_ops.books.block import Block
from megascience_ops.books.lines import Line

_WHOM = r"(?:exercises|problems|questions|items)"
_RANGE = rf"{_WHOM}\s+({labels.NUMBER})\s*(?:[-–—]|to|through|and)\s*({labels.NUMBER})"
_NEXT = rf"(?:following|next)\s+(?:([a-z]+|\d+)\s+)?(?:[a-z]+\s+)?{_WHOM}"
_NUMBERED, _FOLLOWING = re.compile(rf"\b{_RANGE}\b", re.I), re.compile(rf"\b{_NEXT}\b", re.I)
# Whom it addresses: an exercise that stands alone can do without.
_ADDRESS = re.compile(
    rf"(?:(?:for|in)\s+(?:each\s+of\s+)?(?:the\s+)?(?:{_NEXT}|{_RANGE})\s*[,:]"
    rf"|use\s+(?:the\s+following|this)\s[a-z ]{{4,40}}?\s(?:for|to\s+[a-z]+)\s+(?:the\s+)?(?:{_NEXT}|{_RANGE})\s*[.:])"
    r"\s+(?=\S)",
    re.I,
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_IMPERATIVE = (
    r"(?:Find|Evaluate|Compute|Calculate|Determine|Solve|Simplify|Factor|Expand|Differentiate|Integrate|Sketch|Graph|Draw"
    r"|Show|Prove|Verify|Explain|Describe|Discuss|State|Write|Express|Convert|Estimate|Classify|Identify|Name|List|Give"
    r"|Construct|Use|Let|Suppose|Consider|Define|Derive|Compare|Assume|Repeat|Check|Choose|Plot|Perform|Set up|Balance)"
)
_ASKS = re.compile(rf"\?|(?:^|[.:;!]\s+|\n)(?:\(?[a-h][.)]\s+)?{_IMPERATIVE}\b")
_COMMAND = re.compile(rf"{_IMPERATIVE}\b[^?]{{4,200}}[.:]$")
SENTENCE = 160
REACH = 12  # lines that an instruction may have before the first exercise it is for


def instructs(lines: Sequence[Line], index: int) -> bool:
    """Say whether the line at `index`, among exercises, tells what to do in several that follow.

    Either it names them, and a numbered line comes soon, from the first number that it names; or it is a command that
    stands alone above an exercise which is a formula and nothing else.
    """
    text = labels.bare(lines[index].text)
    if not lines[index].fresh or not re.match(r"[A-Z]", text):
        return False
    following = [
        found for line in lines[index + 1 : index + 1 + REACH] if (found := labels.item(labels.bare(line.text)))
    ]
    if not following:
        return False
    named = _NUMBERED.search(text[:SENTENCE])
    if named:
        return labels.order(following[0].label) == labels.order(named.group(1))
    if _FOLLOWING.search(text[:SENTENCE]):
        return True
    below = labels.item(labels.bare(lines[index + 1].text))
    return bool(lines[index].alone and below and _COMMAND.match(text) and _bare(below.rest))


def instructed(blocks: Sequence[Block], index: int) -> int | None:
    """The block that tells what to do in the exercise at `index`; None where it asks for itself, or nothing tells it.

    Where the instruction says for which exercises it is meant, it is for those. Otherwise it is for all that follow,
    until one of them says itself what to do.
    """
    between: list[int] = []
    for place in range(index - 1, -1, -1):
        block = blocks[place]
        if block.kind == "instruction":
            return place if _meant(block, blocks, [*reversed(between), index]) else None
        if block.level >= 3:
            return None
        if block.kind == "exercise":
            between.append(place)
    return None


def said(text: str) -> str:
    """Give an instruction without its address: `For the following exercises, find the slope` as `Find the slope`."""
    rest = _ADDRESS.sub("", text, count=1) if _ADDRESS.match(text) else text
    return rest[:1].upper() + rest[1:]


def _meant(instruction: Block, blocks: Sequence[Block], exercises: Sequence[int]) -> bool:
    if named := _NUMBERED.search(instruction.text[:SENTENCE]):
        last = labels.order(named.group(2))
        return labels.order(blocks[exercises[-1]].label)[-1] <= last[-1]
    if following := _FOLLOWING.search(instruction.text[:SENTENCE]):
        count = (following.group(1) or "").lower()
        if limit := _COUNTS.get(count) or (int(count) if count.isdigit() else 0):
            return len(exercises) <= limit
    return not any(_ASKS.search(_whole(blocks, place)) for place in exercises)


def _whole(blocks: Sequence[Block], index: int) -> str:
    """The text of an exercise, its answer left out."""
    parts = [blocks[index].body]
    for block in blocks[index + 1 :]:
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        parts.append(block.text)
    return "\n".join(part for part in parts if part)


def _bare(text: str) -> bool:
    """Whether an exercise is a formula or a word or two, which say not what to do with them."""
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{3,}", re.sub(r"\\[a-zA-Z]+(?:\{[a-z]+\})?", " ", text))
    return bool(text) and len(words) < 3
