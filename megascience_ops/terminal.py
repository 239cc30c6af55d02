"""How things are shown in a terminal: names and values in a frame, as wide as it is."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from megascience_ops.strangers import visible

WIDTH = 100  # where nobody says how wide the terminal is
SHOWN_CHARACTERS = 1200
BULKY = {"pages", "document", "excerpt"}  # fields nobody reads in a terminal


def console() -> Console:
    """Where it is printed: as wide as the terminal, and 100 columns where there is none."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def panel(title: str, values: dict[str, Any]) -> Panel:
    """Names and values in a frame; of long values the beginning."""
    text = Text()
    for name, value in values.items():
        said = str(value)
        said = said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]} ... ({len(said):,} characters)"
        text.append(f"{name}: " if name else "", "bold")
        text.append(f"{visible(said)}\n")
    text.right_crop(1)
    return Panel(text, title=Text(visible(title)), title_align="left")


def readable(values: dict[str, Any]) -> dict[str, Any]:
    """What of a row's fields people read."""
    return {name: value for name, value in values.items() if name not in {"id", "source", *BULKY}}
