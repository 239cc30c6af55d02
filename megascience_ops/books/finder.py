"""Reads a book line by line, and says what each line begins."""

from __future__ import annotations

import re

from megascience_ops.books import headings, labels, numbering, place
from megascience_ops.books.block import LEFT_OUT
from megascience_ops.books.instructions import instructs
from megascience_ops.books.labels import Mark
from megascience_ops.books.lines import Line
from megascience_ops.books.place import Place

_PAGE_NUMBER = re.compile(r"^\d{1,4}\s|\s\d{1,4}$")
_BREAK = re.compile(r"(?:\* ?){3,}|-{3,}|_{3,}")  # a rule between two parts of a text


class Finder(Place):
    """Reads line after line and says what each begins."""

    def read(self, index: int) -> Mark | None:
        """Read the line at `index` as the beginning of something, and move on in the book accordingly."""
        line = self.lines[index]
        text = self.bare[index]
        depth = labels.heading_depth(line.text)
        if not text:
            return None
        if text == LEFT_OUT or (line.alone and self.answered and _BREAK.fullmatch(text)):
            self.open, self.answered = "", False
            return Mark("heading", "", text, 2)
        return (
            self._running_head(index, text)
            or self._part_of_book(index, text, depth, line)
            or (self._key(index, text, line) if self.region == "answer_key" else None)
            or (self._instruction(index, text) if self.region == "exercises" else None)
            or (
                self._labelled(index, text, line)
                if self.region not in ("answer_key", "index", "front_matter")
                else None
            )
            or self._footnote(text, line, index)
            or self._heading(index, text, depth, line)
        )

    def _running_head(self, index: int, text: str) -> Mark | None:
        """A heading met again at the top of a page, with the number of the page, where the reader left it in."""
        top = index > 0 and self.lines[index - 1].page != self.lines[index].page
        if not top or len(text) > 90 or not _PAGE_NUMBER.search(text):
            return None
        letters = place.letters(re.sub(r"^\d{1,4}\s+|\s+\d{1,4}$", "", text))
        return Mark("footnote", "head", text, 0) if letters and letters in self.heads else None

    def _part_of_book(self, index: int, text: str, depth: int, line: Line) -> Mark | None:
        region = headings.region_of(text) if line.fresh or depth else None
        if region == "answer_key" and not (
            self.open in ("example", "question") and not self.answered and len(text) < 10
        ):
            return self.enter("answer_key", Mark("answer_key", "", text, 4))
        if region is None and (line.alone or depth) and headings.asks(text) and labels.item(self.following(index)):
            region = "exercises"
        if region == "exercises":
            if (
                self.region == "answer_key"
                and labels.item(self.following(index))
                and not depth
                and self._key_goes_on(index)
            ):
                return Mark("answer_key", "", text, 3)
            return self.enter("exercises", Mark("heading", "", text, 3))
        if region and (line.fresh == 2 or depth):
            kind = {"glossary": "heading", "summary": "heading"}.get(region, region)
            level = 5 if region in ("index", "front_matter") else 3 if region == "summary" else 4
            return self.enter("body" if kind == "heading" else region, Mark(kind, "", text, level))
        found = headings.chapter(text) if line.fresh or depth else None
        if found is None and depth == 1:
            found = Mark("chapter", "", text, 5)
        if found is None:
            return None
        return self._chapter(index, found, text)

    def _chapter(self, index: int, found: Mark, text: str) -> Mark | None:
        coming = [self.following(index, d) for d in (1, 2)]
        if self.region == "answer_key" and any(labels.item(line) or headings.section(line) for line in coming):
            self.chapter, self.last = found.label or found.rest, ()
            return Mark("answer_key", "", text, 3)
        if found.label and found.label == self.chapter and self.region != "answer_key":
            return None  # a running head that was left in
        below = coming[0]
        listed = headings.chapter(below) or headings.region_of(below) or re.search(r"\S\s+\d{1,4}$", below)
        if self.region == "front_matter" and listed:
            return None  # a table of contents
        self.chapters += 1
        self.chapter, self.last_exercise = found.label or str(self.chapters), ()
        return self.enter("body", found)

    def _key_goes_on(self, index: int) -> bool:
        """Whether the items after a head inside a key look like answers: short, and no question among the first."""
        coming = [self.following(index, d) for d in range(1, 5)]
        return not any(text.endswith("?") for text in coming)

    def _key(self, index: int, text: str, line: Line) -> Mark | None:
        asked = labels.question(text)
        worded = asked if asked and asked.label else None
        found = worded or (None if self.worded else labels.item(text))
        part = headings.section(text)
        if (
            part
            and (coming := labels.item(self.following(index)))
            and len(coming.label) <= len(part.label)
            and "." not in coming.label
        ):
            self.section, self.last = part.label, ()
            return Mark("answer_key", "", text, 3)
        bare_head = re.match(r"(\d{1,2})\s+([A-Z].{3,70})$", text)
        if (
            bare_head
            and (coming := labels.item(self.following(index)))
            and coming.label.startswith(bare_head.group(1) + ".")
        ):
            return Mark("answer_key", "", text, 3)
        if found is None:
            return None
        number = labels.order(found.label)
        rises = numbering.rises(self.lines, index, number) or self._listed(index, number)
        gap = 150 if rises else 12 if line.fresh == 0 else 40
        if not numbering.follows(self.last, number, gap):
            if not numbering.begins_anew(self.lines, index, number, self.last):
                return None
            if self.chapter.isdigit() and number < self.last:
                self.chapter = str(int(self.chapter) + 1)  # its head was lost with the running heads
        self.last, self.worded = number, worded is not None
        return Mark("answer_key", found.label, found.rest, 2)

    def _listed(self, index: int, number: tuple[int, ...]) -> bool:
        """Whether an answer of one line stands above this line of a key, and below it a greater number or its end."""
        if not self.blocks[-1].label or len(self.blocks[-1].lines) > 1:
            return False
        below = self.following(index)
        if found := labels.item(below):
            return labels.order(found.label) > number
        return not below or headings.chapter(below) is not None

    def _instruction(self, index: int, text: str) -> Mark | None:
        if self.unnumbered or not instructs(self.lines, index):
            return None
        self.open, self.answered = "", False
        return Mark("instruction", "", text, 3)

    def _labelled(self, index: int, text: str, line: Line) -> Mark | None:
        expected = bool(self.open) and not self.answered
        fresh = line.fresh or text.isupper() or (self.open == "example" and labels.alone(text))
        if fresh and labels.announces(text):
            if (found := labels.example(text)) and (line.fresh or not found.rest):
                self.open, self.answered = "example", False
                return found
            if expected and (found := labels.step(text)) or (self.open == "example" and (found := labels.step(text))):
                return found
            if self.open and (found := labels.solution(text, expected=expected)):
                self.answered = True
                return found
            if found := labels.answer(text, expected=expected):
                self.answered = True
                return found
            if found := labels.question(text):
                self.open = "q" if re.match(r"[Qq]\b|[Qq]\d", text) else "question"
                self.answered = False
                self.last = labels.order(found.label) or self.last
                self.unnumbered = not found.label
                return found
        elif fresh and expected and self.open == "q" and (answer := self._short_answer(index, text)):
            self.answered = True
            return answer
        return self._item(index, text, line)

    def _short_answer(self, index: int, text: str) -> Mark | None:
        found = re.match(r"A\s?(\d{0,3})\s*[.:)]\s+(\S.*)", text)
        if not found or any(labels.option(self.following(index, d)) == "B" for d in (1, 2, 3)):
            return None
        return Mark("answer", found.group(1), found.group(2), 0)

    def _item(self, index: int, text: str, line: Line) -> Mark | None:
        found = labels.item(text)
        part = headings.section(text)
        number = labels.order(found.label) if found else ()
        goes_on = (
            self.region == "exercises"
            and number[:-1] == self.last[:-1]
            and numbering.follows(self.last, number, 1)
            and bool(self.last)
        )
        if part and line.fresh and not goes_on:
            prefix = part.label.split(".")[0]
            if prefix != self.chapter and (self.chapter.isdigit() or not self.chapter):
                self.chapter, self.last_exercise = prefix, ()  # the head of the chapter had no number
            return self.enter("body", part)
        if found is None:
            return None
        if self.region == "exercises" and not self.unnumbered:
            known = self.last or (self.last_exercise if len(self.last_exercise) == len(number) else ())
            if numbering.follows(known, number, 30 if line.fresh else 2) or (not self.last and number == (1,)):
                self.open, self.answered = "exercise", False
                self.last = self.last_exercise = number
                return Mark("exercise", found.label, found.rest, 2)
            return None
        if line.fresh and len(number) == 1 and not re.match(r"\d", found.rest):
            return Mark("list", found.label, found.rest, 1)
        return None

    def _footnote(self, text: str, line: Line, index: int) -> Mark | None:
        found = labels.footnote(text) if line.fresh else None
        if found is None:
            return None
        number = int(found.label)
        marker = re.compile(rf"\^\{{{number}\}}|\[\^{number}\](?!:)|[.?!)”a-z]{number}(?:\s|$)")
        near = any(marker.search(other.text) for other in self.lines[max(0, index - 60) : index])
        sentence = re.match(r"[A-Z“\"](?:[\w’']| [a-z]{2})|\((?:[a-z]|[ivx]+)\)|[a-z]{4}", found.rest)
        in_order = number == self.last_note + 1
        if not near or not (in_order and (sentence or number > 1) or sentence and text.startswith(("^", "["))):
            return None
        self.last_note = number
        return found

    def _heading(self, index: int, text: str, depth: int, line: Line) -> Mark | None:
        coming = self.following(index)
        if depth >= 2:
            if self.region == "exercises" and labels.item(coming):
                return Mark("heading", "", text, 3)
            return self.enter("body", Mark("section" if depth == 2 else "heading", "", text, 4 if depth == 2 else 3))
        if coming[:1].islower():
            return None
        long = len(coming) > 60 and coming[0].isupper()
        if (
            not (line.alone or (line.fresh == 2 and long))
            or not coming
            or self.region in ("front_matter", "index", "bibliography")
            or not headings.title(text)
        ):
            return None
        if self.open == "example" and not _leads_on(coming):
            return None  # a caption or a lead-in to a formula, in a solution
        waits = (self.region != "exercises" or self.unnumbered) and not self.answered and self._just_opened()
        if waits or (
            self.blocks
            and self.blocks[-1].kind in ("solution", "answer", "example")
            and not "".join(self.blocks[-1].body)
        ):
            return None  # the title of an example, or a short answer below its label
        if self.region in ("exercises", "answer_key") and (
            labels.item(coming) or labels.option(coming) or len(coming.split()) < 12
        ):
            return None if self.region == "answer_key" or not labels.item(coming) else Mark("heading", "", text, 2)
        if self.region == "exercises" and numbering.goes_on(self.lines, index, self.last):
            return None  # the head of a table, in an exercise
        opened = self.open, self.answered
        mark = self.enter("body", Mark("heading", "", text, 3))
        self.open, self.answered = opened if opened[0] == "example" else ("", False)
        return mark

    def _just_opened(self) -> bool:
        """Whether an example or a question has hardly begun: what looks like a heading is its title or its text."""
        if self.open == "example":
            return any(draft.kind == "example" for draft in self.blocks[-2:])
        return bool(self.open) and self.blocks[-1].kind == "question" and not "".join(self.blocks[-1].body)


def _leads_on(text: str) -> bool:
    """Whether a line can stand below a heading: prose, or the label of something."""
    return bool(
        len(text) > 50 and text[:1].isupper() or labels.example(text) or headings.section(text) or text.startswith("•")
    )
