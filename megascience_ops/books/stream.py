"""Opening a book, whatever it is: the format is told from the bytes, never from the file's name."""

from __future__ import annotations

from pathlib import Path

from megascience_ops.books import BookError, OpenBook

MAX_TEXT_BYTES = 256 * 1024 * 1024

_UNSUPPORTED = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"AT&TFORM": "a DjVu book",
    b"%!PS": "PostScript",
    b"\xd0\xcf\x11\xe0": "an old Microsoft Office file",
    b"{\\rtf": "a rich text file",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")


def open_book(path: Path, max_pages: int | None = None, first: int | None = None) -> OpenBook:
    """The book at `path`, open, its pages (of a PDF only the `first` so many) yet to come.

    Raises BookError, too_large above `max_pages`; OSError when there is no such file.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip():
        raise BookError(
            "empty", "the file has no bytes" if not head else "the file begins with nothing but white space"
        )
    if b"%PDF-" in head[:1024]:
        from megascience_ops.books.pdf import open_pdf

        return open_pdf(path, max_pages, first)
    for mark, kind in _UNSUPPORTED.items():
        if head.startswith(mark) or (kind == "a DjVu book" and mark in head[:16]):
            raise BookError("unsupported", f"{kind} is not read here")

    from megascience_ops.books import formats, markup

    if head.startswith(b"PK\x03\x04"):
        if not markup.is_epub(path):
            raise BookError("unsupported", "a zip archive that is no EPUB")
        return markup.open_epub(path, max_pages)
    if head[60:68] == b"BOOKMOBI":
        raise BookError("unsupported", "a Mobipocket book is not read here")
    size = path.stat().st_size
    if size > MAX_TEXT_BYTES:
        raise BookError("too_large", f"{size} bytes of text; the limit is {MAX_TEXT_BYTES}")
    data = path.read_bytes()
    start = formats.decoded(head).lstrip("\ufeff \t\n").lower().encode()
    if start.startswith(_HTML) or (start.startswith((b"<?xml", b"<!--")) and b"<html" in start):
        return markup.open_html(data, max_pages)
    return formats.open_text(data, max_pages)
