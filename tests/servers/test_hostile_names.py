"""Books under names that mean harm, in a folder and in a bucket: each is taken in or a named aside, and opens nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.cli import main
from megascience_ops.errors import ContractError
from megascience_ops.storage import Store
from megascience_ops.upkeep.checking import check

if TYPE_CHECKING:
    from tests.conftest import River
    from tests.s3_server import S3

BOOK = "# Book {number}\n\nA force changes the velocity of a mass. What number {number} is its acceleration?\n"
LONG = "/".join(["x" * 100] * 3) + ".md"  # 305 characters
NAMES = [  # what a folder and a bucket can both have
    *("two words.md", "späße \N{PILE OF POO}.md", "力学.md", "x..y.md", "a..b/c.md", "%2e%2e%2fescape.md"),
    *(
        "back\\slash\\..\\x.md",
        "$(reboot) `id` ;rm -rf ~.md",
        "<script>alert(1)<.md",
        "\u202egnp.md",
        "-rf.md",
        "~root.md",
    ),
    *("'quotes\" {{ 7*7 }}.md", "?a=b&c#d.md", "CON.md", "a:b.md", "*.md", LONG),
]
SHOWN = ["bell\x07.md", "new\nline.md", "\x1b[2Jclear.md"]  # no object has such a name here: each is an aside
KEYS = ["../above.md", "a/../../above.md", "a//b.md", "/absolute.md", "./here.md", SHOWN[0]]  # only a bucket has these
ESCAPED = "above.md"


@pytest.fixture
def ran(new_river: Any, tmp_path: Path) -> Callable[[str, str], River]:
    """Takes in the books of a landing zone by command, into a root."""

    def run(zone: str, root: str) -> River:
        assert main(["stage", "discover_books", "--root", root, "--textbooks", zone, "--batch", "first"]) == 0
        return new_river(tmp_path / "unused", benchmarks=False).with_(root=root, textbooks=zone)

    return run


def assert_each_is_accounted_for(river: River, plain: list[str], odd: int) -> None:
    """Books for what can be named, an aside for each name that cannot, and nothing else anywhere."""
    assert sorted(book.path for book in river.rows("discover_books")) == sorted(plain)
    asides = river.asides("discover_books")
    assert [aside.reason for aside in asides] == ["unopened"] * odd
    assert all(aside.id.isprintable() and ".." not in aside.id.split("/") for aside in asides)
    assert check(river.store, river.recipe).findings == []


def test_hostile_names_in_a_folder_are_books_or_named_asides(ran: Callable[..., River], tmp_path: Path) -> None:
    zone = tmp_path / "deep" / "zone"
    for number, name in enumerate([*NAMES, *SHOWN, os.fsdecode(b"\xff\xfe.md"), "y" * 252 + ".md"]):
        (zone / name).parent.mkdir(parents=True, exist_ok=True)
        (zone / name).write_text(BOOK.format(number=number))
    river = ran(str(zone), str(tmp_path / "root"))
    assert_each_is_accounted_for(river, [*NAMES, "y" * 252 + ".md"], 4)
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "root"}


def test_link_that_leads_round_in_a_circle_keeps_no_book_out(ran: Callable[..., River], tmp_path: Path) -> None:
    (tmp_path / "zone" / "books").mkdir(parents=True)
    (tmp_path / "zone" / "books" / "sound.md").write_text(BOOK.format(number=1))
    (tmp_path / "zone" / "books" / "loop").symlink_to(tmp_path / "zone")
    (tmp_path / "zone" / "nowhere.md").symlink_to(tmp_path / "nothing")
    river = ran(str(tmp_path / "zone"), str(tmp_path / "root"))
    assert_each_is_accounted_for(river, ["books/sound.md"], 0)


def test_hostile_keys_in_a_bucket_are_books_or_named_asides(s3: S3, ran: Callable[..., River], tmp_path: Path) -> None:
    client = s3.client()
    for number, name in enumerate([*NAMES, *KEYS]):
        client.put_object(Bucket="bucket", Key=f"zone/{name}", Body=BOOK.format(number=number).encode())
    client.put_object(Bucket="bucket", Key=ESCAPED, Body=b"# Not in the zone")
    river = ran("s3://bucket/zone", "s3://bucket/root")
    taken = [book.path for book in river.rows("discover_books")]
    assert set(NAMES) <= set(taken)
    assert_each_is_accounted_for(river, taken, len(NAMES) + len(KEYS) - len(taken))
    assert not any("Not in the zone" in book.excerpt for book in river.rows("discover_books"))
    keys = [one["Key"] for one in client.list_objects_v2(Bucket="bucket")["Contents"]]
    assert all(key.startswith(("zone/", "root/")) or key == ESCAPED for key in keys)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "a/\x00b", "\x1b"])
@pytest.mark.parametrize("uri", ["{folder}", "s3://bucket/root"])
def test_hostile_path_asked_of_a_root_never_leaves_it(uri: str, name: str, s3: S3, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"outside")
    s3.client().put_object(Bucket="bucket", Key="x", Body=b"outside")
    store = Store(uri.format(folder=tmp_path / "root"))
    for act in (store.get, lambda path: store.put(path, b"harm"), store.delete):
        with pytest.raises((ContractError, FileNotFoundError)):
            act(name)
    assert (tmp_path / "x").read_bytes() == b"outside"
    assert s3.client().get_object(Bucket="bucket", Key="x")["Body"].read() == b"outside"
