"""LaTeX as a tree of MathML elements. Books and models are strangers, so only known elements pass.

What the library makes of a formula is never taken as markup: it lets tags and links through.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from megascience_ops.strangers import visible

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Node = tuple[str, dict[str, str], list[Any]]  # element, attributes, and what is in it: nodes and texts

LONGEST = 2000  # characters of a formula; longer ones are shown as they were written
DEEPEST = 60

_ELEMENTS = frozenset(
    ("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup")
    + ("munder", "mover", "munderover", "mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mtd", "mstyle")
    + ("menclose",)
)
_AS_ROW = frozenset({"mphantom", "mpadded"})  # they hide what they hold, or move it over something else
_ATTRIBUTES = frozenset(
    ("display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "separator", "form", "accent")
    + ("accentunder", "symmetric", "movablelimits", "largeop", "linethickness", "columnalign", "columnlines")
    + ("rowlines", "notation", "width", "minsize", "maxsize")
)
_VALUE = re.compile(r"[a-z -]{1,40}|-?\d{0,2}(\.\d{1,4})?(em|ex|pt|px|mu|%)?")
_ENTITIES = re.compile(r"(&#x[0-9A-Fa-f]{1,6};)+")


@lru_cache(maxsize=4096)
def tree(latex: str, display: bool = False) -> Node | None:
    """The formula as MathML elements; None where it cannot be read, and is better shown as it was written."""
    if len(latex) > LONGEST or _depth(latex) > DEEPEST:
        return None
    from latex2mathml import converter, exceptions

    known: list[object] = list(vars(exceptions).values())
    unreadable = [one for one in known if isinstance(one, type) and issubclass(one, Exception)]
    broken = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration)  # of broken LaTeX
    cannot: tuple[type[Exception], ...] = (*unreadable, *broken, _Unknown)
    try:
        return _node(converter.convert_to_element(latex, display="block" if display else "inline"))
    except cannot:
        return None


class _Unknown(Exception):
    """An element or a command that nobody can show."""


def _node(element: Element) -> Node:
    name = "mrow" if element.tag in _AS_ROW else element.tag
    if name not in _ELEMENTS:
        raise _Unknown(name)
    attributes = {key: value for key, value in element.attrib.items() if key in _ATTRIBUTES and _VALUE.fullmatch(value)}
    inside: list[Any] = [_text(element.text)] if element.text else []
    for child in element:
        inside.append(_node(child))
        if child.tail:
            inside.append(_text(child.tail))
    return name, attributes, inside


def _text(said: str) -> str:
    """A text of the formula: its signs come as numeric entities."""
    text = html.unescape(said) if _ENTITIES.fullmatch(said) else said
    if text.startswith("\\") and len(text) > 1:
        raise _Unknown(text)
    return visible(text)


def _depth(latex: str) -> int:
    deepest = depth = 0
    for sign in latex:
        depth += (sign == "{") - (sign == "}")
        deepest = max(deepest, depth)
    return deepest
