"""Brief verdicts, which are JSON, and the verdicts on several candidates at once."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, cast, get_args

from megascience_ops.errors import Unparsed
from megascience_ops.parsing.labels import line, quoted, sections, spoken
from megascience_ops.parsing.verdicts import Fault, FilterVerdict, decision_of

_OBJECT = re.compile(r"^[ \t]*(?=\{)", re.MULTILINE)
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4}|)')


def brief_decision(text: str) -> bool:
    """`decision` of the last JSON object, YES or NO.

    Raises `Unparsed`: `no_json`, `no_decision`, `unclear_decision`, `said_twice`, `empty`, `unfinished`.
    """
    return _yes(_json(text))


def brief_filter_verdict(text: str) -> FilterVerdict:
    """`fault` and `decision` of the last JSON object, YES meaning that the pair stays.

    Raises `Unparsed` as `brief_decision` does, and `no_fault`, `unclear_fault`, or `contradictory` where they disagree.
    """
    found = _json(text)
    fault, keep = _word(found, "fault"), _yes(found)
    if fault not in get_args(Fault) or fault == "unspecified":
        raise Unparsed("unclear_fault", quoted(str(found["fault"])))
    if keep != (fault == "none"):
        raise Unparsed("contradictory", f"fault {fault}, decision {'YES' if keep else 'NO'}")
    return FilterVerdict(keep, cast(Fault, fault))


def decisions(count: int) -> Callable[[str], list[bool]]:
    """Reads a verdict on each of candidates 1 to `count`: the last `Decision 3: YES` or `NO` of each.

    It raises `Unparsed`: `no_verdict` where a candidate has none, `unknown_candidate`, `unclear_decision`, `empty`,
    `unfinished`.
    """

    def read(text: str) -> list[bool]:
        said: dict[str, str] = {}
        for section in sections(spoken(text), "decision", numbered=True):
            said[section.number or ""] = line(section.text)
        return _each(count, ((number, decision_of(word)) for number, word in said.items()))

    return read


def brief_decisions(count: int) -> Callable[[str], list[bool]]:
    """Reads a verdict on each of candidates 1 to `count` from `verdicts` of the last JSON object.

    It raises `Unparsed` as `decisions` does, and as `brief_decision` does.
    """

    def read(text: str) -> list[bool]:
        verdicts = _json(text).get("verdicts")
        if not isinstance(verdicts, list) or not all(isinstance(one, dict) for one in verdicts):
            raise Unparsed("no_verdict", "no list of verdicts")
        numbers = [str(one.get("candidate", "")) for one in verdicts]
        if len(set(numbers)) < len(numbers):
            raise Unparsed("said_twice", f"verdicts on the candidates {', '.join(numbers)}")
        return _each(count, zip(numbers, map(_yes, verdicts), strict=True))

    return read


def _each(count: int, verdicts: Iterable[tuple[str, bool]]) -> list[bool]:
    found = dict(verdicts)
    wanted = [str(number) for number in range(1, count + 1)]
    if unknown := [number for number in found if number not in wanted]:
        raise Unparsed("unknown_candidate", f"a verdict on candidate {quoted(unknown[0])} of {count}")
    if missing := [number for number in wanted if number not in found]:
        raise Unparsed("no_verdict", f"none on candidate {', '.join(missing)} of {count}")
    return [found[number] for number in wanted]


def _json(text: str) -> dict[str, Any]:
    """The last JSON object that starts a line; never one that stands inside another, nor one before a broken one.

    A backslash that JSON does not know is one of a formula, in a sentence that nobody reads for its verdict.
    """
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):  # then nothing was thought before it, whatever it quotes
        text = spoken(text)
    text = _ESCAPE.sub(lambda escape: escape[0] if escape[1] else r"\\", text)
    decoder = json.JSONDecoder(object_pairs_hook=_once, strict=False)
    found: dict[str, Any] | None = None
    end = 0
    while match := _OBJECT.search(text, end):
        try:
            found, end = decoder.raw_decode(text, match.end())
        except (ValueError, RecursionError) as error:
            raise Unparsed("no_json", f"{error}: {quoted(text[match.end() :])}") from None
    if found is None:
        raise Unparsed("no_json", f"no JSON object: {quoted(text)}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these keys and values; a key that is said twice says nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unparsed("said_twice", f"the keys {', '.join(name for name, _ in pairs)}")
    return found


def _yes(found: dict[str, Any]) -> bool:
    word = _word(found, "decision")
    if word not in ("yes", "no"):
        raise Unparsed("unclear_decision", quoted(str(found["decision"])))
    return word == "yes"


def _word(found: dict[str, Any], name: str) -> str:
    if found.get(name) is None:
        raise Unparsed(f"no_{name}", f"the keys are {', '.join(found) or 'none'}")
    return str(found[name]).strip().lower()
