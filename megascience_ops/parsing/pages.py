"""A page of a book as a vision model transcribed it."""

from megascience_ops.errors import Unparsed

BLANK = "[BLANK PAGE]"


def transcription(text: str) -> str:
    """The page as Markdown, "" for a blank one; a code fence around the whole of it is taken off.

    Raises `Unparsed`: `empty` where nothing was said, `repetitive` where the model repeated one line without end.
    """
    page = text.strip()
    if page.startswith("```") and page.endswith("```") and page.count("```") == 2 and "\n" in page:
        page = page.split("\n", 1)[1].removesuffix("```").strip()
    if not page:
        raise Unparsed("empty", "nothing was said")
    lines = [line for line in page.splitlines() if line.strip()]
    if len(lines) > 40 and len(set(lines)) < len(lines) / 8:
        raise Unparsed("repetitive", f"{len(lines)} lines, of which {len(set(lines))} differ")
    return "" if page == BLANK else page
