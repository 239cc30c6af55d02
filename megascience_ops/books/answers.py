"""Where a printed answer ends: its parts gathered whole, and the book's next matter left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from megascience_ops.books.blocks import Block
from megascience_ops.books.exercises import add_paragraph, joined_text

_OBJECTIVES = re.compile(r"[•▪]\s+(?:Define|Explain|Describe|Calculate|Distinguish|Apply|Identify|Determine|State)\b")
_DISCUSSIONS = ("discussion", "significance", "comment", "remark")
_PART = re.compile(r"\(?(?:[a-h]|[ivx]{1,4})\)|[•▪–]|\d{1,2}[.)]\s")


def tail(parts: list[str], blocks: Sequence[Block], start: int) -> str:
    """Gather an answer without a label until a heading, a new label, or a long paragraph that begins anew."""
    for block in blocks[start:]:
        if block.kind == "footnote":
            continue
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        if parts and _begins_anew(parts, block.text):
            break
        add_paragraph(parts, block.text)
    return joined_text(parts)


def _begins_anew(parts: list[str], text: str) -> bool:
    """Whether a paragraph after an answer is the book going on: a long one, or one that speaks of the example."""
    if re.match(r"(?:Example|Exercise|Guided Practice|This example|In (?:this|the next) (?:section|chapter))\b", text):
        return True
    words = len(text.split())
    done = parts[-1].rstrip().endswith((".", "?", "!"))
    return done and words > 45 and not _PART.match(text) and len(re.findall(r"[=≈<>]", text)) < 2


def labelled_answer(blocks: Sequence[Block], start: int) -> tuple[str, int]:
    """Gather a labelled answer whole: solution for (a), solution for (b), and one paragraph of discussion."""
    parts: list[str] = []
    place = start
    while place < len(blocks):
        block = blocks[place]
        if block.kind == "footnote":
            place += 1
            continue
        if block.kind in ("solution", "answer"):
            discussion = block.label.startswith(_DISCUSSIONS)
            head = (
                ", ".join(f"({part})" for part in block.label.split(","))
                if re.fullmatch(r"[a-z](?:,[a-z])*", block.label)
                else ""
            )
            section = [f"{head} {block.body}".strip()]
            place += 1
            section, place = _section(blocks, place, section, discussion)
            ends = bool(section) and section[-1].rstrip().endswith((".", "!", "?", ")", "”"))
            if ends or not (discussion and parts):
                parts += section  # a remark that a displayed formula cut off is no loss
            continue
        if block.level >= 2 and not _resumes(blocks, place):
            break
        place += 1
    return joined_text(parts), place


def answer_end(blocks: Sequence[Block], start: int) -> int:
    """The block after the labelled answer that begins at `start`, as `labelled_answer` gathers it."""
    place = end = start
    while place < len(blocks):
        if blocks[place].kind in ("solution", "answer"):
            discussion = blocks[place].label.startswith(_DISCUSSIONS)
            _, end = _section(blocks, place + 1, [blocks[place].body], discussion)
            place = end
        elif blocks[place].kind != "footnote" and blocks[place].level >= 2 and not _resumes(blocks, place):
            break
        else:
            place += 1
    return end


def _section(blocks: Sequence[Block], place: int, parts: list[str], discussion: bool) -> tuple[list[str], int]:
    while place < len(blocks):
        block = blocks[place]
        if block.kind == "footnote":
            place += 1
            continue
        if block.level >= 2 or block.kind not in ("paragraph", "list"):
            break
        full = [part for part in parts if part]
        words = sum(len(part.split()) for part in full)
        if full and not _resumes(blocks, place):
            if _OBJECTIVES.match(block.text) or discussion and not _goes_on(full[-1], block.text):
                break
            done = full[-1].rstrip().endswith((".", "?", "!")) or words <= 8
            short_answer = done and words <= 25 and len(block.text.split()) > 40 and not _PART.match(block.text)
            if short_answer or _begins_anew(full, block.text) and not _asks_next(blocks, place):
                break
        add_paragraph(parts, block.text)
        place += 1
    return [part for part in parts if part], place


def _goes_on(before: str, text: str) -> bool:
    """Whether a discussion goes on in this paragraph: after an open sentence, in a formula, or after one."""
    return not before.rstrip().endswith((".", "!", "?", ")", "”")) or _formula(text) or _formula(before)


def _formula(text: str) -> bool:
    return len(re.findall(r"[^\W\d_]{3,}", text)) < 8 and bool(re.search(r"[=≈<>∝]", text))


def _resumes(blocks: Sequence[Block], place: int) -> bool:
    """Whether a solution goes on after this block, before anything else is asked."""
    for block in blocks[place : place + 14]:
        if block.kind == "solution":
            return True
        if block.level >= 2 and block.kind != "heading" or block.kind == "answer":
            return False
    return False


def _asks_next(blocks: Sequence[Block], place: int) -> bool:
    """Whether nothing but this answer stands between here and the next question."""
    following = next((block for block in blocks[place:] if block.level >= 2), None)
    return following is not None and following.kind in ("question", "exercise")
