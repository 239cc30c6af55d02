"""The answer key of a passage as one text: written for a model to read, and read back by rule."""

from __future__ import annotations

import re

from megascience_ops.books import headings, labels

_SHORT_ITEM = (
    r"\(?(\d{1,3}(?:\.\d{1,3}){0,2})\s*(?:[.):–-]\s*)?(\(?[A-Ha-h]\)?|True|False|T|F)(?![\w(])\s*(?:[,;.|]\s*)?"
)
_SHORT_LIST = re.compile(f"(?:{_SHORT_ITEM})+")


def written(label: str, answer: str) -> str:
    """Write one answer: `12. text`, or `Exercise 3.4: text` where the label has a point."""
    head = f"Exercise {label}:" if re.search(r"[.-]", label) else f"{label}."
    # Further lines are indented, so that a list in an answer is not taken for the next answer.
    return f"{head} " + "\n   ".join(line.strip() for line in answer.strip().split("\n") if line.strip())


def read_key(answer_key: str) -> list[tuple[str, str, str]]:
    """Read an answer key line by line into (chapter, label, answer)."""
    entries: list[tuple[str, str, list[str]]] = []
    chapter = ""
    last: tuple[int, ...] = (0,)
    for line in answer_key.split("\n"):
        text = line.strip()
        if not line.startswith(" "):
            head = headings.chapter(text)
            if head or headings.region_of(text) == "exercises":
                chapter, last = head.label if head else chapter, (0,)
                continue
            if short := short_list(text):
                entries += [(chapter, label, [answer]) for label, answer in short]
                continue
            found = re.match(r"(?:Exercise|Question|Problem)\s+([\d.\-]*\d)\s*[.:]\s*(.*)", text) or re.match(
                r"(\d{1,3})[.)](?:\s+(.*))?$", text
            )
            if found and labels.order(found.group(1)) > last:
                last = labels.order(found.group(1))
                entries.append((chapter, found.group(1), [found.group(2) or ""]))
                continue
        if entries:
            entries[-1][2].append(text)
    return [(chapter, label, "\n".join(lines).strip()) for chapter, label, lines in entries]


def short_list(text: str) -> list[tuple[str, str]]:
    """Read `1. B  2. D  3. True`; an empty list when the text is anything else."""
    if not _SHORT_LIST.fullmatch(text.strip()):
        return []
    found = re.findall(_SHORT_ITEM, text)
    return [(label, answer.strip("()")) for label, answer in found] if len(found) > 1 else []
