"""A second batch: what the first has taken in or kept stands, and what is new is added."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from megascience_ops.batch import Batch
from megascience_ops.config import Settings
from megascience_ops.errors import ContractError
from megascience_ops.recipe import recipe
from megascience_ops.stages.discover_books import claimed
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from tests.conftest import River

SALT = (
    "How many grams of sodium chloride (molar mass 58.44 g/mol) are dissolved in 250 mL of a solution of concentration"
)
DIFFUSION = "Why does a drop of ink spread through still water, and what would stop it?"


def write(folder: Path, **books: str) -> str:
    folder.mkdir()
    for name, text in books.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.fixture
def second(finished_river: River, tmp_path: Path, scripted: Callable) -> River:
    """A batch of four files: one that batch `first` has, one with a question that it has, and a twin."""
    seen = (Path(finished_river.textbooks) / "hundred_problems.md").read_text(encoding="utf-8")
    workbook = f"# Workbook\n\n**Problem 1** {SALT} 0.40 mol/L?\n\n**Problem 2** {DIFFUSION}\n"
    zone = write(tmp_path / "later", workbook=workbook, workbook_again=workbook, renamed=seen)
    extracted = (
        f"Question: {SALT} 0.40 mol/L?\nAnswer: Multiply concentration, volume and molar mass, which gives 5.844 g.\n\n"
        f"Question: {DIFFUSION}\nAnswer: Its molecules are kicked about by those of the water."
    )
    pair = f"Refined Question: {DIFFUSION}\nRefined Answer: Thermal motion spreads the molecules; freezing stops it."
    engine = scripted(
        {
            "classify_books": [{"about": "Workbook", "says": "Analysis: x\nSubject: chemistry\nLevel: undergraduate"}],
            "extract_qa_chemistry_high": [{"about": "Problem 1", "says": extracted}],
            "extract_qa_chemistry_low": [{"about": "Problem 1", "says": "[NO QA]"}],
            "refine_qa": [{"about": "ink", "says": pair}],
            "judge_cot": [{"about": "ink", "says": "Analysis: causes.\nDecision: YES"}],
            "extract_reference_answer": [{"about": "ink", "says": "Reference Answer: [NONE]"}],
        }
    )
    river = finished_river.with_(batch="second", textbooks=zone, engine=engine)
    river.flow()
    return river


def test_batches_book_seen_earlier_and_its_twin_are_aside(second: River) -> None:
    assert {aside.id: (aside.reason, aside.detail) for aside in second.asides("discover_books")} == {
        "renamed.md": ("seen_earlier", "batch first has taken it in"),
        "workbook_again.md": ("duplicate_file", "the same content as workbook.md"),
    }
    assert [book.path for book in second.rows("discover_books")] == ["workbook.md"]


def test_batches_question_kept_by_the_first_is_aside_in_the_second(second: River) -> None:
    """Though its answer is longer and its standard higher: what is published stays."""
    kept = [row.id for row in second.with_(batch="first").rows("dedup_questions") if "sodium" in row.question]
    (aside,) = second.asides("dedup_questions")
    assert (aside.reason, kept[0] in aside.detail) == ("duplicate", True)
    assert [row.question for row in second.rows("publish")] == [DIFFUSION]


def test_batches_second_leaves_the_first_as_it_was(second: River, finished_river: River) -> None:
    first = finished_river.flow()
    assert {receipt.computed_parts for receipt in first.values()} == {0}
    datasets = {path.split("/")[2] for path in finished_river.objects("datasets")}
    assert datasets == {"batch=first", "batch=second"}


def test_batches_book_of_a_failed_batch_can_be_read_by_the_same_batch_again(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    river.flow("discover_books")
    again = river.flow("discover_books", recompute=True)
    assert again["discover_books"].total("rows_kept") == 5


def test_batches_publishing_fewer_rows_leaves_nothing_of_the_earlier_ones(finished_river: River) -> None:
    strict = finished_river.with_(stages={"screen_books": {"restricted_licences": ["cc-by-4.0"]}})

    strict.flow()

    assert {row.book_title for row in strict.rows("publish")} == {"Solutions and Ice"}
    files = [name for name in strict.store.names("datasets/textbook_reasoning/batch=first") if name.endswith("parquet")]
    listed = [part.path.rpartition("/")[2] for part in strict.receipt("publish").parts]
    assert files == listed


@pytest.mark.parametrize("at", [1, 5, 30, 100])
def test_batches_claiming_at_once_give_each_book_one_owner_though_one_is_killed(at: int) -> None:
    root, books = f"memory://{uuid4().hex}", [f"{number:016x}" for number in range(60)]

    class Mortal(Store):
        left = at

        def create(self, path: str, content: bytes | Path) -> bool:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().create(path, content)

    def batch(name: str, store: Store) -> Batch:
        flow = recipe("textbook_reasoning")
        return Batch(Settings(root=root, batch=name), flow, flow.stages[0], store)

    with ThreadPoolExecutor(2) as at_once:
        killed = at_once.submit(claimed, batch("a", Mortal(root)), books)
        other = at_once.submit(claimed, batch("b", Store(root)), books[::-1])
    assert isinstance(killed.exception(), KeyboardInterrupt) == (at < len(books))
    again = claimed(batch("a", Store(root)), books)
    assert again == other.result() == claimed(batch("b", Store(root)), books)
    assert again.keys() == set(books) and set(again.values()) <= {"a", "b"}


@pytest.mark.parametrize("harm", [b"", b"null", b"[1, {}]", b'{"shards": 8}', b'{"batch": 1}'])
@pytest.mark.parametrize("note", ["batches/000001.json", "books/"])
def test_note_of_the_index_that_was_damaged_is_named(finished_river: River, note: str, harm: bytes) -> None:
    store = finished_river.store
    path = next(
        path for path in sorted(finished_river.objects()) if path.startswith(f"index/textbook_reasoning/{note}")
    )
    store.put(path, harm)
    with pytest.raises(ContractError, match=f"{path}.*damaged"):
        finished_river.with_(batch="second").flow("discover_books")
