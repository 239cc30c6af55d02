"""The lexical pass: questions that need no model to be known as a benchmark's, because they say the same words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from megascience_ops.contamination.benchmarks import BenchmarkQuestion
from megascience_ops.contamination.vectors import STOP_WORDS
from megascience_ops.contamination.wording import respelled, without_options

Same = Literal["words", "part"]

WORDS = 13  # in a row: a whole question of so many that stands inside of ours makes it contaminated
CONTENT = 4  # words of a stem that say something, for it to be a question without its options
_NEEDS_OPTIONS = re.compile(
    r"\b(?:following|except|these|below|options?|statements?|which one|not true|false|incorrect)\b", re.IGNORECASE
)


class Copies:
    """Knows the benchmark questions by their words, as `respelled` puts them.

    `words`: ours is theirs, with or without options, whatever the case, punctuation or spelling of LaTeX. `part`:
    theirs stands in ours whole, word by word. A stem that means nothing without its options has to come with them.
    """

    def __init__(self, questions: Sequence[BenchmarkQuestion]) -> None:
        self.stems = [respelled(one.question) for one in questions]
        times: dict[str, int] = defaultdict(int)
        for stem in self.stems:
            times[stem] += 1
        self._by_words: dict[str, int] = {}
        self._by_start: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
        for place, (one, stem) in enumerate(zip(questions, self.stems, strict=True)):
            forms = [respelled(one.whole)] if one.options else []
            if not one.options or (times[stem] == 1 and stands_alone(one)):
                forms.append(stem)
            for form in forms:
                self._by_words.setdefault(form, place)
                words = form.split(" ")
                if len(words) >= WORDS:
                    self._by_start[tuple(words[:WORDS])].append((place, form))

    def of(self, text: str) -> list[tuple[int, Same]]:
        """The places of the benchmark questions whose words the text has; no place twice."""
        found: dict[int, Same] = {}
        whole = respelled(text)
        bare = without_options(text)
        for words in (whole, respelled(bare)) if bare else (whole,):
            if words and (place := self._by_words.get(words)) is not None:
                found.setdefault(place, "words")
        words_in_order = whole.split(" ")
        for at in range(len(words_in_order) - WORDS + 1):
            for place, form in self._by_start.get(tuple(words_in_order[at : at + WORDS]), ()):
                rest = " ".join(words_in_order[at : at + form.count(" ") + 1])
                if rest == form:
                    found.setdefault(place, "part")
        return list(found.items())


def stands_alone(one: BenchmarkQuestion) -> bool:
    """Does the question mean the same without its options?"""
    content = [word for word in respelled(one.question).split(" ") if word.isalpha() and word not in STOP_WORDS]
    return not one.options or (len(set(content)) >= CONTENT and not _NEEDS_OPTIONS.search(one.question))
