"""Scanned books against a vision server that behaves as it is told: every page is accounted for, and paid once.

Each page is a picture of its own: its number is the grey of the middle, its upper edge is black, so the server sees
which page it is shown and how it is turned.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from PIL import Image, ImageDraw

from megascience_ops.errors import ContractError, TransientError

if TYPE_CHECKING:
    from tests.conftest import River

INSTRUCTIONS = "Attached is one page. Return it as Markdown with front matter."  # stands in for those of the package
LESSON = "Force is mass times acceleration, and page {page} of this book says so in a sentence of its own."
FRONT = "---\nprimary_language: en\nis_rotation_valid: {valid}\nrotation_correction: {turn}\nis_table: False\nis_diagram: False\n---\n"


class Seen(NamedTuple):
    """A request as the server saw it: the page, how far its upper edge is turned to the left, the sampling, the words."""

    page: int
    turned: int
    temperature: float
    seed: int | None
    words: str


Behaviour = Callable[[Seen], tuple[int, str, str]]


def reads(seen: Seen) -> tuple[int, str, str]:
    """A good olmOCR model: it asks for the page upright, then reads it."""
    upright = seen.turned == 0
    front = FRONT.format(valid=upright, turn=(360 - seen.turned) % 360)
    return 200, front + (LESSON.format(page=seen.page) if upright else "gnihton"), "stop"


def says(text: str, finish_reason: str = "stop") -> Behaviour:
    return lambda seen: (200, text, finish_reason)


def fails(status: int) -> Behaviour:
    return lambda seen: (status, "no such model", "")


@dataclass
class Vision:
    """Reads pages, but for those that `script` says otherwise of: a behaviour for each time it is shown, the last stays."""

    script: dict[int, list[Behaviour]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def answer(self, body: dict[str, Any]) -> tuple[int, str, str]:
        parts = body["messages"][0]["content"]
        if isinstance(parts, str):
            return 200, "I am here.", "stop"
        (url,) = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        page, turned = looked_at(base64.b64decode(url.partition(",")[2]))
        words = "".join(part["text"] for part in parts if part["type"] == "text")
        seen = Seen(page, turned, body["temperature"], body.get("seed"), words)
        before = sum(one.page == page for one in self.seen)
        self.seen.append(seen)
        script = self.script.get(page, [reads])
        return script[min(before, len(script) - 1)](seen)

    def times(self) -> dict[int, int]:
        """How often each page was shown."""
        return dict(sorted(Counter(one.page for one in self.seen).items()))


def looked_at(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as picture:
        grey = picture.convert("L")
        width, height = grey.size
        page = round((255 - grey.getpixel((width // 2, height // 2))) / 20)
        edges = {0: (width // 2, 8), 90: (8, height // 2), 180: (width // 2, height - 8), 270: (width - 8, height // 2)}
        (turned,) = [turn for turn, place in edges.items() if grey.getpixel(place) < 60]
        return page, turned


def picture(page: int, turned: int = 0) -> Image.Image:
    image = Image.new("L", (600, 800), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 600, 40), fill=0)
    draw.rectangle((150, 250, 450, 550), fill=255 - 20 * page)
    return image.rotate(turned, expand=True)


def scan(path: Path, *pages: Image.Image) -> None:
    pages[0].save(path, save_all=True, append_images=pages[1:])


@pytest.fixture
def vision() -> Iterator[Vision]:
    told = Vision()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(200, {"data": [{"id": "olmocr"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, text, reason = told.answer(body)
            if status != 200:
                self.reply(status, {"error": {"message": text}})
                return
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": 1500, "completion_tokens": len(text.split())}
            choice = {"index": 0, "finish_reason": reason, "message": message}
            self.reply(200, {"model": "olmocr", "choices": [choice], "usage": usage})

        def reply(self, status: int, value: dict[str, Any]) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def olmocr(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one function that is used of the package."""
    prompts = types.ModuleType("olmocr.prompts")
    prompts.build_no_anchoring_v4_yaml_prompt = lambda: INSTRUCTIONS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "olmocr", types.ModuleType("olmocr"))
    monkeypatch.setitem(sys.modules, "olmocr.prompts", prompts)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A landing zone with one scanned book of eight pages, of which page 4 is empty."""
    zone = tmp_path / "zone"
    zone.mkdir()
    scan(zone / "scan.pdf", *(picture(n) if n != 4 else Image.new("L", (600, 800), 235) for n in range(1, 9)))
    (zone / "textbooks.csv").write_text("path,subject,level\nscan.pdf,physics,undergraduate\n")
    return zone


@pytest.fixture
def river(new_river: Callable[..., River], tmp_path: Path, shelf: Path, vision: Vision, olmocr: None) -> River:
    made = new_river(tmp_path / "root", benchmarks=False).with_(textbooks=str(shelf), engine=None)
    made.flow("classify_books")
    return told(made, vision)


def told(river: River, vision: Vision, patience: float = 60, **settings: Any) -> River:
    engine = {"kind": "endpoint", "url": vision.url, "model": "olmocr", "patience_seconds": patience}
    return river.with_(stages={"digitize_books": {"engine": engine, "max_unread_pages": 0.5, **settings}})


def digitize(river: River, **told: Any) -> Any:
    import asyncio

    return asyncio.run(river.stage("digitize_books", **told))


def pages(river: River) -> dict[int, str]:
    (book,) = river.rows("digitize_books")
    return {page.number: page.verdict for page in book.pages}


def failed(river: River) -> dict[str, str]:
    return {aside.id.rpartition("/")[2]: aside.detail for aside in river.asides("digitize_books")}


def test_scan_is_read_page_by_page_and_the_empty_page_is_not_shown(river: River, vision: Vision) -> None:
    receipt = digitize(river)

    assert pages(river) == {n: "blank" if n == 4 else "ocr" for n in range(1, 9)}
    assert vision.times() == {n: 1 for n in range(1, 9) if n != 4}
    (book,) = river.rows("digitize_books")
    assert [page.text for page in book.pages] == [LESSON.format(page=n) if n != 4 else "" for n in range(1, 9)]
    assert {(one.words, one.temperature) for one in vision.seen} == {(INSTRUCTIONS, 0.1)}
    usage = receipt.effort.usage["digitize_books_olmocr"]
    assert (usage.requests, usage.prompt_tokens) == (7, 7 * 1500)


def test_page_paid_once_is_not_shown_again(river: River, vision: Vision) -> None:
    digitize(river)
    before = river.rows("digitize_books")
    vision.seen.clear()

    receipt = digitize(river, recompute=True)

    assert vision.seen == []
    assert receipt.effort.usage["digitize_books_olmocr"].replayed == 7
    assert river.rows("digitize_books") == before


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_page_that_lies_on_its_side_is_turned_and_shown_again(
    turned: int, new_river: Callable[..., River], tmp_path: Path, vision: Vision, olmocr: None
) -> None:
    zone = tmp_path / "zone"
    zone.mkdir()
    scan(zone / "scan.pdf", picture(1), picture(2, turned))
    (zone / "textbooks.csv").write_text("path,subject,level\nscan.pdf,physics,undergraduate\n")
    river = new_river(tmp_path / "root", benchmarks=False).with_(textbooks=str(zone), engine=None)
    river.flow("classify_books")
    river = told(river, vision)

    digitize(river)

    assert pages(river) == {1: "ocr", 2: "ocr"}
    assert [one.turned for one in vision.seen if one.page == 2] == [turned, 0]


def test_answer_of_no_form_is_asked_for_again_and_warmer(river: River, vision: Vision) -> None:
    vision.script[2] = [says("The page says that force is mass times acceleration."), says("---\na: [\n---\n"), reads]
    digitize(river)
    assert pages(river)[2] == "ocr"
    assert [(one.temperature, one.seed) for one in vision.seen if one.page == 2] == [
        (0.1, None),
        (0.3, 1_000_000),
        (0.6, 2_000_000),
    ]


@pytest.mark.parametrize(
    "script, why",
    [
        ([says("Garbage without front matter.")], "no_front_matter"),
        ([says(FRONT.format(valid=True, turn=0) + "Force is", "length")], "truncated"),
        ([says(FRONT.format(valid=True, turn=0) + "and so on " * 400)], "repetitive"),
        ([says(FRONT.format(valid=False, turn=90))], "turned"),
        ([says(FRONT.format(valid=False, turn=0))], "rotation"),
        ([fails(400)], "refused"),
        ([fails(500)], "failed"),
    ],
)
def test_page_that_fails_is_named_and_the_others_go_on(
    script: list[Behaviour], why: str, river: River, vision: Vision
) -> None:
    vision.script[3] = script
    receipt = digitize(river)

    (book,) = river.rows("digitize_books")
    assert (book.unread_pages, book.pages[2].verdict) == ([3], "scan")
    assert receipt.counted("parts_aside") == {"page_failed": 1}
    (detail,) = failed(river).values()
    assert detail.startswith(f"page 3, scan: no model could read it: {why}")
    assert {n: times for n, times in vision.times().items() if n != 3} == dict.fromkeys((1, 2, 5, 6, 7, 8), 1)


def test_page_that_failed_for_the_servers_sake_is_asked_for_another_day(river: River, vision: Vision) -> None:
    vision.script[3] = [fails(500)]
    digitize(river)
    vision.seen.clear()
    vision.script.clear()

    digitize(river, recompute=True)

    assert vision.times() == {3: 1}
    assert pages(river)[3] == "ocr"


def test_book_of_which_too_much_failed_is_aside_with_the_reasons(river: River, vision: Vision) -> None:
    vision.script = {n: [says("Garbage.")] for n in (1, 2, 3)} | {n: [fails(400)] for n in (5, 6)}
    receipt = digitize(river)

    assert receipt.counted("reasons") == {"unreadable_pages": 1}
    (aside,) = river.asides("digitize_books")
    assert aside.detail == ("5 of 8 pages have no usable text: 5 scan; a model was asked: 3 no_front_matter, 2 refused")
    assert aside.said == "Garbage."


def test_share_of_failed_pages_that_a_book_may_have_is_the_users(river: River, vision: Vision) -> None:
    vision.script[3] = [says("Garbage.")]
    digitize(told(river, vision, max_unread_pages=0))
    assert river.reasons("digitize_books").popitem()[1] == "unreadable_pages"


def test_model_that_sees_nothing_on_any_page_leaves_no_empty_success(river: River, vision: Vision) -> None:
    vision.script = {n: [says(FRONT.format(valid=True, turn=0).rstrip())] for n in range(1, 9)}
    digitize(river)
    assert set(pages(river).values()) == {"blank"}
    river.flow("chunk_books")
    assert list(river.reasons("chunk_books").values()) == ["no_text"]


def test_server_without_the_model_ends_the_stage_with_a_line_for_a_person(river: River, vision: Vision) -> None:
    vision.script = {n: [fails(404)] for n in range(1, 9)}
    with pytest.raises(ContractError, match="does it serve olmocr"):
        digitize(river)
    vision.script.clear()
    digitize(river)
    assert pages(river)[1] == "ocr"


def test_server_that_is_gone_ends_the_stage_to_be_tried_again(river: River, vision: Vision) -> None:
    here, vision.url = vision.url, "http://127.0.0.1:9/v1"
    with pytest.raises(TransientError):
        digitize(told(river, vision, patience=1))
    vision.url = here
    digitize(told(river, vision))
    assert vision.times() == {n: 1 for n in range(1, 9) if n != 4}


def test_book_changed_or_gone_since_it_was_discovered_is_aside(river: River, vision: Vision, shelf: Path) -> None:
    scan(shelf / "scan.pdf", picture(9))
    digitize(river)
    assert list(river.reasons("digitize_books").values()) == ["changed"]
    assert vision.seen == []
    (shelf / "scan.pdf").unlink()
    digitize(river, recompute=True)
    assert list(river.reasons("digitize_books").values()) == ["changed"]


def test_scan_cut_short_is_mended_and_drawn(
    new_river: Callable[..., River], tmp_path: Path, shelf: Path, vision: Vision, olmocr: None
) -> None:
    whole = (shelf / "scan.pdf").read_bytes()
    (shelf / "scan.pdf").write_bytes(whole[: whole.rindex(b"xref")])
    river = new_river(tmp_path / "root", benchmarks=False).with_(textbooks=str(shelf), engine=None)
    river.flow("classify_books")
    digitize(told(river, vision))
    assert pages(river) == {n: "blank" if n == 4 else "ocr" for n in range(1, 9)}


def test_pages_with_a_text_layer_are_not_shown(
    new_river: Callable[..., River], tmp_path: Path, vision: Vision, olmocr: None
) -> None:
    import pikepdf

    zone = tmp_path / "zone"
    zone.mkdir()
    scan(zone / "scan.pdf", picture(7))
    with pikepdf.open(zone / "scan.pdf", allow_overwriting_input=True) as document:
        page = document.add_blank_page(page_size=(300, 400))
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=document.make_indirect(font)))
        text = b"BT /F1 12 Tf 20 300 Td (The force on a mass is the product of the mass) Tj ET"
        page.Contents = pikepdf.Stream(document, text)
        document.save(zone / "scan.pdf")
    (zone / "textbooks.csv").write_text("path,subject,level\nscan.pdf,physics,undergraduate\n")
    river = new_river(tmp_path / "root", benchmarks=False).with_(textbooks=str(zone), engine=None)
    river.flow("classify_books")
    digitize(told(river, vision))
    assert pages(river) == {1: "ocr", 2: "text"}
    assert vision.times() == {7: 1}


def test_any_vision_model_is_asked_in_our_words_and_turns_pages_too(river: River, vision: Vision) -> None:
    def plainly(seen: Seen) -> tuple[int, str, str]:
        to_the_right = seen.turned
        return 200, LESSON.format(page=seen.page) if not to_the_right else f"[TURN {to_the_right}]", "stop"

    vision.script = {n: [plainly] for n in range(1, 9)}
    receipt = digitize(told(river, vision, ocr="markdown"))
    assert pages(river) == {n: "blank" if n == 4 else "ocr" for n in range(1, 9)}
    assert receipt.effort.usage["digitize_books"].requests == 7
    assert all(one.words.startswith("Task\nCopy the text of the page") for one in vision.seen)


def test_olmocr_without_its_package_names_it_before_any_page_is_paid(
    river: River, vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "olmocr.prompts", None)
    with pytest.raises(ContractError, match="pip install --no-deps olmocr, or set digitize_books.ocr=markdown"):
        digitize(river)
    assert vision.seen == []
