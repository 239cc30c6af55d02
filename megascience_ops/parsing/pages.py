"""A page of a book as a vision model transcribed it: in Markdown, or with olmOCR's front matter above it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from megascience_ops.errors import Unparsed
from megascience_ops.yaml_text import NotYaml, read_yaml

BLANK = "[BLANK PAGE]"
_TURNED = re.compile(r"\[TURN (90|180|270)\]")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.S)
_OLMOCR_KEYS = {"primary_language", "is_rotation_valid", "rotation_correction", "is_table", "is_diagram"}
_FIGURE = re.compile(r"!\[[^\]]*\]\(page_[\w.]*\)")  # olmOCR's own words about a drawing, under a made-up name
_ENDLESS = re.compile(r"([^\n]{2,80}?|[^\n]*\n)\1{19,}\s*\Z", re.S)


class Transcription(NamedTuple):
    """What is on a page; or, where `turn` is not 0, by how many degrees to the left its image has to be turned first.

    An empty text says that there is nothing to read.
    """

    text: str
    turn: int = 0


def transcription(text: str) -> Transcription:
    """The page as Markdown; a code fence around the whole of it is taken off.

    Raises `Unparsed`: `empty` where nothing was said, `repetitive` where the model said the same thing without end.
    """
    page = text.strip()
    if page.startswith("```") and page.endswith("```") and page.count("```") == 2 and "\n" in page:
        page = page.split("\n", 1)[1].removesuffix("```").strip()
    if not page:
        raise Unparsed("empty", "nothing was said")
    if turned := _TURNED.fullmatch(page):
        return Transcription("", 360 - int(turned.group(1)))  # said to the right, as people do
    return Transcription("" if page == BLANK else _not_endless(page))


def olmocr_page(text: str) -> Transcription:
    """The page as olmOCR's models answer: front matter with five keys, then the text, of which there may be none.

    The format is that of the package olmocr 0.4.27; a correction turns to the left, as the package turns. What a model
    says of figures is left out, since the book does not say it. Raises `Unparsed`: `no_front_matter`,
    `wrong_front_matter`, `rotation` where a page is said to be turned by nothing, `repetitive`.
    """
    found = _FRONT_MATTER.match(text.strip())
    if found is None:
        raise Unparsed("no_front_matter", "the answer does not begin with front matter between two lines of ---")
    try:
        front = read_yaml(found.group(1))
    except NotYaml as error:
        raise Unparsed("wrong_front_matter", str(error)) from None
    if not isinstance(front, dict) or set(front) != _OLMOCR_KEYS:
        raise Unparsed("wrong_front_matter", f"it has to have {', '.join(sorted(_OLMOCR_KEYS))}, and nothing else")
    valid, correction = _flag(front, "is_rotation_valid"), front["rotation_correction"]
    if str(correction) not in ("0", "90", "180", "270"):
        raise Unparsed("wrong_front_matter", f"rotation_correction is {correction!r}")
    if not valid:
        if not int(correction):
            raise Unparsed("rotation", "the page is said to be turned, but not by how much")
        return Transcription("", int(correction))
    page = _FIGURE.sub("", text.strip()[found.end() :]).strip()
    return Transcription(_not_endless(page))


def _flag(front: dict[str, Any], name: str) -> bool:
    value = str(front[name]).lower()
    if value not in ("true", "false"):
        raise Unparsed("wrong_front_matter", f"{name} is {front[name]!r}")
    return value == "true"


def _not_endless(page: str) -> str:
    lines = [line for line in page.splitlines() if line.strip()]
    if len(lines) > 40 and len(set(lines)) < len(lines) / 8:
        raise Unparsed("repetitive", f"{len(lines)} lines, of which {len(set(lines))} differ")
    if (found := _ENDLESS.search(f"{page}\n")) and re.search(r"[^\W\d_]{2}", found.group(1)):
        raise Unparsed("repetitive", f"it ends in {found.group(1).strip()[:40]!r} again and again")
    return page
