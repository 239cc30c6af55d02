"""Checking a root: what a finished run left is sound, and every harm done to it is found and named."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.cli import main
from megascience_ops.errors import ContractError
from megascience_ops.upkeep.checking import check, repair

if TYPE_CHECKING:
    from tests.conftest import River


def shard(river: River, stage: str = "refine_qa") -> Path:
    """A shard of a stage that has rows."""
    return Path(river.root) / next(part.path for part in river.receipt(stage).parts if part.rows_out)


def flip(file: Path) -> None:
    """One bit in the middle: the size stays."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def kinds(river: River, **how: bool) -> list[tuple[str, str, str]]:
    found = check(river.store, river.recipe, **how).findings
    return [(one.kind, one.stage, one.path) for one in found]


def test_check_of_a_finished_run_finds_nothing(finished_river: River) -> None:
    report = check(finished_river.store, finished_river.recipe)
    assert report.findings == []
    assert report.receipts == len(finished_river.recipe.names)
    assert report.rows == sum(finished_river.receipt(name).total("rows_out") for name in finished_river.recipe.names)


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (Path.unlink, "lost"),
    "cut": (lambda file: os.truncate(file, file.stat().st_size - 10), "damaged"),
    "flipped": (flip, "damaged"),
    "replaced": (lambda file: file.write_bytes(b"x" * file.stat().st_size), "damaged"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_check_shard_that_is(harm: str, finished_river: River) -> None:
    do, kind = HARMS[harm]
    file = shard(finished_river)
    do(file)
    path = str(file.relative_to(finished_river.root))
    assert kinds(finished_river) == [(kind, "refine_qa", path)]


def test_check_quick_sees_a_cut_but_not_a_flip(finished_river: River) -> None:
    flip(shard(finished_river))
    assert kinds(finished_river, quick=True) == []
    os.truncate(shard(finished_river, "filter_qa"), 100)
    assert [found[:2] for found in kinds(finished_river, quick=True)] == [("damaged", "filter_qa")]


def test_check_flipped_shard_is_refused_by_its_reader_until_it_is_made_again(finished_river: River) -> None:
    published = finished_river.rows("publish")
    file = shard(finished_river)
    flip(file)
    with pytest.raises(ContractError, match=f"{file.name} is damaged.*megascience check"):
        asyncio.run(finished_river.stage("dedup_refined", recompute=True))
    asyncio.run(finished_river.stage("refine_qa", recompute=True))
    finished_river.flow()
    assert finished_river.engine is not None and finished_river.engine.asked == []  # all of it was kept
    assert finished_river.rows("publish") == published
    assert check(finished_river.store, finished_river.recipe).sound


def test_check_receipt_that_cannot_be_read_is_named(finished_river: River) -> None:
    path = f"{finished_river.folder('judge_cot')}/receipts/000001.json"
    (Path(finished_river.root) / path).write_text('{"number": 1')
    assert ("damaged", "judge_cot", path) in kinds(finished_river)


def test_check_completions_that_cannot_be_read_are_named(finished_river: River) -> None:
    folder = f"{finished_river.folder('refine_qa')}/completions"
    path = f"{folder}/{finished_river.store.names(folder)[0]}"
    (Path(finished_river.root) / path).write_bytes(b"PAR1 nothing PAR1")
    assert ("damaged", "refine_qa", path) in kinds(finished_river)


def test_check_stage_whose_upstream_changed_is_stale_which_harms_nobody(finished_river: River) -> None:
    river = finished_river
    folder = Path(river.root) / river.folder("chunk_books") / "receipts"
    receipt = json.loads((folder / "000001.json").read_text())
    for part in receipt["parts"]:
        part["digest"] = "0" * 64
    (folder / "000002.json").write_text(json.dumps({**receipt, "number": 2}))
    report = check(river.store, river.recipe)
    assert report.sound
    assert [one.kind for one in report.findings] == ["stale"]


def test_check_orphans_are_told_and_only_old_ones_removed(finished_river: River) -> None:
    file = shard(finished_river)
    young, old = file.with_name("part-00001.aaaaaaaa.parquet"), file.with_name("part-00001.bbbbbbbb.parquet")
    for orphan in (young, old):
        orphan.write_bytes(file.read_bytes())
    long_ago = time.time() - 3 * 86400
    os.utime(old, (long_ago, long_ago))
    report = check(finished_river.store, finished_river.recipe)
    assert report.sound
    assert {Path(one.path).name for one in report.findings} == {young.name, old.name}
    assert [Path(one.path).name for one in repair(finished_river.store, report, older_than_hours=24)] == [old.name]
    assert young.exists() and not old.exists() and file.exists()


def test_check_work_of_a_stage_without_receipt_is_no_orphan(finished_river: River) -> None:
    for receipt in (Path(finished_river.root) / finished_river.folder("publish") / "receipts").iterdir():
        receipt.unlink()
    for receipt in (Path(finished_river.root) / finished_river.folder("finalize") / "receipts").iterdir():
        receipt.unlink()
    assert kinds(finished_river) == []


def test_check_command_says_what_harms_and_ends_with_65(finished_river: River, capsys) -> None:
    assert main(["check", "--root", finished_river.root]) == 0
    assert "all is there" in capsys.readouterr().out
    flip(shard(finished_river))
    assert main(["check", "--root", finished_river.root]) == 65
    told = capsys.readouterr()
    assert "megascience stage refine_qa --recompute" in told.out
    assert told.err.count("\n") == 1
    assert main(["check", "--root", finished_river.root, "--json"]) == 65
    assert json.loads(capsys.readouterr().out)["sound"] is False


def test_check_of_an_empty_root_says_so(tmp_path: Path, capsys) -> None:
    assert main(["check", "--root", str(tmp_path)]) == 65
    assert "no stage of textbook_reasoning has finished" in capsys.readouterr().err
