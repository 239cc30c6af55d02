"""The report of a batch: written when it is published, whole in itself, and nothing in it but what it should be."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.cli import main
from megascience_ops.looking import report
from megascience_ops.rows import Example
from megascience_ops.tables import encode
from megascience_ops.upkeep import takedown

if TYPE_CHECKING:
    from tests.conftest import River

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e \\(\\text{</span><b>}\\) &amp;"


class Elements(HTMLParser):
    """The elements of a document, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.said = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said += data


def written(river: River) -> str:
    return river.store.get(report.path("textbook_reasoning", "first")).decode()


def test_report_is_written_when_a_batch_is_published_and_says_what_the_funnel_says(finished_river: River) -> None:
    said = Elements(written(finished_river)).said
    for name in finished_river.recipe.names:
        assert name in said
    for words in ("3rows in the dataset", "Aside: contaminated 1", "Aside: duplicate 1", "+no_answer"):
        assert words in said


def test_report_of_the_same_receipts_is_the_same(finished_river: River) -> None:
    assert report.html(finished_river.store, finished_river.recipe, "first") == written(finished_river)


def test_report_needs_nothing_from_elsewhere(finished_river: River) -> None:
    document = written(finished_river)
    elements = Elements(document)
    assert not {"script", "link", "img", "iframe", "base", "form"} & elements.names
    assert not {name for name in elements.attributes if name.startswith("on")} | ({"src"} & elements.attributes)
    assert set(re.findall(r'href="(.)', document)) == {"#"}
    assert "url(" not in document


def test_report_of_hostile_rows_shows_them_as_text(finished_river: River) -> None:
    facts = next(facts for facts in finished_river.receipt("publish").parts if facts.rows_out)
    row = finished_river.rows("publish")[0].model_copy(update={"question": HOSTILE, "book_title": HOSTILE})
    rows = [row.model_copy(update={"id": f"{row.id}-{number}"}) for number in range(facts.rows_out)]
    content, _ = encode(Example, rows, {})
    finished_river.store.put(facts.path, content)
    document = report.html(finished_river.store, finished_river.recipe, "first")
    elements = Elements(document)
    assert not {"script", "img", "b><"} & elements.names
    assert "<script>alert(1)</script>" in elements.said
    assert "\u202e" not in document
    assert "onerror" not in elements.attributes


def test_report_of_a_run_in_the_middle_says_so(finished_river: River) -> None:
    for path in finished_river.objects(finished_river.folder("publish")):
        finished_river.store.delete(path)
    assert "waiting" in report.html(finished_river.store, finished_river.recipe, "first")


def test_report_of_a_batch_from_which_a_book_was_taken_down_has_nothing_of_it(finished_river: River) -> None:
    (row, *_) = [
        row for row in finished_river.rows("publish") if row.question in Elements(written(finished_river)).said
    ]
    asyncio.run(takedown.take_down(finished_river.store, finished_river.recipe, row.book_id, "asked for"))
    assert row.question not in Elements(written(finished_river)).said
    assert row.book_id not in written(finished_river)


def test_report_is_left_out_where_a_file_is_gone_and_the_batch_is_published_all_the_same(finished_river: River) -> None:
    for facts in finished_river.receipt("refine_qa").parts:
        finished_river.store.delete(facts.path)
    finished_river.store.delete(report.path("textbook_reasoning", "first"))
    receipt = asyncio.run(finished_river.stage("publish", recompute=True))
    assert receipt is not None and receipt.computed_parts
    assert finished_river.store.find(report.path("textbook_reasoning", "first")) is None


@pytest.mark.parametrize("to_file", [False, True])
def test_cli_report_says_where_it_is(
    to_file: bool, finished_river: River, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.html"
    told = ["--output", str(file)] if to_file else []
    assert main(["report", "--root", finished_river.root, "--batch", "first", *told]) == 0
    where = Path(capsys.readouterr().out.strip())
    assert where == (file if to_file else Path(finished_river.root) / "textbook_reasoning/batch=first/report.html")
    assert where.read_text(encoding="utf-8").startswith("<!doctype html>")
