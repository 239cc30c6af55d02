"""Things that go wrong around a run: two at once, a full disk, a clock that was set back. After each, the same rows."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops import runner
from megascience_ops.errors import EXIT_TRANSIENT
from megascience_ops.upkeep.checking import check

if TYPE_CHECKING:
    from tests.conftest import River

REPOSITORY = Path(__file__).parents[2]
TIMES = int(os.environ.get("MEGASCIENCE_CHAOS", "1"))  # how often each is tried; `make test-chaos` tries more

LITTLE = 2000  # bytes; no file may grow beyond, as on a disk with no more room


def start(river: River, **kwargs: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "megascience_ops", "run", "--root", river.root, "--textbooks", river.textbooks]
    return subprocess.Popen(
        [*command, "--batch", river.batch],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kwargs,
    )


def assert_same(river: River, whole: River) -> None:
    """The dataset is the other's, byte for byte, and all that counts is there and adds up."""
    assert river.objects("datasets") == whole.objects("datasets")
    report = check(river.store, river.recipe)
    assert report.sound, report.findings


@pytest.fixture
def whole(new_river: Any, tmp_path: Path) -> River:
    """A root on which nothing went wrong, by the engine that the runs here use."""
    river: River = new_river(tmp_path / "whole").with_(engine=None)
    river.flow()
    return river


@pytest.mark.parametrize("seed", range(max(1, TIMES * 2 // 5)))
def test_chaos_two_runs_at_once_one_of_them_killed(seed: int, whole: River, new_river: Any, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    dice = random.Random(seed)
    first = start(river)
    time.sleep(dice.uniform(0, 2))
    second = start(river)
    time.sleep(dice.uniform(0.5, 6))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    _, told = second.communicate(timeout=300)
    assert second.returncode in (0, EXIT_TRANSIENT), told
    last = start(river)
    _, told = last.communicate(timeout=300)
    assert last.returncode == 0, told
    assert_same(river, whole)


def test_chaos_two_runs_at_once_give_one_dataset(whole: River, new_river: Any, tmp_path: Path) -> None:
    river = new_river(tmp_path / "root")
    both = [start(river) for _ in range(2)]
    told = [one.communicate(timeout=300)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert_same(river, whole)


def test_chaos_full_disk_is_one_clear_line_and_the_run_goes_on_when_there_is_room(
    whole: River, new_river: Any, tmp_path: Path
) -> None:
    river = new_river(tmp_path / "root")
    room = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (LITTLE, LITTLE))
    full = start(river, preexec_fn=room)
    _, told = full.communicate(timeout=300)
    assert full.returncode == EXIT_TRANSIENT, told
    last = told.splitlines()[-1]
    assert last.startswith("error: ") and "full" in last
    assert "Traceback" not in told
    again = start(river)
    assert again.wait(300) == 0
    assert_same(river, whole)


def harm(river: River, dice: random.Random) -> str:
    """Cut, flip, empty or remove a file that a receipt lists, in a stage that a die chooses; its path."""
    parts = [part for stage in river.recipe.names for part in river.receipt(stage).parts]
    path = dice.choice([path for part in parts for path in (part.path, part.aside_path) if path])
    content = bytearray(river.store.get(path))
    place = dice.randrange(len(content))
    match dice.choice(["cut", "flipped", "empty", "gone"]):
        case "cut":
            river.store.put(path, bytes(content[:place]))
        case "flipped":
            content[place] ^= 1 << dice.randrange(8)
            river.store.put(path, bytes(content))
        case "empty":
            river.store.put(path, b"")
        case _:
            river.store.delete(path)
    return path


@pytest.mark.parametrize("seed", range(2 * TIMES))
def test_chaos_harmed_file_is_found_named_and_made_again(seed: int, finished_river: River) -> None:
    before = {
        stage: (finished_river.rows(stage), finished_river.asides(stage)) for stage in finished_river.recipe.names
    }
    path = harm(finished_river, random.Random(seed))
    found = check(finished_river.store, finished_river.recipe).findings
    assert [(one.path, one.harm) for one in found] == [(path, True)]
    assert f"megascience stage {found[0].stage} --recompute" in found[0].detail
    asyncio.run(finished_river.stage(found[0].stage, recompute=True))
    finished_river.flow()
    assert finished_river.engine is not None and finished_river.engine.asked == []  # what was said is kept
    for stage, decided in before.items():
        assert (finished_river.rows(stage), finished_river.asides(stage)) == decided, stage
    assert check(finished_river.store, finished_river.recipe).sound


def test_chaos_clock_set_back_between_stages_changes_nothing(
    whole: River, new_river: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    river = new_river(tmp_path / "root").with_(engine=None)
    river.flow("refine_qa")

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) - timedelta(days=365)

    monkeypatch.setattr(runner, "datetime", Yesterday)
    river.flow()
    river.flow(recompute=True)
    assert {river.receipt(name).number for name in river.recipe.names} == {2}
    assert river.rows("publish") == whole.rows("publish")
    assert check(river.store, river.recipe).sound
