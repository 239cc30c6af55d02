"""What planted questions say of a decontamination: recall and precision, from what became of each of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from megascience_ops.rows import Planted

PLANTED = "planted_"  # how the reasons of planted rows begin
OUTCOMES = ("caught", "missed", "passed", "accused", "unread")


def tally(planted: Planted, outcome: str) -> str:
    """Under which name a receipt counts what became of a planted question."""
    return "/".join(("planted", planted.family, "same" if planted.same else "another", planted.kind, outcome))


def measured(tallies: Mapping[str, int]) -> dict[str, Any]:
    """Recall and precision of a whole decontamination.

    `recall`: of those that are a benchmark's question, the share that was caught. `precision`: of those that were
    caught, the share that are one, if as many of either sort came in. `unread` ones were caught by nobody, though they
    do not pass either. By family and by kind: how many came in, and how many of them went right.
    """
    total: Counter[str] = Counter()
    right: dict[str, dict[str, Counter[str]]] = {"family": defaultdict(Counter), "kind": defaultdict(Counter)}
    for name, number in tallies.items():
        if name.startswith("planted/"):
            family, sort, kind, outcome = name.removeprefix("planted/").rsplit("/", 3)
            total.update({sort: number, outcome: number, "planted": number})
            for by, key in (("family", family), ("kind", kind)):
                right[by][key].update({"of": number, "right": number * (outcome in ("caught", "passed"))})
    if not total:
        return {}
    recall = total["caught"] / total["same"] if total["same"] else None
    alarms = total["accused"] / total["another"] if total["another"] else None
    caught = None if recall is None or alarms is None else recall + alarms
    return {
        **{name: total[name] for name in ("planted", "same", "another", *OUTCOMES)},
        "recall": None if recall is None else round(recall, 4),
        "precision": round((recall or 0) / caught, 4) if caught else None,
        **{f"by_{by}": {key: dict(one) for key, one in sorted(found.items())} for by, found in right.items()},
    }


def in_words(measured: Mapping[str, Any]) -> str:
    """What the planted questions measured, in a sentence or two; an empty text where nothing was planted."""
    if not measured:
        return ""
    recall, precision = _percent(measured["recall"]), _percent(measured["precision"])
    said = (
        f"{measured['planted']} altered benchmark questions travelled along. Of {measured['same']} that had to be "
        f"caught {measured['caught']} were (recall {recall}); of {measured['another']} that only look like one "
        f"{measured['accused']} were taken for one (precision {precision})."
    )
    return said + (f" {measured['unread']} verdicts could not be read." if measured["unread"] else "")


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{share:.0%}"
