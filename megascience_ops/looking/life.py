"""The whole life of a row: the book, the passage and the pair it was, what was asked about it, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from megascience_ops.completions import Completion
from megascience_ops.funnel import AT_ONCE
from megascience_ops.looking import finding
from megascience_ops.looking.finding import Values
from megascience_ops.receipts import PartFacts, Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.rows import AsideRow, Frozen
from megascience_ops.storage import Entry, Store

WHOLE_BOOKS = frozenset({"pages"})
_END = "\U0010ffff"  # sorts behind every id


class Moment(Frozen):
    """A row at one stage: as it came out of it, or aside; what was asked about it there; how many rows it became.

    `kind`: what the rows are. `rows` has also the book and the passage it comes from; the pages of books are left out.
    """

    stage: str
    kind: str
    rows: list[Values]
    asides: list[AsideRow]
    asked: list[Completion]
    became: int


def life(store: Store, recipe: Recipe, found: Sequence[Receipt], row_id: str) -> list[Moment]:
    """What became of a row, stage by stage; of its book and its passage, too, as long as the row was part of them.

    A row stays in the shard of its book, so no other shard is read once the book is found. [] for an unknown id.
    """
    part = next((part for receipt in found if (part := _part(store, receipt, row_id)) is not None), None)
    if part is None:
        return []

    def moment(receipt: Receipt) -> Moment | None:
        facts = next((facts for facts in receipt.parts if facts.part == part), None)
        if facts is None:
            return None
        rows, asides = _rows(store, facts, row_id), _asides(store, facts, row_id)
        became = sum(1 for _ in finding.between(store, facts.path, f"{row_id}/", f"{row_id}/{_END}", only=["id"]))
        if not (rows or asides or became):
            return None
        kind = recipe.stage(receipt.stage).writes.__name__
        heard = asked(store, receipt, part, lineage(row_id)) if rows or asides else []
        return Moment(stage=receipt.stage, kind=kind, rows=rows, asides=asides, asked=heard, became=became)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one for one in pool.map(moment, found) if one]


def lineage(row_id: str) -> list[str]:
    """The ids of the book and the passage that a row comes from, and its own."""
    steps = row_id.split("/")
    return ["/".join(steps[:end]) for end in range(1, len(steps) + 1)]


def is_known(moments: Iterable[Moment], row_id: str) -> bool:
    """Did this very row ever exist, or only its book?"""
    return any(
        row_id in {*(row["id"] for row in moment.rows), *(aside.id for aside in moment.asides)} for moment in moments
    )


def by_page(moment: Values) -> Values:
    """A moment as JSON in which the text of a passage is told page by page, as `[{"page": 5, "text": ...}, ...]`."""
    for row in moment["rows"]:
        if starts := row.pop("page_starts", None):
            ends, first = [*starts[1:], len(row["text"])], row["source"]["page_start"]
            row["text"] = [
                {"page": first + number, "text": row["text"][start:end]}
                for number, (start, end) in enumerate(zip(starts, ends, strict=True))
            ]
    return moment


def _part(store: Store, receipt: Receipt, row_id: str) -> int | None:
    """The shard of a stage that has the row or what it comes from."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        there = pool.map(
            lambda facts: bool(_rows(store, facts, row_id) or _asides(store, facts, row_id)), receipt.parts
        )
        return next((facts.part for facts, has in zip(receipt.parts, there, strict=True) if has), None)


def _rows(store: Store, facts: PartFacts, row_id: str) -> list[Values]:
    return finding.by_id(store, facts.path, lineage(row_id), leave=WHOLE_BOOKS) if facts.rows_out else []


def _asides(store: Store, facts: PartFacts, row_id: str) -> list[AsideRow]:
    """The asides of a row and of what it comes from; those of parts of a row have its id and more."""
    if not facts.aside_path:
        return []
    found = [
        AsideRow.model_validate(values)
        for one in lineage(row_id)
        for values in finding.between(store, facts.aside_path, one, f"{one}/aside-{_END}")
    ]
    ids = set(lineage(row_id))
    return [aside for aside in {one.id: one for one in found}.values() if aside.row in ids or aside.id in ids]


def asked(store: Store, receipt: Receipt, part: int, ids: Sequence[str]) -> list[Completion]:
    """What was asked about these rows; a segment of completions says from which row to which it reaches."""

    def heard(segment: Entry) -> list[Completion]:
        reach = finding.reach(store, segment.path, segment.bytes, "row")
        if reach and not any(reach[0] <= one <= reach[1] for one in ids):
            return []
        with finding.opened(store, segment.path) as file:
            places = [group for one in ids for group in finding.groups(file, "row", one, one)]
            rows = [row for group in sorted(set(places)) for row in finding.table(file, group).to_pylist()]
        return [Completion.model_validate(row) for row in rows if row["row"] in ids]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [completion for some in pool.map(heard, segments(store, receipt, part)) for completion in some]


def segments(store: Store, receipt: Receipt, part: int) -> list[Entry]:
    """The files of completions that a shard of a stage has, by now."""
    if not receipt.prompts:
        return []
    folder = f"{receipt.recipe}/batch={receipt.batch}/{receipt.stage}/completions"
    return [entry for entry in store.entries(folder) if entry.path.startswith(f"{folder}/part-{part:05}.")]
