"""Text of strangers on a terminal: what would be obeyed is shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from megascience_ops.looking import terminal
from megascience_ops.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve, 中文, x^{2}\n\ttab", "plain, naïve, 中文, x^{2}\n\ttab"),
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("nul\x00 del\x7f csi\x9b31m", "nul␀ del␡ csi⟨U+009B⟩31m"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("back\rspace\b", "back␍space␈"),
    ],
)
def test_visible_shows_what_would_be_obeyed(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_terminal_row_from_a_hostile_book_cannot_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", lambda: Console(file=out, width=100))
    terminal.show_row({"id": "a[bold]b\x1b[2J", "detail": "[red]\x1b]0;owned\x07"})
    assert "\x1b" not in out.getvalue()
    assert "[red]" in out.getvalue() and "[bold]" in out.getvalue()
