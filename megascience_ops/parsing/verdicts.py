"""Verdicts: yes or no, the fault of a pair, the subject and level of a book."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

from megascience_ops.errors import Unparsed
from megascience_ops.parsing.labels import Section, line, quoted, sections, spoken

Fault = Literal["none", "contradiction", "missing_context", "no_answer", "unspecified"]
Subject = Literal[
    "biology", "chemistry", "computer_science", "economics", "mathematics", "medicine", "physics", "other"
]
Level = Literal["below_university", "undergraduate", "graduate"]

_WRAPPERS = re.compile(r"""\A(?:[\s*_`"'“”‘’(\[{<【$]|\\(?:boxed|text|textbf|mathrm|mathbf)(?![A-Za-z]))*+""")
_CLOSERS = " \t*_`\"'”’)]}>】$"
_EXPLAINS = tuple(",;:.(–—-")  # what may stand between a verdict and its explanation on one line


@dataclass(frozen=True)
class FilterVerdict:
    """Whether a pair stays, and what is wrong with one that does not (`unspecified`: not told)."""

    keep: bool
    fault: Fault


@dataclass(frozen=True)
class BookClass:
    """Subject and academic level of a book."""

    subject: Subject
    level: Level


def decision(text: str) -> bool:
    """The last `Decision: YES` or `Decision: NO` that stands at a line start.

    Raises `Unparsed`: `no_decision`, `unclear_decision` (also for both at once), `empty`, `unfinished`.
    """
    return _decision(sections(spoken(text), "decision"))


def filter_verdict(text: str) -> FilterVerdict:
    """The last `Fault:` and the last `Decision:`, YES meaning that the pair stays.

    Raises `Unparsed` as `decision` does, and `unclear_fault` or `contradictory` where the two disagree.
    """
    found = sections(spoken(text), "fault", "decision")
    keep = _decision(found)
    fault: Fault = "none" if keep else "unspecified"
    if said := _last(found, "fault"):
        choices = tuple(word for word in get_args(Fault) if word != "unspecified")
        try:
            fault = cast(Fault, _choice("fault", said, choices))
        except Unparsed:
            if keep:
                raise
        else:
            if keep != (fault == "none"):
                raise Unparsed("contradictory", f"fault {fault}, decision {'YES' if keep else 'NO'}")
    return FilterVerdict(keep, fault)


def book_class(text: str) -> BookClass:
    """The last `Subject:` and the last `Level:`, each exactly one of those asked for.

    Raises `Unparsed`: `no_subject`, `unclear_subject`, `no_level`, `unclear_level`, `empty`, `unfinished`.
    """
    found = sections(spoken(text), "subject", "level")
    subject = _choice("subject", _last(found, "subject"), get_args(Subject))
    level = _choice("level", _last(found, "level"), get_args(Level))
    return BookClass(cast(Subject, subject), cast(Level, level))


def decision_of(said: str) -> bool:
    """The YES or NO with which a verdict begins. Raises `Unparsed`: `no_decision`, `unclear_decision`."""
    return _choice("decision", said, ("yes", "no")) == "yes"


def _decision(found: list[Section]) -> bool:
    return decision_of(_last(found, "decision"))


def _last(found: list[Section], name: str) -> str:
    """The line said under the last of the labels called `name`; empty when there is none."""
    return next((line(section.text) for section in reversed(found) if section.name == name), "")


def _choice(name: str, said: str, choices: tuple[str, ...]) -> str:
    """The one of `choices` with which `said` begins, alone or before an explanation that names no other."""
    if not said:
        raise Unparsed(f"no_{name}", f"no line that starts with {name.title()}: and says one")
    bare = _WRAPPERS.sub("", said, count=1)
    match = _words(choices).match(bare)
    if match is None:
        raise Unparsed(f"unclear_{name}", quoted(said))
    word, rest = match[0], bare[match.end() :]
    if any(c.isalnum() for c in rest) and rest.lstrip(_CLOSERS)[:1] not in _EXPLAINS:
        raise Unparsed(f"unclear_{name}", quoted(said))
    # "YES, there is no contradiction" is a YES with its reason; "YES, NO" and "physics, chemistry" say none.
    others = (found[0] for found in _words(choices).finditer(rest))
    if any(_slug(other) != _slug(word) and (other.isupper() or not word.isupper()) for other in others):
        raise Unparsed(f"unclear_{name}", quoted(said))
    return _slug(word)


def _slug(word: str) -> str:
    return re.sub(r"[ \t_-]+", "_", word).lower()


@cache
def _words(choices: tuple[str, ...]) -> re.Pattern[str]:
    either = "|".join(choice.replace("_", r"[ \t_-]{1,3}") for choice in choices)
    return re.compile(rf"(?<!\w)(?:{either})(?![\w/|]|-\w)", re.IGNORECASE)
