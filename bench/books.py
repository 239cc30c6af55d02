"""Reading PDF books: pages a second of the assembler, of PDFium's bare text and of pdfplumber, and memory.

    python bench/books.py BOOK.pdf ... [--pages 5000]

Each reader has a process of its own and reads every book whole; CPU seconds count. pdfplumber is no dependency; name a
Python that has it: BENCH_PYTHON=path/to/python. The last line is a book of so many pages, made of the pages of the
first, read as the stage reads it. Without a BOOK it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MEASURED = """
import json, resource, sys
{code}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([pages, characters, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024]))
"""
READERS = {
    "assembler": """
from pathlib import Path
from megascience_ops.books.stream import open_book
pages = characters = 0
for page in open_book(Path(sys.argv[1])).pages:
    pages, characters = pages + 1, characters + len(page.text)
""",
    "pypdfium2": """
import pypdfium2
pages = characters = 0
with pypdfium2.PdfDocument(sys.argv[1]) as document:
    for page in document:
        text = page.get_textpage()
        pages, characters = pages + 1, characters + len(text.get_text_bounded())
        text.close()
        page.close()
""",
    "pdfplumber": """
import pdfplumber
pages = characters = 0
with pdfplumber.open(sys.argv[1]) as document:
    for page in document.pages:
        pages, characters = pages + 1, characters + len(page.extract_text() or "")
        page.close()
""",
}


def measure(reader: str, book: Path) -> tuple[int, int, float, int] | None:
    """Pages, characters, CPU seconds, and memory in MB; None where the reader is not there."""
    python = os.environ.get("BENCH_PYTHON", sys.executable) if reader == "pdfplumber" else sys.executable
    code = MEASURED.format(code=READERS[reader])
    told = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([python, "-c", code, book], env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {reader:<10} {done.stderr.strip().splitlines()[-1]}")
        return None
    pages, characters, seconds, memory = json.loads(done.stdout)
    print(
        f"  {reader:<10} {pages / seconds:7.1f} pages/s  {seconds:6.2f} s  {characters:>9} characters  {memory:>4} MB"
    )
    return pages, characters, seconds, memory


def many_pages(book: Path, number: int, out: Path) -> None:
    import pikepdf

    with pikepdf.open(book) as source, pikepdf.new() as document:
        while len(document.pages) < number:
            document.pages.extend(source.pages[: number - len(document.pages)])
        document.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, nargs="*")
    parser.add_argument("--pages", type=int, default=5000)
    options = parser.parse_args()
    if not options.books:
        print("no BOOK named: nothing is measured")
        return
    for book in options.books:
        print(book.name)
        seconds = {reader: found[2] for reader in READERS if (found := measure(reader, book))}
        for other in ("pypdfium2", "pdfplumber"):
            if other in seconds:
                print(f"  the assembler to {other}: {seconds[other] / seconds['assembler']:.2f}")
    with tempfile.TemporaryDirectory() as work:
        large = Path(work) / "many.pdf"
        many_pages(options.books[0], options.pages, large)
        print(f"{options.pages} pages of {options.books[0].name}, {large.stat().st_size >> 20} MB")
        measure("assembler", large)


if __name__ == "__main__":
    main()
