"""The case files beside this one, against the parser of their stage: what is wanted, or why it is unread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from megascience_ops import parsing
from megascience_ops.errors import Unparsed
from megascience_ops.parsing import pages

HERE = Path(__file__).parent


def _pairs(text: str) -> list[list[str | None]]:
    return [[pair.question, pair.answer] for pair in parsing.question_answers(text)]


def _refined(text: str) -> list[str | None]:
    pair = parsing.refined(text)
    return [pair.question, pair.answer]


def _filter(text: str) -> list[bool | str]:
    verdict = parsing.filter_verdict(text)
    return [verdict.keep, verdict.fault]


def _book(text: str) -> list[str]:
    book = parsing.book_class(text)
    return [book.subject, book.level]


def _page(text: str) -> list[str | int]:
    return list(pages.transcription(text))


def _olmocr_page(text: str) -> list[str | int]:
    return list(pages.olmocr_page(text))


READERS: dict[str, Callable[[str], Any]] = {
    "extract_qa": _pairs,
    "refine_qa": _refined,
    "judge_cot": parsing.decision,
    "judge_contamination": parsing.decision,
    "filter_qa": _filter,
    "classify_books": _book,
    "digitize_books": _page,
    "digitize_books_olmocr": _olmocr_page,
    "distill_cot": parsing.solution,
    "boxed": parsing.boxed,
    "extract_reference_answer": parsing.reference_answer,
}


def _cases(stage: str) -> list[dict[str, Any]]:
    cases = yaml.safe_load((HERE / f"cases_{stage}.yaml").read_text(encoding="utf-8"))
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), f"cases_{stage}.yaml uses a name twice"
    return cases  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("stage", "case"),
    [pytest.param(stage, case, id=f"{stage}: {case['name']}") for stage in READERS for case in _cases(stage)],
)
def test_parser_case_gives_what_it_wants(stage: str, case: dict[str, Any]) -> None:
    """One entry of a case file."""
    assert case.keys() <= {"name", "text", "want", "unparsed", "source"}
    if "unparsed" in case:
        with pytest.raises(Unparsed) as unread:
            READERS[stage](case["text"])
        assert unread.value.reason == case["unparsed"]
    else:
        assert READERS[stage](case["text"]) == case["want"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in _cases("same_answer")])
def test_same_answer_case_gives_what_it_wants(case: dict[str, Any]) -> None:
    """One entry of cases_same_answer.yaml, both ways round."""
    assert parsing.same_answer(case["a"], case["b"]) is case["want"]
    assert parsing.same_answer(case["b"], case["a"]) is case["want"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in _cases("digitize_books_olmocr")])
def test_olmocr_case_is_read_as_the_package_reads_it(case: dict[str, Any]) -> None:
    """Where the package is there. It takes `maybe` for false, and a page turned by nothing for turned: we ask again."""
    front_matter = pytest.importorskip("olmocr.train.front_matter")
    response = pytest.importorskip("olmocr.prompts").PageResponse
    read = front_matter.FrontMatterParser(front_matter_class=response)
    if "unparsed" not in case:
        page = read({"markdown_content": case["text"], "markdown_path": "page.md"})["page_data"]
        turn = 0 if page.is_rotation_valid else page.rotation_correction
        assert turn == case["want"][1]
        assert (
            turn
            or (page.natural_text or "").replace(
                "![A block on a plane with three arrows](page_120_340_300_200.png)", ""
            )
            == case["want"][0]
        )
    elif case["name"] not in ("neither true nor false", "turned, by nothing"):
        with pytest.raises(ValueError, match="Error parsing front matter"):
            read({"markdown_content": case["text"], "markdown_path": "page.md"})
