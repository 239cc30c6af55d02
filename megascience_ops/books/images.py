"""`python -m megascience_ops.books.images FILE PAGE...`: pages of a PDF as PNG images, in a process of its own.

stdout is a line a page: `{"image": base64}`, `{"blank": true}` for a page on which next to nothing is darker than its
paper, or `{"error": why}` for one that cannot be drawn. The longest side is 1288 pixels, which is what olmOCR's models
are trained on. A damaged file is mended first, as for its text.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megascience_ops.books.pdf import readable

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE = 1288
INK = 48  # of 255 levels: as much darker than the paper
INKED = 0.0003  # of a page: less is dust, or a page number


def main(path: str, numbers: list[int]) -> None:
    """Print the images of these pages, counted from 1."""
    import pypdfium2 as pdfium

    with readable(Path(path)) as found:
        document = pdfium.PdfDocument(found.file)
        for number in numbers:
            try:
                said = _drawn(document[number - 1])
            except (pdfium.PdfiumError, IndexError, ValueError, ZeroDivisionError) as error:
                said = {"error": " ".join(str(error).split()) or type(error).__name__}
            sys.stdout.write(json.dumps(said) + "\n")


def _drawn(page: Any) -> dict[str, Any]:
    image = page.render(scale=LONGEST_SIDE / max(page.get_size())).to_pil().convert("RGB")
    page.close()
    if is_blank(image):
        return {"blank": True}
    content = io.BytesIO()
    image.save(content, "PNG")
    return {"image": base64.b64encode(content.getvalue()).decode("ascii")}


def is_blank(image: Image) -> bool:
    """Whether next to nothing stands on the page, be its paper white, yellow or black."""
    levels = image.convert("L").histogram()
    total = sum(levels)
    below, paper = 0, 0
    while below + levels[paper] < total / 2:
        below += levels[paper]
        paper += 1
    inked = sum(count for level, count in enumerate(levels) if abs(level - paper) >= INK)
    return inked < INKED * total


if __name__ == "__main__":
    main(sys.argv[1], [int(number) for number in sys.argv[2:]])
