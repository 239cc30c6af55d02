"""Books that are text already: Markdown, LaTeX and plain text, cut into pages on paragraph boundaries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from megascience_ops.books import BookError, OpenBook, PageText
from megascience_ops.books.latex import plain_latex
from megascience_ops.books.markdown import plain_markdown

PAGE_CHARS = 3000

_PARAGRAPH = re.compile(r"\n(?:[ \t]*\n)+")
_LATEX = re.compile(r"\\documentclass\b|\\begin\{document\}|^\\(?:chapter|section)\*?\{", re.MULTILINE)
_MARKDOWN = re.compile(r"^(?:#{1,6} \S|```|\|.*\||[-*+] \S|> \S|---[ \t]*$)", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(?:.*\n){0,60}?---\n")
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)


def open_text(data: bytes, max_pages: int | None) -> OpenBook:
    """A book of Markdown, LaTeX or plain text. Raises BookError: empty, unsupported, too_large."""
    text = decoded(data)
    if not text.strip():
        raise BookError("empty", "the file holds no text")
    if _binary(text):
        raise BookError("unsupported", "neither a format that is read here nor text")
    if _LATEX.search(text):
        title = re.search(r"\\title\{([^{}]+)\}", text)
        return paged("latex", title.group(1).strip() if title else None, plain_latex(text), max_pages)
    if _MARKDOWN.search(text):
        body = _FRONT_MATTER.sub("", text, count=1)
        title = re.search(r"^# +(.+?)[ #]*$", body, re.M) or re.search(
            r"^title: *[\"']?(.+?)[\"']?$", text[: len(text) - len(body)], re.M
        )
        return paged("markdown", title.group(1) if title else None, plain_markdown(body), max_pages)
    return paged("text", None, text, max_pages)


def decoded(data: bytes) -> str:
    """The text of a file: by its byte order mark, else UTF-8, else Windows' Latin-1; lines end with `\\n`."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return _lines(data.decode(name, "replace"))
    try:
        return _lines(data.decode())
    except UnicodeDecodeError:
        return _lines(data.decode("cp1252", "replace"))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")


def _binary(text: str) -> bool:
    sample = text[:20_000]
    return sum((c < " " and c not in "\n\t") or c == "\ufffd" for c in sample) > 0.02 * len(sample)


def paged(kind: str, title: str | None, text: str, max_pages: int | None) -> OpenBook:
    """Text as a book of pages of about 3,000 characters, numbered from 1. Raises BookError: not_a_book, too_large."""
    pages = list(cut(text))
    if not pages:
        raise BookError("not_a_book", f"{kind} without any text")
    if max_pages is not None and len(pages) > max_pages:
        raise BookError("too_large", f"{len(pages)} pages of {PAGE_CHARS} characters; the limit is {max_pages}")
    numbered = (PageText(number, page, "text") for number, page in enumerate(pages, 1))
    return OpenBook(kind, title, len(pages), False, numbered)


def cut(text: str) -> Iterator[str]:
    """Pages of about 3,000 characters, cut between paragraphs; a paragraph, whatever its length, stays whole."""
    page: list[str] = []
    size = 0
    for paragraph in _whole(_PARAGRAPH.split(text)):
        if page and size + len(paragraph) > PAGE_CHARS:
            yield "\n\n".join(page)
            page, size = [], 0
        page.append(paragraph)
        size += len(paragraph) + 2
    if page:
        yield "\n\n".join(page)


def _whole(paragraphs: list[str]) -> Iterator[str]:
    """The paragraphs, a fenced listing being one."""
    fenced: list[str] = []
    for paragraph in paragraphs:
        if not paragraph.strip() and not fenced:
            continue
        marks = len(_FENCE.findall(paragraph))
        if fenced:
            fenced.append(paragraph)
            if marks % 2 or len(fenced) > 200:
                yield "\n\n".join(fenced)
                fenced = []
        elif marks % 2:
            fenced = [paragraph]
        else:
            yield paragraph.strip("\n").rstrip()
    if fenced:
        yield "\n\n".join(fenced)
