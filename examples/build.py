"""Builds the sample textbooks: every book in sources/ as a PDF, and two files as they turn up in real life.

    python examples/build.py [TARGET]

The target folder, examples/textbooks unless named, then holds the ten books, textbooks.csv, one book a second
time under another name, and one download that broke off and cannot be repaired. Needs the `typst` package and
no network.
"""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import typst

SOURCES = Path(__file__).parent / "sources"
TARGET = Path(__file__).parent / "textbooks"

STYLE = "style.typ"
SCANNED = ".scan.typ"
"""`<book>.scan.typ` is one page, rendered to `<book>.scan.png`, which the book shows as a full-page image."""
SCAN_DPI = 110

COPY = ("newtonian_mechanics.pdf", "lecture_notes_copy.pdf")
DAMAGED = ("general_chemistry.pdf", "damaged_download.pdf")
DAMAGED_SHARE = 0.4

log = logging.getLogger(__name__)


def build(target: Path) -> list[Path]:
    """Builds what is missing or older than its sources, and returns the paths that were written."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(SOURCES.glob("*.typ")):
        if source.name == STYLE or source.name.endswith(SCANNED):
            continue
        pdf = target / f"{source.stem}.pdf"
        scan = source.with_suffix(SCANNED)
        if is_older(pdf, [source, SOURCES / STYLE, Path(__file__)] + [scan] * scan.exists()):
            write_whole(pdf, compiled(source, scan))
            written.append(pdf)

    for (name, derived_name), derive in ((COPY, bytes), (DAMAGED, damaged)):
        book, derived = target / name, target / derived_name
        if is_older(derived, [book, Path(__file__)]):
            write_whole(derived, derive(book.read_bytes()))
            written.append(derived)

    table = target / "textbooks.csv"
    if is_older(table, [SOURCES / table.name]):
        write_whole(table, (SOURCES / table.name).read_bytes())
        written.append(table)
    return written


def compiled(source: Path, scan: Path) -> bytes:
    """The PDF of one book, the same bytes every time; its scanned page, if it has one, is rendered first."""
    if not scan.exists():
        return pdf_bytes(source)
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        for file in (source, scan, SOURCES / STYLE):
            (room / file.name).write_bytes(file.read_bytes())
        png = typst.compile(room / scan.name, format="png", ppi=SCAN_DPI, ignore_system_fonts=True)
        if not isinstance(png, bytes):
            raise ValueError(f"{scan.name} has to be exactly one page")
        (room / scan.name).with_suffix(".png").write_bytes(png)
        return pdf_bytes(room / source.name)


def pdf_bytes(source: Path) -> bytes:
    """Compiles with the fonts inside typst only, so that every machine sets the same pages."""
    pdf = typst.compile(source, ignore_system_fonts=True)
    if not isinstance(pdf, bytes):
        raise ValueError(f"{source.name} did not compile to one PDF")
    return pdf


def damaged(pdf: bytes) -> bytes:
    """The first part of a PDF, every object header overwritten: nothing is left to rebuild its table from."""
    start = pdf[: int(len(pdf) * DAMAGED_SHARE)]
    return re.sub(rb"\d+ \d+ obj", lambda header: b"\0" * len(header[0]), start)


def is_older(output: Path, sources: Iterable[Path]) -> bool:
    """Whether the output is missing, or older than one of its sources."""
    return not output.exists() or any(output.stat().st_mtime < source.stat().st_mtime for source in sources)


def write_whole(path: Path, data: bytes) -> None:
    """Writes beside the path and renames, so that a reader never meets half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for path in build(target):
        log.info("%9d bytes  %s", path.stat().st_size, path.name)
    log.info("%d files in %s", sum(1 for path in target.iterdir() if not path.name.startswith(".")), target)
