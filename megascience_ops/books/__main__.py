"""`python -m megascience_ops.books FILE [--max-pages N] [--first N]`: a book on stdout, in a process of its own.

PDFium may crash on a broken file, and it is not thread-safe: a book is read in a child process, so that a
crash is that book's and no other's. stdout is JSON Lines: the book first
(`{"format", "title", "n_pages", "repaired"}`), then a line a page (`{"number", "text", "verdict"}`), so the
memory of neither side holds a book twice. A book that cannot be read is one line `{"reason", "detail"}` and exit
status 65.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path

from megascience_ops.books import BookError
from megascience_ops.books.stream import open_book

EXIT_UNREADABLE = 65


def main() -> int:
    """Print the book that the command line names; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m megascience_ops.books")
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-pages", type=int, default=None, help="more than these are too_large")
    parser.add_argument("--first", type=int, default=None, help="print so many pages only")
    options = parser.parse_args()
    try:
        book = open_book(options.file, options.max_pages, options.first)
        _say(format=book.format, title=book.title, n_pages=book.n_pages, repaired=book.repaired)
        for page in islice(book.pages, options.first):
            _say(number=page.number, text=page.text, verdict=page.verdict)
    except BookError as error:
        _say(reason=error.reason, detail=error.detail)
        return EXIT_UNREADABLE
    return 0


def _say(**values: object) -> None:
    sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
