"""Rows as Parquet: every row type comes back as it was, whatever its strings hold."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from megascience_ops import rows, tables
from megascience_ops.completions import Completion
from megascience_ops.rows import AsideRow, DigitizedBook, Neighbour, NeighbouredQA, Page, Row, Source

ROW_TYPES = sorted(
    {one for one in vars(rows).values() if isinstance(one, type) and issubclass(one, Row) and one is not Row}
    | {Completion},
    key=lambda one: one.__name__,
)
# Anything that a text may hold; half of a surrogate pair is no text.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def values(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """Any value of a model; strings and numbers as Parquet can hold them."""
    fields = {name: _field(field.annotation) for name, field in model.model_fields.items()}
    return st.builds(model, **fields)


def _field(annotation: object) -> st.SearchStrategy[object]:
    from types import UnionType
    from typing import Literal, Union, get_args, get_origin

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of([st.none() if one is type(None) else _field(one) for one in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_field(arguments[0]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return values(annotation)
    numbers = {int: st.integers(-(2**63), 2**63 - 1), float: st.floats(allow_nan=False), bool: st.booleans(), str: TEXT}
    return numbers[annotation]  # type: ignore[index]


@pytest.mark.parametrize("model", ROW_TYPES, ids=lambda model: model.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_tables_rows_come_back_as_they_were(model: type[Row], data: st.DataObject) -> None:
    given = data.draw(st.lists(values(model), max_size=4, unique_by=lambda row: row.id))  # type: ignore[attr-defined]
    content, _ = tables.encode(model, given, {})  # type: ignore[arg-type]
    assert list(tables.decode(model, content)) == sorted(given, key=lambda row: row.id)  # type: ignore[attr-defined]


def aside(row_id: str, detail: str = "") -> AsideRow:
    return AsideRow(id=row_id, row=row_id, reason="x", detail=detail, part=None, said=None)


def test_tables_do_not_depend_on_the_order_of_rows() -> None:
    given = [aside(f"book/{number}", "d" * number) for number in range(50)]
    shuffled = random.Random(3).sample(given, len(given))
    assert tables.encode(AsideRow, given, {"part": 1}) == tables.encode(AsideRow, shuffled, {"part": 1})


def test_tables_digest_is_of_the_rows_alone() -> None:
    one, digest = tables.encode(AsideRow, [aside("a")], {"part": 1})
    other, same = tables.encode(AsideRow, [aside("a")], {"part": 2})
    _, different = tables.encode(AsideRow, [aside("a", "!")], {"part": 1})
    assert one != other
    assert digest == same != different


def test_tables_state_what_they_were_given_and_the_digest() -> None:
    content, digest = tables.encode(AsideRow, [], {"part": 3, "reasons": {"ünread": 2}})
    assert tables.stated(content) == {"part": 3, "reasons": {"ünread": 2}, "digest": digest}


def test_tables_without_rows_have_the_schema_of_those_with() -> None:
    empty, _ = tables.encode(NeighbouredQA, [], {})
    assert pq.read_schema(io.BytesIO(empty)).equals(tables.arrow_schema(NeighbouredQA))
    assert list(tables.decode(NeighbouredQA, empty)) == []


def test_tables_columns_can_be_read_alone() -> None:
    content, _ = tables.encode(AsideRow, [aside("b", "two"), aside("a", "one")], {})
    assert list(tables.columns(content, ["id", "detail"])) == [
        {"id": "a", "detail": "one"},
        {"id": "b", "detail": "two"},
    ]


def test_tables_nested_rows_keep_their_order() -> None:
    pages = [Page(number=number, text=f"p{number}", verdict="text") for number in (3, 1, 2)]
    book = DigitizedBook(
        **dict.fromkeys(("id", "path", "sha256", "format", "title"), "x"),
        **dict.fromkeys(("authors", "licence", "language")),
        n_pages=3,
        subject="physics",
        level="graduate",
        pages=pages,
        unread_pages=[2, 1],
    )
    (back,) = tables.decode(DigitizedBook, tables.encode(DigitizedBook, [book], {})[0])
    assert back == book


def test_tables_null_stands_only_where_a_row_allows_none() -> None:
    schema = tables.arrow_schema(NeighbouredQA)
    nullable = {field.name for field in schema if field.nullable}
    assert nullable == {"cot_note", "planted", "family"}
    source = schema.field("source").type
    assert {source.field(i).name for i in range(source.num_fields) if source.field(i).nullable} == {"licence"}
    assert set(Source.model_fields) == {source.field(i).name for i in range(source.num_fields)}


def test_tables_similarity_keeps_its_digits() -> None:
    near = Neighbour(benchmark="b", id="b/1", question="?", similarity=0.123456789012345, same=None)
    qa = NeighbouredQA(
        id="x",
        source=Source(book_id="b", title="t", licence=None, section="", page_start=1, page_end=1),
        subject="physics",
        standard="high",
        question="q",
        answer="a",
        has_cot=True,
        answer_source="refined",
        cot_note=None,
        neighbours=[near],
        n_benchmarks=1,
        floor=0.3,
        planted=None,
    )
    (back,) = tables.decode(NeighbouredQA, tables.encode(NeighbouredQA, [qa], {})[0])
    assert back == qa


def test_tables_lone_surrogate_is_refused_rather_than_altered() -> None:
    """Readers of books and of answers replace them before a row is made."""
    with pytest.raises(ValueError):
        tables.encode(AsideRow, [aside("a", "half of a pair: \ud83d")], {})


def test_tables_file_that_was_harmed_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    content = bytearray(tables.encode(AsideRow, [aside("a", "x" * 900)], {})[0])
    content[200] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(tables.Damaged) as said, tables.whole("s3://bucket/rows.parquet"):
        list(tables.decode(AsideRow, file))
    assert str(said.value).startswith("s3://bucket/rows.parquet is not as it was written (")
    assert str(said.value).endswith("; `megascience check` says more")
    assert "\n" not in str(said.value)
