"""PDF books through PDFium: opened, mended when they are cut short, read page by page."""

from __future__ import annotations

import ctypes
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from megascience_ops.books import BookError, OpenBook, PageText, PageVerdict
from megascience_ops.books.assemble import Line, page_lines
from megascience_ops.books.furniture import furniture
from megascience_ops.books.page import read_glyphs
from megascience_ops.books.paragraphs import paragraphs, vocabulary
from megascience_ops.books.verdicts import verdict

_THIN = 200  # glyphs: fewer, on many pages, and the pages' content may be damaged
_NO_TITLE = re.compile(r"untitled|\(anonymous\)|microsoft word|.*\.(?:pdf|docx?|tex|dvi|indd|qxd|ps)$|[\W\d_]*$", re.I)


class _Draft(NamedTuple):
    height: float
    lines: list[Line]
    verdict: PageVerdict
    thin: bool


def open_pdf(path: Path, max_pages: int | None, first: int | None = None) -> OpenBook:
    """The PDF at `path`, its pages (or the `first` so many) read; their running heads come off as they are handed out.

    A file that PDFium refuses is rewritten once by QPDF into a temporary file and tried again; then the book
    says that it was repaired. Only lines are kept of a page, so memory grows with the text and not with the file.
    Raises BookError: encrypted, corrupt (also when most pages' content cannot be decoded), no_pages, too_large.
    """
    with readable(path) as found:
        n_pages = pdfium.FPDF_GetPageCount(found.document)
        if n_pages < 1:
            raise BookError("no_pages", "a PDF without a single page")
        if max_pages is not None and n_pages > max_pages:
            raise BookError("too_large", f"{n_pages} pages; the limit is {max_pages}")
        title = _title(found.document)
        drafts = [_draft(found.document, i) for i in range(min(n_pages, first or n_pages))]
        thin = [i for i, draft in enumerate(drafts) if draft.thin]
        if len(thin) > 0.2 * n_pages:
            undecoded = _undecoded(found.file, thin)
            if len(undecoded) > 0.5 * n_pages:
                raise BookError("corrupt", f"the content of {len(undecoded)} of {n_pages} pages cannot be decoded")
            for i in undecoded:
                drafts[i] = drafts[i]._replace(verdict="garbage")
        return OpenBook("pdf", title, n_pages, found.repaired, _pages(drafts))


class Readable(NamedTuple):
    """A PDF that PDFium has open, and the file that it is open from: the mended copy of one that was `repaired`."""

    document: Any
    file: Path
    repaired: bool


@contextmanager
def readable(path: Path) -> Iterator[Readable]:
    """The PDF at `path`, open for as long as the context lasts. Raises BookError: encrypted, corrupt, no_pages."""
    pdfium.FPDF_InitLibrary()
    document = pdfium.FPDF_LoadDocument(os.fsencode(path), None)
    refused = None if document else pdfium.FPDF_GetLastError()
    if refused in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
        raise BookError("encrypted", "the PDF asks for a password")
    with ExitStack() as stack:
        file = path
        if not document:
            file = Path(stack.enter_context(_folder())) / "mended.pdf"
            _mend(path, file)
            document = pdfium.FPDF_LoadDocument(os.fsencode(file), None)
        if not document:
            raise BookError("corrupt", "PDFium refuses it, also after repair")
        try:
            yield Readable(document, file, file is not path)
        finally:
            pdfium.FPDF_CloseDocument(document)


def _pages(drafts: list[_Draft]) -> Iterator[PageText]:
    drops = furniture([(draft.height, draft.lines) for draft in drafts])
    words = vocabulary(line for draft in drafts for line in draft.lines)
    drafts.reverse()
    for number, drop in enumerate(drops, 1):
        draft = drafts.pop()
        kept = [line for i, line in enumerate(draft.lines) if i not in drop]
        yield PageText(number, paragraphs(kept, words), draft.verdict)


def _draft(document: Any, i: int) -> _Draft:
    page = pdfium.FPDF_LoadPage(document, i)
    if not page:
        return _Draft(1.0, [], "garbage", True)
    try:
        glyphs = read_glyphs(page)
    finally:
        pdfium.FPDF_ClosePage(page)
    lines = page_lines(glyphs)
    thin = glyphs.n_chars < _THIN and glyphs.image_share < 0.3
    return _Draft(glyphs.height, lines, verdict(glyphs, "\n".join(line.text for line in lines)), thin)


def _folder() -> AbstractContextManager[str]:
    import tempfile  # takes longer than a page, and few files need one

    return tempfile.TemporaryDirectory()


def _mend(path: Path, mended: Path) -> None:
    import pikepdf

    try:
        with warnings.catch_warnings(), pikepdf.open(path) as pdf:
            warnings.simplefilter("ignore")  # a damaged file warns of its damage
            if not len(pdf.pages):
                raise BookError("no_pages", "a PDF without a single page")
            pdf.save(mended)
    except pikepdf.PasswordError:
        raise BookError("encrypted", "the PDF asks for a password") from None
    except (pikepdf.PdfError, ValueError, RuntimeError) as error:
        raise BookError("corrupt", " ".join(str(error).split()).replace(str(path), "the file")) from None


def _undecoded(path: Path, pages: list[int]) -> list[int]:
    """Those of the pages whose content is compressed data that does not decompress.

    PDFium shows what came before the damage and reports nothing.
    """
    import pikepdf

    found = []
    try:
        with pikepdf.open(path) as pdf:
            n_pages = len(pdf.pages)  # two readers may disagree on a damaged file
            for i in pages:
                contents = pdf.pages[i].obj.get("/Contents") if i < n_pages else 0
                parts = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
                if not all(part is None or _decodes(part) for part in parts):
                    found.append(i)
    except (pikepdf.PdfError, ValueError, RuntimeError):
        return pages
    return found


def _decodes(stream: Any) -> bool:
    import pikepdf

    if not isinstance(stream, pikepdf.Stream):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stream.read_bytes()
    except (pikepdf.PdfError, UserWarning, ValueError, RuntimeError):
        return False
    return True


def _title(document: Any) -> str | None:
    size = pdfium.FPDF_GetMetaText(document, b"Title", None, 0)
    buffer = ctypes.create_string_buffer(max(size, 2))
    pdfium.FPDF_GetMetaText(document, b"Title", buffer, size)
    title = buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "ignore").strip()
    return None if _NO_TITLE.match(title) else title
