"""Books of HTML: a page of the web, or an EPUB's chapters."""

from __future__ import annotations

import posixpath
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import unquote
from xml.etree import ElementTree

from megascience_ops.books import BookError, OpenBook
from megascience_ops.books.formats import decoded, paged
from megascience_ops.books.markdown import PART_LABELS
from megascience_ops.books.mathml import mathml_replaced

MAX_CHAPTER_BYTES = 32 * 1024 * 1024
MAX_BOOK_BYTES = 256 * 1024 * 1024
MAX_FILES = 20_000

_LOCKS = "META-INF/encryption.xml"
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "p div tr section article table ul ol dl dt dd blockquote figure figcaption header footer main aside hr "
        "details summary",
    )
)
_HEADS = {f"h{n}": "#" * n for n in range(1, 7)}
_HIDDEN = frozenset(
    re.findall(
        r"\w+",
        "script style head nav template noscript svg annotation",
    )
)
_SCRIPTS = {"sup": "^{", "sub": "_{"}


class _Reader(HTMLParser):
    """HTML to text with Markdown's heads and list marks, and `^{}`, `_{}` for raised and lowered text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.title: list[str] = []
        self.hidden: list[str] = []
        self.lists: list[tuple[int, str] | None] = []
        self.verbatim = 0
        self.in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.in_title = tag == "title" and self.hidden == ["head"]
        if tag in _HIDDEN:
            self.hidden.append(tag)
        elif tag in _HEADS:
            self.out.append(f"\n\n{_HEADS[tag]} ")
        elif tag in _SCRIPTS:
            self.out.append(_SCRIPTS[tag])
        elif tag == "li":
            self.out.append(f"\n{self._mark()} ")
        elif tag in ("td", "th"):
            self.out.append(" | ")
        elif tag == "br":
            self.out.append("\n")
        elif tag == "img" and values.get("alt") and not self.hidden:
            self.out.append(str(values["alt"]))
        elif tag == "pre":
            self.verbatim += 1
            self.out.append("\n\n```\n")
        elif tag in _BLOCKS:
            self.out.append("\n\n" if tag != "tr" else "\n")
            if label := PART_LABELS.get(values.get("data-type") or ""):
                self.out.append(f"{label}\n\n")
        if tag in ("ul", "ol"):
            start = values.get("start") or "1"
            number = int(start) if start.isdigit() else 1
            self.lists.append((number, values.get("type") or "1") if tag == "ol" else None)

    def handle_endtag(self, tag: str) -> None:
        self.in_title = False
        if tag in self.hidden:
            while self.hidden.pop() != tag:
                pass
        elif tag in _SCRIPTS:
            self.out.append("}")
        elif tag == "pre" and self.verbatim:
            self.verbatim -= 1
            self.out.append("\n```\n\n")
        elif tag in _HEADS or (tag in _BLOCKS and tag != "tr"):
            self.out.append("\n\n")
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.title.append(data)
        if not self.hidden:
            self.out.append(data if self.verbatim else re.sub(r"\s+", " ", data))

    def _mark(self) -> str:
        current = self.lists[-1] if self.lists else None
        if current is None:
            return "-"
        number, kind = current
        self.lists[-1] = number + 1, kind
        letters = {"a": ascii_lowercase, "A": ascii_uppercase}.get(kind, "")
        return f"{letters[number - 1] if number <= len(letters) else number}."


def open_html(data: bytes, max_pages: int | None) -> OpenBook:
    """A book that is one HTML page. Raises BookError: not_a_book when there is no text in it, too_large."""
    title, text = html_text(decoded(data))
    return paged("html", title, text, max_pages)


def html_text(source: str) -> tuple[str | None, str]:
    """The title and the text of an HTML page."""
    reader = _Reader()
    reader.feed(mathml_replaced(source))
    reader.close()
    text = re.sub(r"(?<![ \t])[ \t]++(?=\n)|(?<=\n)[ \t]++(?=\S)(?!```)", "", "".join(reader.out))
    return " ".join("".join(reader.title).split()) or None, re.sub(r"\n{3,}", "\n\n", text).strip()


def open_epub(path: Path, max_pages: int | None) -> OpenBook:
    """The EPUB at `path`: its chapters in the order of its spine.

    Raises BookError: corrupt, encrypted, not_a_book, too_large (more than 256 MiB of text, whatever the archive
    claims).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_FILES:
                raise BookError(
                    "too_large", f"{len(archive.infolist())} files in the archive; the limit is {MAX_FILES}"
                )
            names = set(archive.namelist())
            # Fonts may be scrambled in an open book; chapters are not.
            locked = _member(archive, _LOCKS) if _LOCKS in names else b""
            if re.search(rb"URI=\"[^\"]+\.x?html?\"", locked):
                raise BookError("encrypted", "the EPUB's chapters are encrypted")
            title, chapters = _spine(archive)
            left = MAX_BOOK_BYTES
            texts = []
            for chapter in chapters:
                if chapter not in names:
                    continue
                data = _member(archive, chapter)
                left -= len(data)
                if left < 0:
                    raise BookError("too_large", f"more than {MAX_BOOK_BYTES} bytes of chapters")
                texts.append(html_text(decoded(data))[1])
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BookError("corrupt", f"not a whole EPUB: {error}") from None
    return paged("epub", title, "\n\n".join(texts), max_pages)


def is_epub(path: Path) -> bool:
    """Whether the zip archive at `path` holds an EPUB."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "META-INF/container.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _spine(archive: zipfile.ZipFile) -> tuple[str | None, list[str]]:
    container = _xml(_member(archive, "META-INF/container.xml"))
    package = next((e.get("full-path") for e in container.iter() if e.tag.endswith("}rootfile")), None)
    if not package:
        raise BookError("corrupt", "the EPUB names no package document")
    root = _xml(_member(archive, package))
    folder = posixpath.dirname(package)
    files = {e.get("id"): e.get("href", "") for e in root.iter() if e.tag.endswith("}item")}
    order = [files.get(e.get("idref")) for e in root.iter() if e.tag.endswith("}itemref")]
    title = next((e.text for e in root.iter() if e.tag.endswith("}title") and e.text), None)
    chapters = [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in order if href]
    return title.strip() if title else None, chapters


def _xml(data: bytes) -> ElementTree.Element:
    if b"<!ENTITY" in data:  # entities that expand into each other fill any memory
        raise BookError("unsupported", "the EPUB declares XML entities")
    return ElementTree.fromstring(data)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive; read up to the limit, not up to the size that the archive claims."""
    with archive.open(name) as file:
        data = file.read(MAX_CHAPTER_BYTES + 1)
    if len(data) > MAX_CHAPTER_BYTES:
        raise BookError("too_large", f"{name} unpacks to more than {MAX_CHAPTER_BYTES} bytes")
    return data
