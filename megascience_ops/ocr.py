"""Pages without a usable text layer, shown to a model that sees: turned upright first, each accounted for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from megascience_ops.books.child import page_images
from megascience_ops.completions import Image
from megascience_ops.config import EngineConfig
from megascience_ops.errors import AnswerError, ContractError, Unparsed
from megascience_ops.parsing.pages import Transcription, olmocr_page, transcription
from megascience_ops.prompts import prompt
from megascience_ops.stage import Ask

TRANSCRIBE = prompt("digitize_books", transcription, "PAGE")
TRANSCRIBE_OLMOCR = prompt("digitize_books_olmocr", olmocr_page, "INSTRUCTIONS", "PAGE")

AT_ONCE = 16  # page images held
Style = Literal["olmocr", "markdown"]


@dataclass(frozen=True)
class Reader:
    """Who reads the pages, and in whose words they are asked."""

    ask: Ask
    style: Style
    instructions: str = ""

    async def page(self, image: Image) -> Transcription:
        """What is on a page. Raises AnswerError."""
        if self.style == "markdown":
            return await self.ask(TRANSCRIBE, PAGE=image)
        return await self.ask(TRANSCRIBE_OLMOCR, INSTRUCTIONS=self.instructions, PAGE=image)


def style_of(engine: EngineConfig) -> Style:
    """olmOCR's models know one way to be asked; any other model is asked by our own prompt."""
    names = f"{engine.model} {engine.served_as}".lower()
    return "olmocr" if "olmocr" in names else "markdown"


def reader(ask: Ask, style: Style) -> Reader:
    """Raises ContractError where the words of olmOCR are not to be had."""
    if style == "markdown":
        return Reader(ask, style)
    try:
        from olmocr.prompts import build_no_anchoring_v4_yaml_prompt
    except ImportError:
        raise ContractError(
            "digitize_books.ocr: olmOCR's prompt comes with its package: pip install --no-deps olmocr, or set "
            "digitize_books.ocr=markdown to ask in our own words"
        ) from None
    return Reader(ask, style, build_no_anchoring_v4_yaml_prompt())


async def read_pages(numbers: list[int], path: Path, reader: Reader, seconds: float) -> Mapping[int, str | AnswerError]:
    """For each of these pages of a PDF its text, "" where nothing stands on it; or why none could be had."""
    found: dict[int, str | AnswerError] = {}

    async def one(number: int, image: Image) -> None:
        try:
            found[number] = await _upright(image, reader)
        except AnswerError as error:
            found[number] = error

    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        asked = []
        for number, image in zip(some, await page_images(path, some, seconds=seconds), strict=True):
            if isinstance(image, Image):
                asked.append(one(number, image))
            else:
                found[number] = image or ""  # a model that is shown an empty page may make one up
        await asyncio.gather(*asked)
    return found


async def _upright(image: Image, reader: Reader) -> str:
    """The text of a page that is turned as the model says, until the model can read it."""
    turned, tried = 0, {0}
    while True:
        said = await reader.page(await asyncio.to_thread(_turned, image, turned) if turned else image)
        if not said.turn:
            return said.text
        turned = (turned + said.turn) % 360
        if turned in tried:
            raise Unparsed("turned", f"shown {len(tried)} ways, and said to be turned each time")
        tried.add(turned)


def _turned(image: Image, degrees: int) -> Image:
    """The image turned to the left."""
    from PIL import Image as Picture

    ways = {
        90: Picture.Transpose.ROTATE_90,
        180: Picture.Transpose.ROTATE_180,
        270: Picture.Transpose.ROTATE_270,
    }
    content = io.BytesIO()
    with Picture.open(io.BytesIO(image.data)) as picture:
        picture.transpose(ways[degrees]).save(content, "PNG")
    return Image(content.getvalue())
