"""Scanned pages: shown to a model that sees, page by page; what it cannot read is named, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from megascience_ops.completions import Image
from megascience_ops.config import EngineConfig
from megascience_ops.errors import Declined
from megascience_ops.parsing.pages import Transcription
from megascience_ops.rows import ClassifiedBook, DigitizedBook
from megascience_ops.stage import Aside
from megascience_ops.stages.digitize_books import Config, run

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def book(tmp_path: Path, add_picture_page: Any) -> ClassifiedBook:
    """A book of three pages, each a picture of its own, half of it grey."""
    document = pikepdf.new()
    for shade in (40, 120, 200):
        add_picture_page(document, bytes([shade]) * 5_000 + b"\xff" * 5_000, 100, 100)
    document.save(tmp_path / "scan.pdf")
    sha256 = hashlib.sha256((tmp_path / "scan.pdf").read_bytes()).hexdigest()
    facts = {"authors": None, "licence": None, "language": None, "subject": "physics", "level": "undergraduate"}
    return ClassifiedBook(
        id=sha256[:16], path="scan.pdf", sha256=sha256, format="pdf", n_pages=3, title="A scan", **facts
    )


def digitize(book: ClassifiedBook, tmp_path: Path, ask: Any, **told: Any) -> Any:
    config = Config(textbooks=str(tmp_path), engine=EngineConfig(kind="endpoint", model="seer"), **told)
    return asyncio.run(run(book, ask, config))


def test_scan_pages_are_shown_as_images_and_the_unread_one_is_named(book: ClassifiedBook, tmp_path: Path) -> None:
    seen: list[Image] = []

    async def ask(prompt: Any, /, PAGE: Image) -> Transcription:
        seen.append(PAGE)
        if len(seen) == 2:
            raise Declined("refused", "too grey")
        return Transcription(f"Page {len(seen)} says that force is mass times acceleration.")

    digitized, aside = digitize(book, tmp_path, ask, max_unread_pages=0.5)

    assert len({image.sha256 for image in seen}) == 3
    assert all(image.data.startswith(PNG) for image in seen)
    assert isinstance(digitized, DigitizedBook)
    assert [page.verdict for page in digitized.pages] == ["ocr", "scan", "ocr"]
    assert digitized.pages[2].text == "Page 3 says that force is mass times acceleration."
    assert digitized.unread_pages == [2]
    assert aside == Aside("page_failed", "page 2, scan: no model could read it: refused: too grey")


def test_scan_of_which_too_little_can_be_read_is_aside(book: ClassifiedBook, tmp_path: Path) -> None:
    async def ask(prompt: Any, /, PAGE: Image) -> str:
        raise Declined("refused", "too grey")

    aside = digitize(book, tmp_path, ask)
    assert (aside.reason, aside.detail) == (
        "unreadable_pages",
        "3 of 3 pages have no usable text: 3 scan; a model was asked: 3 refused",
    )


def test_book_that_changed_since_it_was_discovered_is_aside(book: ClassifiedBook, tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7 something else")
    with pytest.raises(Declined, match="changed: scan.pdf is not the file that was discovered"):
        digitize(book, tmp_path, ask=None)
