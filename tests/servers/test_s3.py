"""The whole recipe on S3: the same dataset as in a folder, whatever the server does meanwhile; and clear refusals."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.cli import main
from megascience_ops.errors import ContractError, TransientError
from megascience_ops.storage import Store
from megascience_ops.upkeep.checking import check

if TYPE_CHECKING:
    from tests.conftest import RIVER, River  # noqa: F401
    from tests.s3_server import S3, Fault

TIMES = int(os.environ.get("MEGASCIENCE_CHAOS", "1"))  # how often some are tried; `make test-chaos` tries more
ROOT = "s3://bucket/curation"


@pytest.fixture
def on_s3(s3: S3, finished_river: River, new_river: Any, tmp_path: Path) -> River:
    """A river whose books lie in the bucket and whose root is there; it has not run."""
    books, root = Store("s3://bucket/books"), Store(ROOT)
    for file in Path(finished_river.textbooks).rglob("*"):
        if file.is_file():
            books.put(str(file.relative_to(finished_river.textbooks)), file.read_bytes())
    for file in (Path(finished_river.root) / "benchmarks").iterdir():
        root.put(f"benchmarks/{file.name}", file.read_bytes())
    return new_river(tmp_path / "unused", benchmarks=False).with_(root=ROOT, textbooks="s3://bucket/books")


def flowed(river: River) -> None:
    """Run it as Airflow does, which tries again where that may help."""
    for _ in range(40):
        with suppress(TransientError):
            river.flow()
            return
    raise AssertionError("forty tries were not enough")


def test_s3_publishes_the_bytes_that_a_folder_publishes(on_s3: River, finished_river: River) -> None:
    on_s3.flow()
    for stage in on_s3.recipe.names:
        assert on_s3.rows(stage) == finished_river.rows(stage), stage
        assert on_s3.asides(stage) == finished_river.asides(stage), stage
    assert on_s3.objects("datasets") == finished_river.objects("datasets")
    assert check(on_s3.store, on_s3.recipe).findings == []


@pytest.mark.parametrize("seed", range(max(2, TIMES // 10)))
def test_s3_server_that_fails_now_and_then_costs_no_row(
    seed: int, s3: S3, on_s3: River, finished_river: River, faults: Callable[[float, int], Fault]
) -> None:
    s3.fault = faults(0.08, seed)
    on_s3.flow()
    s3.fault = None
    assert on_s3.objects("datasets") == finished_river.objects("datasets")
    assert check(on_s3.store, on_s3.recipe).sound


@pytest.mark.parametrize("seed", range(max(1, TIMES // 10)))
def test_s3_answers_that_end_in_the_middle_cost_no_row(seed: int, s3: S3, on_s3: River, finished_river: River) -> None:
    dice, cuts = random.Random(seed), []

    def fault(environ: dict[str, Any]) -> str | None:
        if environ["REQUEST_METHOD"] != "GET" or dice.random() >= 0.004:
            return None
        cuts.append(environ["PATH_INFO"])
        return "cut"

    s3.fault = fault
    flowed(on_s3)
    s3.fault = None
    assert cuts
    assert on_s3.objects("datasets") == finished_river.objects("datasets")
    assert check(on_s3.store, on_s3.recipe).sound


@pytest.mark.skipif(TIMES == 1, reason="waits for half a minute: make test-chaos")
@pytest.mark.parametrize("asked", ["GET", "PUT"])
def test_s3_server_that_says_nothing_is_asked_again(asked: str, s3: S3, on_s3: River, finished_river: River) -> None:
    on_s3.flow("screen_books")
    silences = iter([None, None, "silent"])
    s3.fault = lambda environ: next(silences, None) if environ["REQUEST_METHOD"] == asked else None
    flowed(on_s3)
    assert next(silences, "over") == "over"
    assert on_s3.objects("datasets") == finished_river.objects("datasets")


def test_s3_lists_more_than_a_page_of_keys(s3: S3) -> None:
    store = Store(ROOT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(f"many/{number:05}", b"x"), range(1100)))
    assert store.names("many") == [f"{number:05}" for number in range(1100)]


def test_s3_large_objects_are_put_and_created_whole(s3: S3) -> None:
    store, content = Store(ROOT), bytes(range(256)) * 4 * 1024 * 24
    store.put("put", content)
    assert store.create("created", content) and not store.create("created", b"other")
    for path in ("put", "created"):
        with store.local(path) as file:
            assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_s3_create_has_one_winner_of_many(s3: S3) -> None:
    store = Store(ROOT)
    with ThreadPoolExecutor(12) as pool:
        for trial in range(5):
            won = list(pool.map(lambda number, trial=trial: store.create(f"race/{trial}", b"%d" % number), range(12)))
            assert won.count(True) == 1
            assert store.get(f"race/{trial}") == b"%d" % won.index(True)


def test_s3_keys_that_are_no_paths_are_listed_and_open_nothing(s3: S3) -> None:
    keys = ["good.md", "a/../b.md", "../up.md", "a//b.md", "ctl\x01.md"]
    for key in keys:
        s3.client().put_object(Bucket="bucket", Key=f"books/{key}", Body=b"x")
    store = Store("s3://bucket/books")
    found = [entry.path for entry in store.entries()]
    assert len(set(found)) == len(keys)
    assert [path for path in found if store.find(path) == b"x"] == ["good.md"]


def answered(status: str, code: str) -> Fault:
    return lambda environ: (status, f"<Error><Code>{code}</Code><Message>{code}.</Message></Error>".encode())


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (answered("403 Forbidden", "SignatureDoesNotMatch"), ContractError, "credentials"),
        (answered("403 Forbidden", "InvalidAccessKeyId"), ContractError, "credentials"),
        (answered("403 Forbidden", "RequestTimeTooSkewed"), ContractError, "clock"),
        (answered("403 Forbidden", "QuotaExceeded"), ContractError, "full"),
        (answered("507 Insufficient Storage", "InsufficientStorage"), TransientError, "Insufficient"),
    ],
)
def test_s3_refusal_is_one_clear_line(fault: Fault, error: type[Exception], says: str, s3: S3) -> None:
    s3.fault = fault
    with pytest.raises(error) as raised:
        Store(ROOT).put("a", b"x")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_s3_missing_bucket_is_named(s3: S3, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(Path(__file__).parents[1] / "river" / "textbooks", tmp_path / "books")
    assert main(["run", "--root", "s3://no-such-bucket/x", "--textbooks", str(tmp_path / "books")]) == 65
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: ") and "there is no such bucket" in told
