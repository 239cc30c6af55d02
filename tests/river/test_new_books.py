"""A batch of what is new: it takes the files that no batch has looked at, and leaves no trace where there are none."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.errors import ContractError, NothingNew

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import River

ONLY_NEW = {"discover_books": {"only_new": True}}


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    folder = tmp_path / "zone"
    folder.mkdir()
    return folder


@pytest.fixture
def day(new_river: Callable[..., River], tmp_path: Path, zone: Path) -> Callable[[str], River]:
    """The river of one day's batch."""
    river = new_river(tmp_path / "root", stages=ONLY_NEW).with_(textbooks=str(zone))
    return lambda name: river.with_(batch=name)


def lands(zone: Path, name: str, text: str = "") -> None:
    (zone / name).write_text(f"# {name}\n\n{text or name}: a textbook of physics.\n", encoding="utf-8")


def found(river: River) -> list[str]:
    river.flow("discover_books")
    return [book.path for book in river.rows("discover_books")]


def test_new_books_each_batch_takes_what_came_since(day: Callable[[str], River], zone: Path) -> None:
    lands(zone, "a.md")
    assert found(day("monday")) == ["a.md"]
    lands(zone, "b.md")
    assert found(day("tuesday")) == ["b.md"]


def test_new_books_nothing_new_ends_the_batch_without_a_trace(day: Callable[[str], River], zone: Path) -> None:
    with pytest.raises(NothingNew, match="no textbook there"):
        day("sunday").flow("discover_books")
    lands(zone, "a.md")
    monday = day("monday")
    found(monday)
    before = monday.objects()
    with pytest.raises(NothingNew):
        day("tuesday").flow("discover_books")
    assert monday.objects() == before


def test_new_books_redone_batch_takes_the_same_books_again(day: Callable[[str], River], zone: Path) -> None:
    lands(zone, "a.md")
    monday = day("monday")
    found(monday)
    lands(zone, "b.md")
    again = monday.flow("discover_books")["discover_books"]
    assert (again.computed_parts, again.total("rows_in")) == (0, 1)
    assert found(day("tuesday")) == ["b.md"]


def test_new_books_replaced_file_is_new_again(day: Callable[[str], River], zone: Path) -> None:
    lands(zone, "a.md")
    found(day("monday"))
    lands(zone, "a.md", "the second edition")
    assert found(day("tuesday")) == ["a.md"]


def test_new_books_known_book_under_another_name_is_aside_and_looked_at_once(
    day: Callable[[str], River], zone: Path
) -> None:
    lands(zone, "a.md")
    found(day("monday"))
    shutil.copy(zone / "a.md", zone / "z.md")
    tuesday = day("tuesday")
    assert found(tuesday) == []
    assert tuesday.reasons("discover_books") == {"z.md": "seen_earlier"}
    with pytest.raises(NothingNew):
        day("wednesday").flow("discover_books")


def test_new_books_limit_leaves_the_rest_to_the_next_batch(day: Callable[[str], River], zone: Path) -> None:
    for name in ("a.md", "b.md", "c.md"):
        lands(zone, name)
    limited = {"discover_books": {"only_new": True, "limit": 2}}
    assert sorted(found(day("monday").with_(stages=limited))) == ["a.md", "b.md"]
    assert found(day("tuesday").with_(stages=limited)) == ["c.md"]


def test_new_books_of_a_batch_run_by_hand_are_known_too(day: Callable[[str], River], zone: Path) -> None:
    lands(zone, "a.md")
    found(day("by-hand").with_(stages={}))
    with pytest.raises(NothingNew):
        day("monday").flow("discover_books")


def test_new_books_of_two_batches_at_once_belong_to_one(
    day: Callable[[str], River], zone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second starts before the first has said what it looked at."""
    lands(zone, "a.md")
    monkeypatch.setattr("megascience_ops.seen.remember", lambda *_: None)
    assert found(day("one")) == ["a.md"]
    two = day("two")
    assert found(two) == []
    assert two.reasons("discover_books") == {"a.md": "seen_earlier"}


def test_new_books_command_line_says_so_and_ends_with_99(
    day: Callable[[str], River], zone: Path, cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    river = day("monday")
    where = (f"--root={river.root}", f"--textbooks={zone}", "--batch=monday", "--set=discover_books.only_new=true")
    done = cli("stage", "discover_books", *where)
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr.splitlines()[-1].startswith("nothing to do: ")


def test_new_books_root_among_the_textbooks_is_refused(day: Callable[[str], River], zone: Path) -> None:
    lands(zone, "a.md")
    with pytest.raises(ContractError, match="keep them apart"):
        day("monday").with_(root=str(zone / "data")).flow("discover_books")
    assert not list(zone.glob("data/textbook_reasoning"))


def test_new_books_batch_that_found_none_has_nothing_to_redo(day: Callable[[str], River], zone: Path) -> None:
    """Of past batches that are redone from a later stage on, those without books are none."""
    with pytest.raises(NothingNew, match="sunday found no new textbook: refine_qa has nothing to do"):
        asyncio.run(day("sunday").stage("refine_qa"))
    lands(zone, "a.md")
    found(day("monday"))
    with pytest.raises(ContractError, match="run it first"):
        asyncio.run(day("monday").stage("refine_qa"))
