"""Objects under a root: the same behaviour in a folder and in memory, and errors that say what to do."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from megascience_ops.errors import ContractError, TransientError
from megascience_ops.storage import Store

ODD_NAMES = [
    "plain.md",
    "two words.md",
    "quotes ' and \".md",
    "100% #1 ~home.md",
    "x%20y.md",
    "question?*[a].md",
    "back\\slash.md",
    "späße 😀.md",
    "deep/er/part-00001.parquet",
]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root") if request.param == "folder" else f"memory://{uuid4().hex}")


def test_storage_what_is_put_is_there(store: Store) -> None:
    store.put("a/b.bin", b"\x00one")
    assert store.get("a/b.bin") == b"\x00one"
    store.put("a/b.bin", b"another")
    assert store.find("a/b.bin") == b"another"


def test_storage_ranges_are_what_stands_there_one_after_the_other(store: Store) -> None:
    content = bytes(range(256)) * 9_000
    store.put("a.bin", content)
    starts, ends = [0, 800, 2_000_000], [16, 801, 2_000_300]
    assert store.ranges("a.bin", starts, ends) == content[:16] + content[800:801] + content[2_000_000:2_000_300]
    with pytest.raises(FileNotFoundError, match="nothing.bin"):
        store.ranges("nothing.bin", [0], [1])


def test_storage_what_is_not_there_is_none_or_an_error_that_names_it(store: Store) -> None:
    assert store.find("a/nothing") is None
    assert store.names("a") == []
    with pytest.raises(FileNotFoundError, match="a/nothing"):
        store.get("a/nothing")
    store.delete("a/nothing")


def test_storage_create_is_for_the_first_alone(store: Store) -> None:
    assert store.create("a/once", b"first") is True
    assert store.create("a/once", b"second") is False
    assert store.get("a/once") == b"first"


def test_storage_create_race_has_one_winner_whose_content_stands(store: Store) -> None:
    writers = 16
    for trial in range(5):
        start = threading.Barrier(writers)

        def create(number: int, path: str = f"race/{trial}", start: threading.Barrier = start) -> bool:
            start.wait()
            return store.create(path, str(number).encode() * 50_000)

        with ThreadPoolExecutor(writers) as pool:
            won = list(pool.map(create, range(writers)))
        assert won.count(True) == 1
        assert store.get(f"race/{trial}") == str(won.index(True)).encode() * 50_000


def test_storage_put_is_seen_whole_or_not_at_all(store: Store) -> None:
    contents = [bytes([letter]) * 400_000 for letter in b"ab"]
    store.put("x", contents[0])
    done = threading.Event()

    def write() -> None:
        for number in range(30):
            store.put("x", contents[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [store.get("x") for _ in iter(done.is_set, True)]
    writer.join()
    assert all(content in contents for content in seen)


def test_storage_lists_in_the_order_of_paths(store: Store) -> None:
    paths = ["b/2", "a/10", "a/9", "b/1/x", "B/1", "a/00001"]
    for path in paths:
        store.put(path, path.encode())
    assert [entry.path for entry in store.entries()] == sorted(paths)
    assert [entry.path for entry in store.entries("b")] == ["b/1/x", "b/2"]
    assert {entry.path: entry.bytes for entry in store.entries()} == {path: len(path) for path in paths}


def test_storage_names_are_those_directly_in_a_folder(store: Store) -> None:
    for path in ("rows/part-2", "rows/part-1", "rows/aside/part-1", "rows-of-another/part-3", "rows.txt"):
        store.put(path, b"")
    assert store.names("rows") == ["part-1", "part-2"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_storage_odd_names_are_listed_as_they_can_be_read(name: str, store: Store) -> None:
    store.put(name, b"content")
    (entry,) = store.entries()
    assert entry.path == name
    assert store.get(entry.path) == b"content"
    store.delete(entry.path)
    assert list(store.entries()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_storage_finds_odd_names_that_somebody_else_made(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"content")
    assert [(entry.path, Store(str(tmp_path)).get(entry.path)) for entry in Store(str(tmp_path)).entries()] == [
        (name, b"content")
    ]


def test_storage_version_changes_with_the_content(store: Store) -> None:
    store.put("x", b"one")
    (before,) = store.entries()
    (again,) = store.entries()
    store.put("x", b"two!")
    (after,) = store.entries()
    assert before.version == again.version != after.version


def test_storage_address_is_what_a_person_would_open(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/")
    store.put("a/b.txt", b"here")
    assert Path(store.address("a/b.txt")).read_bytes() == b"here"


def test_storage_memory_is_shared_under_its_name_only() -> None:
    name = uuid4().hex
    Store(f"memory://{name}").put("x", b"1")
    assert Store(f"memory://{name}").find("x") == b"1"
    assert Store(f"memory://{name}-2").find("x") is None


@pytest.mark.parametrize(
    "uri, named",
    [("gs://bucket", "there are folders, s3:// and memory://"), ("{file}", "name a folder that can be written")],
)
def test_storage_that_cannot_be_is_a_contract_error_in_one_line(uri: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ContractError, match=named) as said:
        Store(uri.format(file=tmp_path / "file"))
    assert "\n" not in str(said.value)


def test_storage_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no such folder; name one that exists"):
        Store(str(tmp_path / "zone"), must_exist=True)
    assert not (tmp_path / "zone").exists()


def test_storage_trouble_names_the_object(tmp_path: Path) -> None:
    """A file where a folder is wanted, as an example of what the disk may say."""
    store = Store(str(tmp_path))
    store.put("a", b"a file")
    with pytest.raises((TransientError, ContractError), match=f"{tmp_path}/a/b") as said:
        store.put("a/b", b"below a file")
    assert "\n" not in str(said.value)


ODD = [b"control\x01.md", b"two\nlines.md", b"\xff\xfe.md"]


def test_storage_name_no_object_can_have_is_listed_beside_the_others_and_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "plain.md").write_bytes(b"plain")
    (before,) = Store(str(tmp_path)).entries()
    for name in ODD:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/books/" + name)).write_bytes(b"odd")
    store = Store(str(tmp_path))
    entries = list(store.entries("books"))
    assert before in entries  # its version is what it was, so it is not read again
    odd = [entry.path for entry in entries if entry != before]
    assert len(set(odd)) == len(ODD)
    assert all(path.startswith("books/") and path.isprintable() for path in odd)
    assert [store.find(path) for path in odd] == [None] * len(ODD)
