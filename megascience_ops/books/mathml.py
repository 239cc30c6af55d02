"""MathML as a line of text: its TeX where the author left it, else `x_{0}`, `t^{2}`, `(a)/(b)`, `v̄`."""

from __future__ import annotations

import html
import re
import unicodedata
from html.parser import HTMLParser

_MATH = re.compile(r"<(?:\w+:)?math\b[^>]*>.*?</(?:\w+:)?math>", re.IGNORECASE | re.DOTALL)
_TEX = re.compile(r"<annotation\b[^>]*x-(?:tex|latex)[^>]*>(.*?)</annotation>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<[^>]*>")
_SPACED = frozenset("=+−–<>≤≥≈→×⋅±≠⇒-")
_ACCENTS = dict(zip("-−¯‾ˉ―→⃗^ˆ˙~˜", "\u0304" * 6 + "\u20d7" * 2 + "\u0302" * 2 + "\u0307" + "\u0303" * 2, strict=True))
_SIGN = re.compile(r"(^|[=(\[{,;<>≈×⋅/]\s*)([−+±-]) (?=\S)")


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
    text = " ".join(reader.text().split()) or " ".join(_TAGS.sub(" ", element).split())
    return _SIGN.sub(r"\1\2", re.sub(r"(?<=[(\[]) | (?=[)\],;]|\.(?:\s|$))", "", text))


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
        name, parts = self.open[-1]
        if name == "mtext" and "\n" not in data and data.strip(" \xa0"):
            # A word stands apart from the signs around it; `4`, `.`, `29 m` are pieces of one number and its unit.
            parts.append(f" {data} " if re.fullmatch(r"[^\W\d_]{2,}", data.strip()) else data)
            return
        data = data.strip()
        if data:
            parts.append(f" {data.replace('–', '−')} " if name == "mo" and data in _SPACED else data)

    def text(self) -> str:
        while len(self.open) > 1:
            name, parts = self.open.pop()
            self.open[-1][1].append(_made(name, parts))
        return "".join(self.open[0][1])


def _made(name: str, parts: list[str]) -> str:
    if name in ("annotation", "annotation-xml"):
        return ""
    if name in ("msub", "msup") and len(parts) == 2 and parts[1].strip() in (".", ",", ";"):
        return "".join(parts)
    if name == "mover" and len(parts) == 2 and len(parts[0].strip()) == 1 and parts[1].strip() in _ACCENTS:
        return unicodedata.normalize("NFC", parts[0].strip() + _ACCENTS[parts[1].strip()])
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
    if name in ("mtd", "mtr"):
        return f"{''.join(parts)} "
    return "".join(parts)
