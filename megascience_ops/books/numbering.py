"""Numbers of exercises and answers: which can follow which, and when a list begins anew."""

from __future__ import annotations

from collections.abc import Sequence

from megascience_ops.books import headings, labels
from megascience_ops.books.lines import Line

Number = tuple[int, ...]


def follows(last: Number, number: Number, gap: int) -> bool:
    """Whether `number` can follow `last` in a sequence that leaves out at most `gap` - 1 numbers at a time."""
    if not last:
        return True
    if len(last) != len(number):
        return False
    if number[:-1] == last[:-1]:
        return last[-1] < number[-1] <= last[-1] + gap
    return number > last and number[-1] <= gap and all(b - a <= 1 for a, b in zip(last[:-1], number[:-1], strict=True))


def begins_anew(lines: Sequence[Line], index: int, number: Number, last: Number) -> bool:
    """Whether a number that falls back opens the answers of another chapter, rather than a list in an answer."""
    if len(number) != 1 or len(last) != 1 or number[0] > 12:
        return False
    coming: list[int] = []
    for line in lines[index + 1 : index + 60]:
        text = labels.bare(line.text)
        if headings.chapter(text):
            break
        if (found := labels.item(text)) and len(labels.order(found.label)) == 1:
            coming.append(labels.order(found.label)[0])
    rises = all(a < b for a, b in zip([number[0], *coming][:3], coming[:3], strict=False))
    resumes = any(last[0] < later <= last[0] + (4 if place > 4 else 12) for place, later in enumerate(coming[:6]))
    return rises and not resumes and bool(coming or number == (1,))


def rises(lines: Sequence[Line], index: int, number: Number) -> bool:
    """Whether the next numbered line after this one, if there is one near, goes on from its number."""
    for line in lines[index + 1 : index + 12]:
        if found := labels.item(labels.bare(line.text)):
            return follows(number, labels.order(found.label), 12)
    return False


def goes_on(lines: Sequence[Line], index: int, last: Number) -> bool:
    """Whether the next number after `last` comes within two dozen lines, before another section."""
    for line in lines[index + 1 : index + 25]:
        text = labels.bare(line.text)
        found = labels.item(text)
        if found and last and follows(last, labels.order(found.label), 2):
            return True
        if headings.chapter(text) or headings.section(text):
            return False
    return False
