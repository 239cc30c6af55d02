"""Markdown as plain text: its tables, lists, formulas and labels as a book prints them, without links and markup."""

from __future__ import annotations

import html
import re
from string import ascii_lowercase, ascii_uppercase

from megascience_ops.books.mathml import mathml_replaced

_TAGS = re.compile(r"</?(?:div|span|section|figure|figcaption|article|aside|em|strong|b|i|u|a|p|br|center)\b[^<>]*>")
# The element in which a publisher says what a part of a page is, and what a printed book would have there
PART_LABELS = {
    **{"example": "Example", "problem": "Question", "question": "Question"},
    **{"solution": "Answer", "answer": "Answer"},
}
BREAK = "* * *"  # the end of an answer or an example, where the source says where it ends
_PART = re.compile(rf'<(?:div|section|article|aside)\b[^<>]*\bdata-type="({"|".join(PART_LABELS)})"[^<>]*>')
_ELEMENT = re.compile(r"<(/?)(div|section|article|aside)\b[^<>]*>")
_FOLDED = re.compile(
    r"<details\b[^<>]*>\s*<summary\b[^<>]*>(?P<head>.{0,200}?)</summary>(?P<text>.{0,20000}?)</details>", re.DOTALL
)
# Blocks of MyST and Pandoc that say what they are: ```{exercise}, ::: {.solution #sol-3}, with options below
_FENCED = re.compile(
    rf"^(`{{3,}}|:{{3,}})\s*\{{\.?(exercise|{'|'.join(PART_LABELS)})\b[^}}\n]*\}}[^\n]*\n(?:[ \t]*:[\w-]+:[^\n]*\n)*"
    r"(.{0,20000}?)^\1[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_CROSS_REFERENCE = re.compile(r"\[\\?\[link\\?\]\]\([^()\s]*\)")  # to a figure or a table, whose number is not there
_LINK = re.compile(r"(?<![!\\])\[([^\[\]]+)\](?:\([^()\s]*(?:\s+\"[^\"\n]*\")?\)|\[\d+\])")
_TEX = re.compile(
    r"\$\$|\\[(\[](?!link)|\\(?:frac|sqrt|begin|text|mathrm|times|cdot|alpha|sum|int|left)\b|\$[^$\n]*\\[a-zA-Z][^$\n]*\$"
)
_ESCAPED = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_ESCAPED_POINT = re.compile(r"(?<=\d)\\\.")
_SUPERSCRIPT, _SUBSCRIPT = re.compile(r"<sup>([^<>]*)</sup>"), re.compile(r"<sub>([^<>]*)</sub>")
# Some converters end a paragraph after each formula in it: what follows is indented by one space.
_AFTER_FORMULA = re.compile(r"</math>\n\n(?= \S|[,.;:?!)\]’”]|\*+(?:[\s,.;:)]|$))")
_LIST_TYPE = re.compile(r"\{:[^{}]*\btype=\"([aA])\"")
_IMAGE = re.compile(r'!\[[^\]]{0,4000}\]\([^()\s]*(?:\s+"(?:[^"\\]|\\.)*")?\s*\)(?:\{:[^{}\n]*\})?')
_IFRAME = re.compile(r"<iframe\b.{0,2000}?</iframe>|<iframe\b[^<>]*/>", re.DOTALL)
_ATTRIBUTES = re.compile(r"\{:[^{}\n]*\}|^(#{1,6} .*?)[ \t]*\{#[\w-]+[^{}\n]*\}[ \t]*$", re.MULTILINE)
_NUMBERED = re.compile(r"\d+\.\s+")
_TABLE = re.compile(r"</?table\b[^<>]*>")
_TABLE_PART = re.compile(r"</?(?:thead|tbody|tfoot|colgroup|col|caption)\b[^<>]*>")
_CELL, _CELL_END = re.compile(r"\s*<(?:td|th)\b[^<>]*>\s*"), re.compile(r"\s*</(?:td|th)>\s*")
_ROW, _ROW_END = re.compile(r"\s*<tr\b[^<>]*>\s*"), re.compile(r"\s*</tr>")


def plain_markdown(text: str) -> str:
    """Markdown without the HTML around and within it; TeX maths and everything else untouched."""
    text = _lettered(_IFRAME.sub("", text))
    if "<math" in text:
        text = _AFTER_FORMULA.sub("</math>", text)
        text = html.unescape(mathml_replaced(text))
        # A formula's element may have ended the paragraph in the middle of a sentence.
        text = re.sub(r"(?<=\S)\n\n+(?=[,.;:?!)])", "", text)
        text = re.sub(r"(?<=\w) +(?=\^\{)", "", text)
        text = re.sub(r"(?<=\S)\n\n+[ ]+(?=[a-z(]|\*+[a-z])", " ", text)
    text = _FOLDED.sub(_unfolded, _FENCED.sub(_part, text))
    text = _IMAGE.sub(lambda image: f"\n\n{image.group()}\n\n", text)
    if "<table" in text:
        text = _table_rows(text)
    has_tex = _TEX.search(text) or "```" in text
    text = _LINK.sub(r"\1", _CROSS_REFERENCE.sub("\\[link\\]", text))
    text = _ESCAPED_POINT.sub(".", text.replace("\\[link\\]", "[link]")) if has_tex else _ESCAPED.sub("", text)
    text = _ended(text) if 'data-type="example"' in text else text
    text = _PART.sub(lambda part: f"\n\n{PART_LABELS[part.group(1)]}\n\n", text)
    text = _SUPERSCRIPT.sub(r"^{\1}", _SUBSCRIPT.sub(r"_{\1}", text))
    return _ATTRIBUTES.sub(r"\1", _TAGS.sub("", text)) if re.search(r"<|\{[:#]", text) else text


def _ended(text: str) -> str:
    """A text in which a rule is drawn below each element that is an example."""
    out, place = [], 0
    inside: dict[str, list[bool]] = {}
    for tag in _ELEMENT.finditer(text):
        opened = inside.setdefault(tag[2], [])
        if not tag[1]:
            opened.append('data-type="example"' in tag[0])
        elif opened and opened.pop():
            out += [text[place : tag.end()], f"\n\n{BREAK}\n\n"]
            place = tag.end()
    return "".join([*out, text[place:]])


def _part(found: re.Match[str]) -> str:
    label = PART_LABELS.get(found[2], "Question")
    return f"\n\n{label}\n\n{found[3]}\n\n{BREAK if label == 'Answer' else ''}\n\n"


def _unfolded(found: re.Match[str]) -> str:
    head = _TAGS.sub("", found["head"]).strip()
    answers = re.match(r"\W*(?:solution|answer)", head, re.I)
    return f"\n\n{head}\n\n{found['text']}\n\n{BREAK if answers else ''}\n\n"


def _lettered(text: str) -> str:
    """Numbered lists with letters, where the attribute below them asks for letters."""
    lines = text.split("\n")
    for end, line in enumerate(lines):
        if found := _LIST_TYPE.match(line):
            start = end
            while start and lines[start - 1].strip():
                start -= 1
            marks = iter(ascii_lowercase if found.group(1) == "a" else ascii_uppercase)
            for place in range(start, end):
                if number := _NUMBERED.match(lines[place]):
                    lines[place] = f"{next(marks, '*')}. {lines[place][number.end() :]}"
    return "\n".join(lines)


def _table_rows(text: str) -> str:
    """Tables of HTML as lines with `|` between their cells."""
    text = _CELL_END.sub(" | ", _CELL.sub("", _TABLE_PART.sub("", text)))
    return _ROW_END.sub("", _ROW.sub("\n| ", _TABLE.sub("\n\n", text)))
