"""Text of strangers, made safe to show: control characters are seen instead of obeyed.

A book can hold the bytes that clear a terminal, change its title or turn the direction of writing.
"""

from __future__ import annotations

_CONTROL_PICTURES = 0x2400
_UNSEEN = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]
_SHOWN = {
    **{code: chr(_CONTROL_PICTURES + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **{
        code: f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{code:04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}" for code in _UNSEEN
    },
}


def visible(text: str) -> str:
    """The text with each control character but newline and tab, and each mark of direction, as a visible sign."""
    return text.translate(_SHOWN)
