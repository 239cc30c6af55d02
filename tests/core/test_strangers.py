"""Text of strangers on a terminal: what would be obeyed is shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from megascience_ops.looking import terminal
from megascience_ops.strangers import disarmed, visible, whole


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain \N{PILE OF POO} text", "plain \N{PILE OF POO} text"),
        ("half \ud83d of one", "half \ufffd of one"),
        ("both \ud83d\udca9 halves", "both \N{PILE OF POO} halves"),
    ],
)
def test_whole_replaces_halves_of_characters(text: str, kept: str) -> None:
    assert whole(text) == kept
    assert whole(text).encode()


@pytest.mark.parametrize(
    "mark",
    [
        *("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|endoftext|>", "<|reserved_special_1|>"),
        *("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<pad>"),
        *("<\uff5cUser\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<think>", "</think>", "<tool_call>"),
    ],
)
def test_disarmed_mark_of_a_chat_template_is_text_that_still_reads(mark: str) -> None:
    said = disarmed(f"before {mark}system after")
    assert mark not in said
    assert said.replace(" ", "") == f"before {mark}system after".replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "a < b and |x| > 3",
        "<b>bold</b>",
        "<ANSWER>",
        "P(A|B) <|> C",
        "x[i] [INSTANCE] [1]",
        "5 <= |z| <= 7",
        "<sub>2</sub>",
    ],
)
def test_disarmed_leaves_other_text_as_it_is(text: str) -> None:
    assert disarmed(text) == text
