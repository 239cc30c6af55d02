"""Planted questions through the river, the certificate of what is published, and any other dataset decontaminated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from megascience_ops.cli import main
from megascience_ops.storage import Store

if TYPE_CHECKING:
    from tests.conftest import River

CART = "A cart of mass 0.40 kg rolls at 3.0 m/s into a spring of stiffness 90 N/m. How far is the spring compressed?"
BENCHMARK = [
    {"question": CART},
    {"question": "Why does the pressure of a gas rise when it is heated in a closed flask of fixed volume?"},
    {"question": "How many moles of sodium hydroxide neutralise 25 mL of 0.10 mol/L sulfuric acid in a titration?"},
    {"question": "Explain how insulin lowers the concentration of glucose in blood. Name the organ that makes it."},
]


# --- planted ---------------------------------------------------------------------------------------------------------


def test_planted_rows_are_counted_apart_and_never_published(finished_river: River) -> None:
    river = finished_river
    planted = {row.id for row in river.rows("find_neighbours") if row.planted}
    assert planted
    searched, judged = river.receipt("find_neighbours"), river.receipt("judge_contamination")
    assert searched.total("rows_out") == searched.total("rows_kept") + len(planted)
    assert judged.total("rows_in") == searched.total("rows_out")
    reasons = judged.counted("reasons")
    assert sum(number for reason, number in reasons.items() if reason.startswith("planted_")) == len(planted)
    assert sum(number for name, number in judged.counted("tallies").items() if name.startswith("planted/")) == len(
        planted
    )
    assert judged.measured["planted"] == len(planted)
    for stage in ("judge_contamination", "extract_reference_answer", "finalize", "publish"):
        assert not [row.id for row in river.rows(stage) if "planted" in row.id]
    texts = {row.question for row in river.rows("find_neighbours") if row.planted}
    assert not texts & {row.question for row in river.rows("publish")}
    assert not any(b"planted/" in content for path, content in river.objects("datasets").items() if ".parquet" in path)


def test_planted_rows_are_the_same_whatever_the_lanes_and_the_order(finished_river: River) -> None:
    before = finished_river.rows("find_neighbours")
    finished_river.flow("judge_contamination", recompute=True)
    assert finished_river.rows("find_neighbours") == before


def test_planted_none_where_none_are_wanted_or_nothing_is_searched(new_river, tmp_path: Path) -> None:
    river = new_river(tmp_path / "none", stages={"find_neighbours": {"planted": 0}})
    river.flow("judge_contamination")
    assert river.receipt("judge_contamination").measured == {}
    assert not [row for row in river.rows("find_neighbours") if row.planted]
    bare = new_river(tmp_path / "bare", benchmarks=False)
    bare.flow("judge_contamination")
    assert bare.receipt("judge_contamination").measured == {}


def test_planted_row_whose_verdict_is_unread_is_neither_caught_nor_missed(new_river, scripted, tmp_path: Path) -> None:
    river = new_river(
        tmp_path / "root",
        stages={"judge_contamination": {"max_unread": 1, "floor": -1}},
    ).with_(engine=scripted({"judge_contamination": [{"says": "I would rather not say."}]}))
    river.flow("judge_contamination")
    asked = [row for row in river.rows("find_neighbours") if not row.neighbours[0].same]
    unread = [aside for aside in river.asides("judge_contamination") if aside.said]
    assert {aside.id for aside in unread} == {row.id for row in asked}
    assert any(row.planted for row in asked)
    measured = river.receipt("judge_contamination").measured
    assert measured["unread"] == sum(bool(row.planted) for row in asked)
    assert river.rows("judge_contamination") == []


def test_contaminated_aside_says_how_it_was_found_and_has_both_texts(finished_river: River) -> None:
    (aside,) = [one for one in finished_river.asides("judge_contamination") if one.reason == "contaminated"]
    assert aside.detail.startswith("springs/1, similarity 0.9")
    assert aside.detail.endswith(": it stands in the question word by word")
    (row,) = [row for row in finished_river.rows("find_neighbours") if row.id == aside.id]
    assert aside.part == f"QUESTION\n{row.question}\n\nBENCHMARK\n{row.neighbours[0].question}"


# --- the certificate of a dataset ------------------------------------------------------------------------------------


def certificate(river: River) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(river.store.get("datasets/textbook_reasoning/batch=first/certificate.json"))
    return found


def test_certificate_names_each_benchmark_and_what_was_near(finished_river: River) -> None:
    said = certificate(finished_river)
    (springs,) = said["benchmarks"]
    rows = finished_river.rows("find_neighbours")
    real = [row for row in rows if not row.planted]
    assert (said["rows_compared"], said["rows_removed"], said["rows_unread"]) == (len(real), 1, 0)
    assert said["dataset"] == {"recipe": "textbook_reasoning", "batch": "first", "rows": 3}
    assert springs["sha256"] == finished_river.receipt("find_neighbours").reads["benchmarks/springs.jsonl"]
    assert springs["verdicts"]["copy"] == 1
    assert springs["verdicts"]["far"] == 2 * 3  # three rows, two questions, none of them near
    published = {row.id for row in finished_river.rows("publish")}
    nearest = max((near.similarity, row.id) for row in real if row.id in published for near in row.neighbours)
    assert (springs["nearest"][0]["similarity"], springs["nearest"][0]["row"]) == nearest
    assert said["planted"] == finished_river.receipt("judge_contamination").measured
    assert "mmlu" in said["missing"]


def test_card_quotes_what_was_measured(finished_river: River) -> None:
    card = finished_river.store.get("datasets/textbook_reasoning/batch=first/README.md").decode()
    measured = finished_river.receipt("judge_contamination").measured
    assert f"{measured['planted']} altered benchmark questions travelled along" in card
    assert "certificate.json" in card


def test_certificate_of_changed_benchmarks_is_refused(finished_river: River, call: Any) -> None:
    finished_river.store.put("benchmarks/more.jsonl", b'{"question": "Why?"}\n')
    code, _, said = call(
        *("stage", "publish", "--recompute", "--root", finished_river.root, "--batch", "first"),
    )
    assert code == 65
    assert "benchmarks/more.jsonl is not the file that find_neighbours read: run find_neighbours again" in said


# --- any dataset -----------------------------------------------------------------------------------------------------


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "exam.json").write_text(json.dumps(BENCHMARK))
    return folder


def lines(file: Path, *rows: Any) -> Path:
    file.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))
    return file


@pytest.fixture
def decontaminate(call: Any, benchmarks: Path, tmp_path: Path) -> Callable[..., tuple[int, Any, str]]:
    def run(dataset: Path, *more: str) -> tuple[int, Any, str]:
        where = ("--benchmarks", str(benchmarks), "--root", str(tmp_path / "root"))
        code, out, err = call("decontaminate", "--dataset", str(dataset), *where, "--json", *more)
        return code, json.loads(out) if out else None, err

    return run


MINE = [
    {"question": CART.upper().replace(" ", "  ")},
    {"question": "Who wrote the first textbook of chemistry in French?"},
    {"question": f"Think hard. {CART} Give two digits."},
    {"question": CART.replace("90", "70")},
]


def test_decontaminate_finds_copies_and_leaves_the_rest(decontaminate: Any, tmp_path: Path) -> None:
    code, said, _ = decontaminate(lines(tmp_path / "mine.jsonl", *MINE))
    assert code == 0
    assert (said["rows_compared"], said["rows_removed"], said["dataset"]["rows"]) == (4, 2, 2)
    assert said["benchmarks"][0]["verdicts"]["copy"] == 2
    hits = pq.read_table(tmp_path / "root/decontamination/batch=mine.jsonl/hits.parquet").to_pylist()
    assert [hit["row"] for hit in hits] == ["mine.jsonl/000000000", "mine.jsonl/000000002"]
    assert all(CART in hit["texts"] and hit["reason"] == "contaminated" for hit in hits)


def test_decontaminate_parquet_gives_what_jsonl_gives(decontaminate: Any, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"problem": row["question"]} for row in MINE]), tmp_path / "mine.parquet")
    _, one, _ = decontaminate(lines(tmp_path / "mine.jsonl", *MINE))
    _, other, _ = decontaminate(tmp_path / "mine.parquet", "--column", "problem")
    for name in ("rows_compared", "rows_removed"):
        assert one[name] == other[name]
    assert one["benchmarks"][0]["verdicts"] == other["benchmarks"][0]["verdicts"]


def test_decontaminate_again_computes_nothing_and_says_the_same(decontaminate: Any, tmp_path: Path) -> None:
    mine = lines(tmp_path / "mine.jsonl", *MINE)
    _, first, _ = decontaminate(mine)
    before = {
        entry.path: entry.version for entry in Store(str(tmp_path / "root")).entries() if "receipts" in entry.path
    }
    assert before
    assert decontaminate(mine)[1] == first
    after = {entry.path: entry.version for entry in Store(str(tmp_path / "root")).entries() if "receipts" in entry.path}
    assert after == before


def test_decontaminate_published_rows_finds_them_clear(finished_river: River, call: Any, tmp_path: Path) -> None:
    dataset = f"{finished_river.root}/datasets/textbook_reasoning/batch=first"
    where = ("--root", str(tmp_path / "again"), "--benchmarks", f"{finished_river.root}/benchmarks")
    code, out, _ = call("decontaminate", "--dataset", dataset, "--json", *where)
    said = json.loads(out)
    assert (code, said["rows_compared"], said["rows_removed"]) == (0, 3, 0)
    for name in ("sha256", "file", "rows"):
        assert said["benchmarks"][0][name] == certificate(finished_river)["benchmarks"][0][name]


def test_decontaminate_long_files_in_slices_lose_no_row(
    decontaminate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from megascience_ops.stages import read_questions

    monkeypatch.setattr(read_questions, "SLICE", 3)
    folder = tmp_path / "many"
    folder.mkdir()
    rows = [{"question": f"How heavy is body {number}, and why?"} for number in range(10)]
    lines(folder / "a.jsonl", *rows[:7], {"question": CART})
    pq.write_table(pa.Table.from_pylist(rows), folder / "b.parquet", row_group_size=4)
    _, said, _ = decontaminate(folder)
    assert (said["rows_compared"], said["rows_removed"]) == (18, 1)
    hits = pq.read_table(tmp_path / "root/decontamination/batch=many/hits.parquet").to_pylist()
    assert [hit["row"] for hit in hits] == ["a.jsonl/000000007"]


def test_decontaminate_strange_rows_are_told_or_compared(decontaminate: Any, tmp_path: Path) -> None:
    rows = [
        {"question": ""},
        {"question": "word " * 10_000 + CART},
        {"question": "光速是多少？"},
        {"question": r"$\int_0^1 x\,dx$"},
        {"question": "Why"},
        {"question": 7},
        {"other": "text"},
        b"not json\n",
        b'{"question": "\xff\xfe"}\n',
        {"question": "half \ud83d"},
        ["a", "list"],
        {"question": "last"},
    ]
    code, said, _ = decontaminate(lines(tmp_path / "strange.jsonl", *rows))
    assert code == 0
    assert said["rows_compared"] == 6
    assert said["rows_removed"] == 1
    assert said["no_question"] == {"no_question": 3, "broken_line": 1, "empty_question": 1, "not_utf8": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"question\n", "x.csv: name a .parquet or a .jsonl file, or a folder that has some"),
        ("x.parquet", b"PAR1 not", "x.parquet is not a Parquet file"),
        ("x.jsonl", b'{"prompt": "a", "id": 1}\n', "x.jsonl has no 'question': name one of prompt, id with --column"),
    ],
)
def test_decontaminate_unreadable_file_is_one_line(
    name: str, content: bytes, message: str, decontaminate: Any, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    code, _, said = decontaminate(tmp_path / name)
    assert code == 65
    assert message in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("column", "message"), [("text", "has no column 'text': name one of question, n with --column"), ("n", "not text")]
)
def test_decontaminate_wrong_column_is_one_line(column: str, message: str, decontaminate: Any, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"question": "Why?", "n": 1}]), tmp_path / "mine.parquet")
    code, _, said = decontaminate(tmp_path / "mine.parquet", "--column", column)
    assert code == 65
    assert message in said.splitlines()[-1]


def test_decontaminate_missing_file_empty_file_and_no_benchmarks_are_told(call: Any, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    where = ("--benchmarks", str(tmp_path / "none"), "--root", str(tmp_path / "root"))
    code, _, said = call("decontaminate", "--dataset", str(tmp_path / "gone.jsonl"), *where)
    assert (code, "gone.jsonl: no such file" in said) == (65, True)
    code, _, said = call("decontaminate", "--dataset", str(lines(tmp_path / "mine.jsonl", *MINE)), *where)
    assert (code, "no benchmark files found" in said) == (65, True)
    code, out, _ = call("decontaminate", "--dataset", str(lines(tmp_path / "empty.jsonl")), "--json", *where)
    assert (code, json.loads(out)["rows_compared"]) == (0, 0)


def test_decontaminate_table_names_benchmarks_and_places(call: Any, benchmarks: Path, tmp_path: Path) -> None:
    mine = str(lines(tmp_path / "mine.jsonl", *MINE))
    code, out, _ = call(
        "decontaminate", "--dataset", mine, "--benchmarks", str(benchmarks), "--root", str(tmp_path / "r")
    )
    assert code == 0
    assert "exam" in out
    assert "4 questions compared: 2 stand in a benchmark" in out
    assert "certificate.json" in out
