"""Counts, times and states in few words."""

from __future__ import annotations

from megascience_ops.funnel import Line


def short(count: float) -> str:
    """`12,345`, `1.23 M`: four digits say enough of what is estimated."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if count >= size:
            return f"{count / (1e3 if letter == 'k' else size):,.{0 if letter == 'k' else 2}f} {letter}"
    return f"{count:,.0f}"


def standing(line: Line) -> str:
    """What there is to say of a stage that is not simply done."""
    if line.underway:
        left = line.underway.seconds_left
        rest = f", {duration(left)} left" if left is not None and line.state == "running" else ""
        return f"{line.state}: {line.underway.done:,} of {line.underway.total:,} rows{rest}"
    if line.state == "stale":
        return "stale: the stage before has other rows now"
    if line.restores is not None:
        return f"receipt {line.restores} restored"
    return "" if line.state == "done" else line.state


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
