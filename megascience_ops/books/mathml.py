"""MathML as a line of text: its TeX where the author left it, else `x_{0}`, `t^{2}`, `(a)/(b)`."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_MATH = re.compile(r"<(?:\w+:)?math\b[^>]*>.*?</(?:\w+:)?math>", re.IGNORECASE | re.DOTALL)
_TEX = re.compile(r"<annotation\b[^>]*x-(?:tex|latex)[^>]*>(.*?)</annotation>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<[^>]*>")
_SPACED = frozenset("=+−<>≤≥≈→×⋅±≠⇒-")


def mathml_replaced(source: str) -> str:
    """HTML or Markdown with each `<math>` element replaced by its text."""
    return _MATH.sub(lambda match: html.escape(_text(match.group()), quote=False), source)


def _text(element: str) -> str:
    tex = _TEX.search(element)
    if tex and tex.group(1).strip():
        return f"\\({html.unescape(tex.group(1)).strip()}\\)"
    reader = _Reader()
    reader.feed(re.sub(r"(</?)\w+:", r"\1", element))
    reader.close()
    return " ".join(reader.text().split()) or " ".join(_TAGS.sub(" ", element).split())


class _Reader(HTMLParser):
    """Each open element holds the texts of its children; closing it makes one text of them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, list[str]]] = [("", [])]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append((tag, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1][1].append(" " if tag == "mspace" else "")

    def handle_endtag(self, tag: str) -> None:
        if not any(name == tag for name, _ in self.open[1:]):
            return
        while True:
            name, parts = self.open.pop()
            self.open[-1][1].append(_made(name, parts))
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        data = data.strip()
        name, parts = self.open[-1]
        if data:
            parts.append(f" {data} " if name == "mo" and data in _SPACED else data)

    def text(self) -> str:
        while len(self.open) > 1:
            name, parts = self.open.pop()
            self.open[-1][1].append(_made(name, parts))
        return "".join(self.open[0][1])


def _made(name: str, parts: list[str]) -> str:
    if name in ("annotation", "annotation-xml"):
        return ""
    if name in ("msub", "munder") and len(parts) == 2:
        return f"{parts[0]}_{{{parts[1].strip()}}}"
    if name in ("msup", "mover") and len(parts) == 2:
        return f"{parts[0]}^{{{parts[1].strip()}}}"
    if name in ("msubsup", "munderover") and len(parts) == 3:
        return f"{parts[0]}_{{{parts[1].strip()}}}^{{{parts[2].strip()}}}"
    if name == "mfrac" and len(parts) == 2:
        return f"({parts[0].strip()})/({parts[1].strip()})"
    if name == "msqrt":
        return f"√({''.join(parts).strip()})"
    if name == "mfenced":
        return f"({', '.join(part.strip() for part in parts)})"
    if name in ("mtd", "mtr", "mtext"):
        return f"{''.join(parts)} "
    return "".join(parts)
