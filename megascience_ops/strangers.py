"""Text of strangers, from books and from models: made safe to keep, to show, and to say to a model.

A book can hold the bytes that clear a terminal, halves of characters that no file can hold, and the marks by which a
chat template tells who is speaking.
"""

from __future__ import annotations

import re

_CONTROL_PICTURES = 0x2400
_UNSEEN = [*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]
_SHOWN = {
    **{code: chr(_CONTROL_PICTURES + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **{
        code: f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{code:04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}" for code in _UNSEEN
    },
}

# Marks of chat templates, which tokenizers read as such wherever they stand in a message
_TEMPLATE_MARK = re.compile(
    r"<(?=\|[^|<>\n]{1,60}\|>"  # <|im_start|>, <|eot_id|>, <|endoftext|>
    r"|\uff5c[^\uff5c<>\n]{1,60}\uff5c>"  # DeepSeek's, with full-width bars
    r"|/?(?:s|pad|bos|eos|unk|think|tool_call|tool_response|start_of_turn|end_of_turn)>"
    r"|</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)


def visible(text: str) -> str:
    """The text with each control character but newline and tab, and each mark of direction, as a visible sign."""
    return text.translate(_SHOWN)


def whole(text: str) -> str:
    """The text with every half of a character (a lone surrogate) replaced, so that it can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def disarmed(text: str) -> str:
    """The text with a space in each mark of a chat template: to a model it is then text like any other."""
    return _TEMPLATE_MARK.sub(lambda mark: f"{mark[0]} ", text)
