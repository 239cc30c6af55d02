"""Questions with their answers as a book's Markdown source marks them up: the gold that extraction is scored against.

The sources are those of the CNXML family, turned into Markdown: a `SUMMARY.md` that lists the chapters, and in
`contents/` a file for each section, in which `<div data-type="exercise">` holds a problem and perhaps a solution, and
`<div data-type="example">` a worked example. Nothing of `megascience_ops` is used to read them, so that a fault of the
reader cannot hide in its own yardstick.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LISTED = re.compile(r"^( *)\d+\. +\{: \.(chapter|part|preface|appendix)\} +(?:\[(.*?)\]\(contents/(\w+)\.md\))?")
_SECTION = re.compile(r"^ +\d+\. +\[(.*?)\]\(contents/(\w+)\.md\)")
_DIV = re.compile(r"<(/?)div\b([^>]*)>")
_TYPE = re.compile(r'data-type="([^"]+)"')
_STEP = re.compile(r"^(?:\*\*|<strong>)(?:Strategy|Solution|Approach|Set ?up)\b", re.M)
_IMAGE = re.compile(r'!\[[^\]]*\]\([^()\s]*(?:\s+"(?:[^"\\]|\\.)*")?\s*\)')
_LETTERED = re.compile(r"((?:^\d+\.\s.*\n(?:(?!\d+\.|\{:).+\n)*)+)\{: type=\"([aA])\"\}", re.M)
_WORD = re.compile(r"\d+|[^\W\d_]+")


@dataclass(frozen=True)
class Part:
    """A stretch of a section's source: prose, an exercise or an example. `head` is the heading it stands under."""

    kind: Literal["prose", "exercise", "example"]
    source: str
    head: str = ""


@dataclass(frozen=True)
class Section:
    """A file of the book: its title, its parts in order."""

    name: str
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Chapter:
    """A chapter with its number; the first section is its introduction."""

    number: int
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Item:
    """An answered exercise, numbered through its chapter, or a worked example, numbered likewise."""

    kind: Literal["exercise", "example"]
    label: str
    question: str
    answer: str
    section: str


def chapters(folder: Path) -> list[Chapter]:
    """Read the chapters of a book of which a file is there, in the order of its summary."""
    listed: list[tuple[int, str, list[str]]] = []
    for line in (folder / "SUMMARY.md").read_text("utf-8").splitlines():
        if (found := _LISTED.match(line)) and found.group(2) == "chapter":
            listed.append((len(listed) + 1, html.unescape(found.group(3)).replace("\\", ""), [found.group(4)]))
        elif not found and listed and (found := _SECTION.match(line)):
            listed[-1][2].append(found.group(2))
    read = [
        Chapter(number, title, tuple(_section(folder, name) for name in names if _file(folder, name).exists()))
        for number, title, names in listed
    ]
    return [chapter for chapter in read if chapter.sections]


def whole(folder: Path, out: Path) -> Path:
    """The Markdown files of a book as one, in the order of its summary."""
    names = re.findall(r"\(contents/(\w+)\.md\)", (folder / "SUMMARY.md").read_text("utf-8"))
    files = [file for name in names if (file := folder / "contents" / f"{name}.md").exists()]
    out.write_text("\n\n".join(file.read_text("utf-8") for file in files), "utf-8")
    return out


def items(chapter: Chapter) -> list[Item]:
    """The answered exercises and the worked examples of a chapter. Every exercise counts for the numbers."""
    found: list[Item] = []
    exercises = examples = 0
    for section in chapter.sections:
        for part in section.parts:
            if part.kind == "exercise":
                exercises += 1
                question, answer = plain(inner(part.source, "problem")), plain(inner(part.source, "solution"))
                label = f"{chapter.number}.{exercises}"
            elif part.kind == "example":
                examples += 1
                question, answer = (plain(text) for text in example(part.source))
                label = f"{chapter.number}.{examples}"
            else:
                continue
            if _WORD.search(question) and _WORD.search(answer):
                found.append(Item(part.kind, label, question, answer, section.name))
    return found


def example(source: str) -> tuple[str, str]:
    """The question and the answer of a worked example, which its bold heads part; its title is left out."""
    body = _without(source, "title")
    if inner(body, "solution"):
        return inner(body, "problem"), inner(body, "solution")
    step = _STEP.search(body)
    return (body[: step.start()], body[step.start() :]) if step else (body, "")


def inner(source: str, kind: str) -> str:
    """The content of all elements of a kind within a source."""
    return "\n\n".join(source[start:end] for _, start, end, _ in _elements(source, kind))


def plain(source: str) -> str:
    """The words and signs of a source: formulas as the text in them, without pictures, links' targets and markup."""
    text = re.sub(r"<annotation\b.*?</annotation>", "", lettered(source), flags=re.S)
    text = re.sub(r"<(?:mtable|mtr|mtd|mtext|mspace)\b[^>]*>", " ", text)
    text = re.sub(r"</?(?:m\w+|semantics|sup|sub|em|strong|span)\b[^>]*>", "", text)
    text = _IMAGE.sub("", text)
    text = re.sub(r"\[\\?\[link\\?\]\]\([^()]*\)", "", text)
    text = re.sub(r"\[((?:\\\[|\\\]|[^\[\]])*)\]\([^()]*\)|\[([^\[\]]*)\]\[\d+\]", r"\1\2", text)
    text = re.sub(r"\{:[^{}]*\}|<[^>]*>|\*+|\\(?=[^\w\s]|_)", "", text)
    return " ".join(html.unescape(text).split())


def lettered(source: str) -> str:
    """A source whose lists say `a.`, `b.` where their attribute asks for letters."""

    def letters(found: re.Match[str]) -> str:
        marks = iter("abcdefghij" if found.group(2) == "a" else "ABCDEFGHIJ")
        return re.sub(r"^\d+\.\s+", lambda _: f"\n{next(marks, 'z')}. ", found.group(1), flags=re.M)

    return _LETTERED.sub(letters, source)


def _file(folder: Path, name: str) -> Path:
    return folder / "contents" / f"{name}.md"


def _section(folder: Path, name: str) -> Section:
    source = _file(folder, name).read_text("utf-8")
    found = re.match(r'---\ntitle: "(.*?)"\n.*?\n---\n', source, re.S)
    title = html.unescape(found.group(1)).replace("\\", "") if found else name
    body = source[found.end() :] if found else source
    marked = sorted(_elements(body, "exercise") + _elements(body, "example"), key=lambda element: element[0])
    parts: list[Part] = []
    place, head = 0, ""
    for begin, start, end, kind in marked:
        if begin < place:
            continue  # an exercise within an example
        prose = body[place:begin]
        heads = re.findall(r"^#{2,4} +(.+?)\s*$", prose, re.M)
        head = heads[-1] if heads else head
        parts += [Part("prose", prose), Part("example" if kind == "example" else "exercise", body[start:end], head)]
        place = end + len("</div>")
    return Section(name, title, (*parts, Part("prose", body[place:])))


def _elements(source: str, kind: str) -> list[tuple[int, int, int, str]]:
    """The outermost elements of a kind: where each begins, and where its content begins and ends."""
    found = []
    depth, begin, start, inside = 0, 0, 0, -1
    for tag in _DIV.finditer(source):
        if not tag.group(1):
            type_ = _TYPE.search(tag.group(2))
            if inside < 0 and type_ and type_.group(1) == kind:
                begin, start, inside = tag.start(), tag.end(), depth
            depth += 1
        else:
            depth -= 1
            if depth == inside:
                found.append((begin, start, tag.start(), kind))
                inside = -1
    return found


def _without(source: str, kind: str) -> str:
    for begin, _, end, _ in reversed(_elements(source, kind)):
        source = source[:begin] + source[end + len("</div>") :]
    return source
