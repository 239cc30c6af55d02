"""discover_books: the files of the landing zone become this batch's books.

A book belongs to the batch that claims it first: the claim is an object created once, so of two runs at the same time
only one gets the book. A file with the content of another, or one taken in by an earlier batch, is aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from pydantic import Field

from megascience_ops import seen
from megascience_ops.batch import Batch
from megascience_ops.books.child import ReadBook, read_in_child
from megascience_ops.books.limits import readers
from megascience_ops.config import WHERE, StageConfig
from megascience_ops.errors import ContractError, NothingNew
from megascience_ops.landing import digest, landing_zone, local_copy, source_files
from megascience_ops.rows import Book, Frozen, SourceFile
from megascience_ops.stage import Aside, DatasetStage, Decide, Outcome
from megascience_ops.storage import Store
from megascience_ops.upkeep.tombstones import taken_down

AT_ONCE = 16  # claims under way, each a request to storage
NOBODY = ""  # owns a book that was taken down
TAKEN_DOWN = Aside("taken_down", "this book was taken down, and is kept out")
UNOPENED = Aside("unopened", "it is gone, or its name has control characters or is not UTF-8; rename it")


class Claim(Frozen):
    """To which batch a book belongs."""

    batch: str


class Config(StageConfig):
    """`only_new`: leave out files that another batch has looked at. `max_pages`: a book of more is aside.

    `excerpt_pages` and `excerpt_characters` bound what classification gets to see of a book."""

    textbooks: Annotated[str | None, WHERE] = None
    limit: int | None = None
    only_new: Annotated[bool, WHERE] = False  # what it leaves out shows in the rows, which the fingerprint covers
    max_pages: int = Field(default=20_000, ge=1)
    excerpt_pages: int = Field(default=8, ge=1)
    excerpt_characters: int = Field(default=6000, ge=100)
    seconds_per_book: Annotated[float, WHERE] = Field(default=120, gt=0)
    rows_in_flight: Annotated[int, WHERE] = Field(default_factory=readers, ge=1)


def source(batch: Batch, config: Config) -> Sequence[SourceFile]:
    """The files of the landing zone. Raises NothingNew where only new ones are wanted, and there are none."""
    if not config.only_new:
        return source_files(config.textbooks)
    zone = landing_zone(config.textbooks).uri
    files = seen.unseen(batch, zone, source_files(zone, may_be_empty=True))
    if not files:
        raise NothingNew(f"{zone}: no textbook there that no batch of {batch.recipe.name} has looked at")
    return files


def check(batch: Batch) -> None:
    """Raises ContractError where what a run writes would lie among the textbooks, and be read as one."""
    config = batch.settings.of(batch.stage.name, Config)
    if config.textbooks and f"{batch.store.uri.rstrip('/')}/".startswith(f"{config.textbooks.rstrip('/')}/"):
        raise ContractError(f"the root {batch.store.uri} lies in the textbooks at {config.textbooks}: keep them apart")


async def look(batch: Batch, config: Config) -> Decide:
    """Digest every file and claim each content; those that are this batch's are taken in."""
    zone = landing_zone(config.textbooks)
    files = sorted(source(batch, config)[: config.limit], key=_most_is_known_of)
    digests = {file.id: digest(zone, file.id) for file in files}
    seen.remember(batch, zone.uri, files)
    stays: dict[str, str] = {}  # of each content, the path that is taken in
    for path, sha256 in digests.items():
        if sha256:
            stays.setdefault(sha256, path)
    owners = claimed(batch, [sha256[:16] for sha256 in stays])

    async def decide(file: SourceFile) -> Outcome:
        if file.id not in digests:
            return Aside("seen_earlier", "another batch has looked at it at the same time")
        if (sha256 := digests[file.id]) is None:
            return UNOPENED
        if stays[sha256] != file.id:
            return Aside("duplicate_file", f"the same content as {stays[sha256]}")
        return await _taken_in(zone, file, sha256, owners[sha256[:16]], batch, config)

    return decide


async def preview(batch: Batch, config: Config, some: Sequence[SourceFile]) -> Decide:
    """Read these files without claiming a book; two of the same content are not noticed."""
    zone = landing_zone(config.textbooks)
    gone = taken_down(batch.store, batch.recipe.name)

    async def decide(file: SourceFile) -> Outcome:
        if (sha256 := digest(zone, file.id)) is None:
            return UNOPENED
        claim = _claim_path(batch, sha256[:16])
        owner = batch.store.json(claim, Claim).batch if batch.store.size(claim) is not None else batch.name
        if sha256[:16] in gone:
            owner = NOBODY
        return await _taken_in(zone, file, sha256, owner, batch, config)

    return decide


async def _taken_in(zone: Store, file: SourceFile, sha256: str, owner: str, batch: Batch, config: Config) -> Outcome:
    if owner == NOBODY:
        return TAKEN_DOWN
    if owner != batch.name:
        return Aside("seen_earlier", f"batch {owner} has taken it in")
    with local_copy(zone, file.id, sha256) as path:
        book = await read_in_child(
            path, seconds=config.seconds_per_book, max_pages=config.max_pages, first=config.excerpt_pages
        )
    return _book(file, sha256, book, config)


def _most_is_known_of(file: SourceFile) -> tuple[bool, bool, bool, str]:
    """Of two copies of a book, the restricted one stands for both, then the one that textbooks.csv says more of."""
    return (file.access in (None, "open"), file.licence is None, file.title is None, file.id)


def claimed(batch: Batch, books: Sequence[str]) -> dict[str, str]:
    """The batch that each of these books belongs to, in whatever order they are claimed."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        owners = dict(zip(books, pool.map(lambda book: _claim(batch, book), books), strict=True))
    return owners | dict.fromkeys(taken_down(batch.store, batch.recipe.name), NOBODY)


def _claim(batch: Batch, book: str) -> str:
    """The batch that this book belongs to: this one, unless another was first."""
    path = _claim_path(batch, book)
    if batch.store.create(path, Claim(batch=batch.name).model_dump_json().encode()):
        return batch.name
    return batch.store.json(path, Claim).batch


def _claim_path(batch: Batch, book: str) -> str:
    return f"index/{batch.recipe.name}/books/{book}.json"


def _book(file: SourceFile, sha256: str, book: ReadBook, config: Config) -> Book:
    excerpt = "\n\n".join(page["text"] for page in book.pages)[: config.excerpt_characters]
    return Book(
        id=sha256[:16],
        path=file.id,
        sha256=sha256,
        format=book.format,
        n_pages=book.n_pages,
        title=file.title or book.title or file.id.rpartition("/")[2],
        authors=file.authors,
        licence=file.licence,
        language=file.language,
        access=file.access,
        level=file.level,
        subject=file.subject,
        excerpt=excerpt,
    )


STAGE = DatasetStage("discover_books", SourceFile, Book, look, Config, source=source, preview=preview, check=check)
