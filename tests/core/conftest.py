"""What tests of books have in common."""

from __future__ import annotations

from collections.abc import Callable

import pikepdf
import pytest


@pytest.fixture(scope="session")
def add_picture_page() -> Callable[[pikepdf.Pdf, bytes, int, int], None]:
    """Adds a page that is one grey picture and nothing else: `pixels` of so many columns and rows."""

    def add(document: pikepdf.Pdf, pixels: bytes, width: int, height: int) -> None:
        page = document.add_blank_page(page_size=(300, 400))
        picture = pikepdf.Stream(document, pixels)
        picture.stream_dict = pikepdf.Dictionary(
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=width,
            Height=height,
            ColorSpace=pikepdf.Name.DeviceGray,
            BitsPerComponent=8,
        )
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=picture))
        page.Contents = pikepdf.Stream(document, b"q 300 0 0 400 0 0 cm /Im0 Do Q")

    return add
