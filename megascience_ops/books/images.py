"""`python -m megascience_ops.books.images FILE PAGE...`: pages of a PDF as PNG images, in a process of its own.

stdout is a line a page: the image in base64. The longest side is 1288 pixels, which is what olmOCR's models are
trained on.
"""

from __future__ import annotations

import base64
import io
import sys

LONGEST_SIDE = 1288


def main(path: str, numbers: list[int]) -> None:
    """Print the images of these pages, counted from 1."""
    import pypdfium2 as pdfium

    document = pdfium.PdfDocument(path)
    for number in numbers:
        page = document[number - 1]
        scale = LONGEST_SIDE / max(page.get_size())
        image = io.BytesIO()
        page.render(scale=scale).to_pil().save(image, "PNG")
        sys.stdout.write(base64.b64encode(image.getvalue()).decode("ascii") + "\n")
        page.close()


if __name__ == "__main__":
    main(sys.argv[1], [int(number) for number in sys.argv[2:]])
