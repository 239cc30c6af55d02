"""The whole recipe on a real S3 server: the same dataset as in a folder, and what such a server refuses, in one line.

$MEGASCIENCE_S3=1 takes the server of $AWS_ENDPOINT_URL; $MEGASCIENCE_TOOLS names scripts that bring one up.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from megascience_ops.errors import EXIT_CONTRACT, ContractError, TransientError
from megascience_ops.storage import Store
from megascience_ops.upkeep.checking import check

if TYPE_CHECKING:
    from tests.conftest import RealS3, River

REPOSITORY = Path(__file__).parents[2]
SHARD = 64 * 1024**2  # bytes, much more than goes in one piece


@pytest.fixture
def bucket(real_s3: RealS3, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty bucket, and the environment that leads to it."""
    import boto3

    for name, value in real_s3.variables.items():
        monkeypatch.setenv(name, value)
    name = f"megascience-{uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample textbooks: PDF, Markdown and text."""
    folder = tmp_path_factory.mktemp("books")
    command = [sys.executable, str(REPOSITORY / "examples/build.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def in_folder(books: Path, tmp_path: Path, new_river: Any) -> River:
    """A river over the sample textbooks into a folder; it has not run."""
    shutil.copytree(REPOSITORY / "examples/benchmarks", tmp_path / "folder" / "benchmarks")
    river: River = new_river(tmp_path / "folder", benchmarks=False)
    return river.with_(textbooks=str(books), engine=None)


@pytest.fixture
def on_s3(bucket: str, in_folder: River) -> River:
    """The same books in the bucket, and a root there."""
    river = in_folder.with_(root=f"{bucket}/curation", textbooks=f"{bucket}/books")
    for path, store in ((Path(in_folder.textbooks), Store(river.textbooks)), (Path(in_folder.root), river.store)):
        for file in (file for file in path.rglob("*") if file.is_file()):
            store.put(str(file.relative_to(path)), file.read_bytes())
    return river


def assert_same(river: River, other: River) -> None:
    """Rows and asides of every stage, and the dataset byte for byte; and all that counts is there."""
    for stage in river.recipe.names:
        assert river.receipt(stage).digest == other.receipt(stage).digest, stage
        assert river.asides(stage) == other.asides(stage), stage
    assert river.objects("datasets") == other.objects("datasets")
    report = check(river.store, river.recipe)
    assert report.sound, report.findings
    assert report.files > len(river.recipe.names)


def test_real_s3_publishes_the_bytes_that_a_folder_publishes(on_s3: River, in_folder: River) -> None:
    on_s3.flow()
    in_folder.flow()
    assert len(in_folder.rows("publish")) > 10
    assert_same(on_s3, in_folder)


def test_real_s3_gateway_killed_under_a_run_costs_no_row(real_s3: RealS3, on_s3: River, in_folder: River) -> None:
    if real_s3.folder is None:
        pytest.skip("the server is not ours to kill")
    in_folder.flow()
    on_s3.flow("classify_books")

    def interfere() -> None:
        for wait in (1.0, 4.0):
            time.sleep(wait)
            real_s3.kill("client.admin")
            real_s3.restart()

    trouble = threading.Thread(target=interfere)
    trouble.start()
    for _ in range(20):  # as Airflow tries again
        try:
            on_s3.flow()
            break
        except TransientError:
            time.sleep(1)
    trouble.join()
    on_s3.flow()
    assert_same(on_s3, in_folder)


def test_real_s3_lists_more_than_a_page_of_keys(bucket: str) -> None:
    store = Store(f"{bucket}/curation")
    names = [f"part-{number // 100:05}.{number % 100:05}" for number in range(2100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.create(f"many/{name}", b"x"), [*names, "deeper/part-00007.00000"]))
    assert store.names("many") == names
    assert store.names("many", "part-00007.") == names[700:800]
    assert store.names("many", "part-1") == []


def test_real_s3_large_shard_is_put_created_and_read_whole(bucket: str, tmp_path: Path) -> None:
    store, file = Store(f"{bucket}/curation"), tmp_path / "shard"
    file.write_bytes(os.urandom(SHARD))
    digest = hashlib.sha256(file.read_bytes()).digest()
    store.put("put", file)
    assert store.create("created", file) and not store.create("created", b"other")
    for path in ("put", "created"):
        with store.local(path) as copy:
            assert hashlib.sha256(copy.read_bytes()).digest() == digest, path
    assert store.ranges("created", [SHARD - 8, 5], [SHARD, 9]) == file.read_bytes()[-8:] + file.read_bytes()[5:9]


def test_real_s3_create_has_one_winner_of_many(bucket: str) -> None:
    store = Store(f"{bucket}/curation")
    with ThreadPoolExecutor(16) as pool:
        for trial in range(20):
            won = list(pool.map(lambda number, trial=trial: store.create(f"race/{trial}", b"%d" % number), range(16)))
            assert won.count(True) == 1
            assert store.get(f"race/{trial}") == b"%d" % won.index(True)


def refused(store: Store) -> set[str]:
    """What each way to use a store says to a person."""
    said = set()
    uses = (
        lambda: store.put("a", b"x"),
        lambda: store.create("b", b"x"),
        lambda: store.names("c"),
        lambda: store.get("d"),
    )
    for use in uses:
        with pytest.raises(ContractError) as raised:
            use()
        said.add(str(raised.value))
    assert not any("\n" in line for line in said)
    return said


@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_real_s3_wrong_credentials_are_one_clear_line(wrong: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wrong, "canary-of-a-key")
    said = refused(Store(f"{bucket}/curation"))
    assert all("check the credentials" in line and "canary" not in line for line in said)


def test_real_s3_missing_bucket_is_one_clear_line(bucket: str) -> None:
    assert all("there is no such bucket" in line for line in refused(Store(f"{bucket}-not/curation")))


def test_real_s3_full_bucket_is_one_clear_line_and_the_run_goes_on_when_there_is_room(
    real_s3: RealS3, on_s3: River, in_folder: River, cli: Any
) -> None:
    if real_s3.folder is None:
        pytest.skip("the server is not ours to set a quota on")
    name = on_s3.root.removeprefix("s3://").partition("/")[0]
    real_s3.admin("quota", "set", "--quota-scope=bucket", f"--bucket={name}", "--max-objects=1")
    real_s3.admin("quota", "enable", "--quota-scope=bucket", f"--bucket={name}")
    arguments = ["run", "--root", on_s3.root, "--textbooks", on_s3.textbooks, "--batch", on_s3.batch]
    done = cli(*arguments)
    assert done.returncode == EXIT_CONTRACT
    assert "the bucket is full; make room, or raise its quota" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    real_s3.admin("quota", "disable", "--quota-scope=bucket", f"--bucket={name}")
    in_folder.flow()
    assert cli(*arguments).returncode == 0
    assert_same(on_s3, in_folder)


@pytest.mark.skipif(not shutil.which("faketime"), reason="needs the command faketime")
def test_real_s3_skewed_clock_is_one_clear_line(bucket: str) -> None:
    command = [
        "faketime",
        "-f",
        "-2h",
        sys.executable,
        "-m",
        "megascience_ops",
        "check",
        "--root",
        f"{bucket}/curation",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == EXIT_CONTRACT
    assert "the clock of this machine is not the server's; set it" in done.stderr.splitlines()[-1]
