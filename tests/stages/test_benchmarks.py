"""Benchmark files: what is read, what is counted once, and what a person is told to mend."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megascience_ops.contamination.benchmarks import BenchmarkSet, load_benchmarks
from megascience_ops.contamination.registry import BENCHMARKS
from megascience_ops.contamination.wording import clean, normalised
from megascience_ops.engines.rules.contamination import numbers, same_question
from megascience_ops.errors import ContractError

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "benchmarks"


def as_json(*rows: Any) -> bytes:
    return json.dumps(rows).encode()


def as_lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def texts(benchmarks: BenchmarkSet) -> dict[str, str]:
    return {question.id: question.question for question in benchmarks.questions}


def test_registry_has_the_23_files_of_14_families() -> None:
    assert len(BENCHMARKS) == 23
    assert len({benchmark.family for benchmark in BENCHMARKS}) == 14
    stems = [Path(file).stem for benchmark in BENCHMARKS for file in {Path(f).stem for f in benchmark.files}]
    assert len(stems) == len(set(stems))
    assert all(file == file.lower() for benchmark in BENCHMARKS for file in benchmark.files)


def test_load_benchmarks_known_files_by_their_own_key() -> None:
    loaded = load_benchmarks(
        {
            "gsm8k.jsonl": as_lines({"question": "How many eggs?"}, {"question": "How many hens?"}),
            "sub/medqa_US.jsonl": as_lines({"question": "Which drug?"}),
            "chembench_str_match.json": as_json({"examples": [{"input": "How many peaks?"}]}),
            "piqa_valid.json": as_json({"goal": "pen"}),
        }
    )
    assert texts(loaded) == {
        "gsm8k/1": "How many eggs?",
        "gsm8k/2": "How many hens?",
        "chembench_str_match/1": "How many peaks?",
        "medqa_us/1": "Which drug?",
        "piqa/1": "pen",
    }
    assert loaded.found == ["gsm8k", "chembench_str_match", "medqa_us", "piqa"]
    assert len(loaded.missing) == 19
    assert "mmlu" in loaded.missing


def test_load_benchmarks_custom_files_are_read_under_question() -> None:
    content = as_lines({"question": "Why?"})
    loaded = load_benchmarks({"ours.jsonl": content, "README.md": b"x", ".hidden.json": b"x", "b.json": b"[]"})
    assert texts(loaded) == {"ours/1": "Why?"}
    assert loaded.sha256["ours.jsonl"] == hashlib.sha256(content).hexdigest()
    assert loaded.found == ["b", "ours"]
    assert loaded.ignored == [".hidden.json", "README.md"]
    assert loaded.rows == {"b": 0, "ours": 1}


def test_load_benchmarks_questions_that_read_the_same_count_once() -> None:
    loaded = load_benchmarks(
        {
            "zz.json": as_json({"question": "what is x+1?"}, {"question": "What is x-1?"}, {"question": " "}),
            "gsm8k.jsonl": as_lines({"question": "What is x + 1 ?"}, {"question": "What is X + 1:-"}),
        }
    )
    assert texts(loaded) == {"gsm8k/1": "What is x + 1 ?", "zz/2": "What is x-1?"}
    assert loaded.skipped == {"gsm8k": {"duplicate": 1, "empty": 0}, "zz": {"duplicate": 1, "empty": 1}}


def test_load_benchmarks_line_numbers_count_blank_lines_and_separators_stay_inside() -> None:
    lines = '\ufeff{"question": "a\u2028b"}\r\n\r\n{"question": "c"}\n'.encode()
    assert texts(load_benchmarks({"x.jsonl": lines})) == {"x/1": "a\u2028b", "x/3": "c"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"{}", r"benchmarks/x\.json is not a JSON list .* \.jsonl"),
        ("x.json", b"[{", r"benchmarks/x\.json line 1 is not JSON"),
        ("x.json", b'[{"question": "\xff"}]', r"benchmarks/x\.json is not UTF-8 at byte 15"),
        ("x.json", b"[1]", r"benchmarks/x\.json row 1 has no 'question'"),
        ("x.json", b'[{"question": null}]', r"row 1 has NoneType instead of text under 'question'"),
        ("x.jsonl", b'{"question": "a"}\n\n{"q": "b"}', r"benchmarks/x\.jsonl row 3 has no 'question'"),
        ("x.jsonl", b'{"question": "a"}\nversion https', r"benchmarks/x\.jsonl line 2 is not JSON"),
        ("gpqa_main.json", b'[{"question": "a"}]', r"row 1 has no 'Question'"),
        ("chembench_str_match.json", b'[{"examples": []}]', r"row 1 has no 'examples\[0\]\.input'"),
        ("chembench_str_match.json", b'[{"examples": "ab"}]', r"row 1 has no 'examples\[0\]\.input'"),
    ],
)
def test_load_benchmarks_unreadable_file_names_file_row_and_fix(name: str, content: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message) as error:
        load_benchmarks({name: content})
    assert "\n" not in str(error.value)
    assert "move" in str(error.value)


def test_load_benchmarks_one_benchmark_twice_is_an_error() -> None:
    with pytest.raises(ContractError, match="both math500: keep one"):
        load_benchmarks({"math500.jsonl": b"", "MATH-500.jsonl": b""})
    with pytest.raises(ContractError, match="both ours: keep one"):
        load_benchmarks({"a/ours.jsonl": b"", "b/ours.json": b"[]"})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("$\beta_1$ and \bar x", r"$\beta_1$ and \bar x"),
        ("\frac{nR}{2} \forall x", r"\frac{nR}{2} \forall x"),
        ("page\fThe next", "pageThe next"),
        (" a\r\nb\rc\x00\x1f\td ", "a\nb\nc\td"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("pair \ud83d\ude00", "pair \U0001f600"),
        ("\x0c \r\n", ""),
    ],
)
def test_clean_mends_what_json_escapes_broke(text: str, want: str) -> None:
    assert clean(text) == want


@given(st.text(st.characters(codec=None)))
def test_clean_twice_is_clean_once_and_can_be_written(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Mode is", "mode is:-", True),
        ("stage-I cancer", "Stage I cancer -", True),
        ("x + 1", "x-1", False),
        ("x - 1", "x-1", True),
        ("x − y", "x y", False),
        (r"$\Delta$", r"\delta", False),
        ("???", "!!!", False),
        ("5%", "5", False),
    ],
)
def test_normalised_ignores_case_and_punctuation_but_not_signs(one: str, other: str, same: bool) -> None:
    assert (normalised(one) == normalised(other)) is same


@given(st.text())
def test_normalised_is_stable_under_spacing(text: str) -> None:
    assert normalised(f"  {text}\n") == normalised(text)


# The files as they are published: rows, and rows that read the same as an earlier one.
WANT = {
    "chembench_multi_choise": (2544, 2),
    "chembench_str_match": (244, 1),
    "cs_bench_assertion": (442, 0),
    "cs_bench_multiple_choice": (1336, 0),
    "gpqa_diamond": (198, 0),
    "gsm8k": (1319, 0),
    "math500": (500, 0),
    "medmcqa": (4183, 13),
    "medqa_us": (1273, 0),
    "newton_confident_questions": (2891, 0),
    "piqa": (1838, 0),
    "pubmedqa": (500, 0),
    "scibench_chemistry": (266, 1),
    "scibench_math": (147, 0),
    "scibench_physics": (227, 1),
}


@pytest.fixture(scope="module")
def real() -> BenchmarkSet:
    if not REAL.is_dir():
        pytest.skip("the published benchmark files are not beside this checkout")
    return load_benchmarks({path.name: path.read_bytes() for path in sorted(REAL.iterdir())})


def test_load_benchmarks_published_files_have_the_rows_and_duplicates_known(real: BenchmarkSet) -> None:
    got = {name: (real.rows[name], real.skipped[name]["duplicate"]) for name in real.found}
    assert got == {name: WANT[name] for name in real.found}
    assert not any(skipped["empty"] for skipped in real.skipped.values())
    assert len(real.questions) == sum(rows - duplicates for rows, duplicates in got.values())


def test_load_benchmarks_published_files_have_no_control_characters(real: BenchmarkSet) -> None:
    for question in real.questions:
        assert not any(ord(character) < 32 and character not in "\t\n" for character in question.question)
        assert question.question == question.question.strip()


MOON = (
    "An astronaut of mass 80 kg jumps straight up from the surface of the Moon with a speed of 3.0 m/s. "
    "How high does she rise above the ground if the acceleration of gravity is 1.6 m/s^2?"
)


@pytest.mark.parametrize(
    ("question", "same"),
    [
        (MOON, True),
        (MOON.upper().replace("?", " ?"), True),
        ("12. " + MOON, True),
        (MOON.replace("An astronaut", "A tourist").replace("3.0", "3"), True),
        (MOON.replace("m/s^2", "m/s²"), True),
        (MOON + " (A) 2.8 m (B) 5.6 m (C) 1.4 m (D) 0.7 m", True),
        (MOON.replace("80", "70"), False),
        (MOON.replace("1.6", "-1.6"), False),
        (MOON.replace("80", "70") + " (A) 2.8 m (B) 5.6 m", False),
        ("How high does a ball of 80 kg rise at a speed of 3.0 m/s if gravity is 1.6 m/s^2?", False),
        ("Which of the following statements is true?", False),
        ("", False),
    ],
)
def test_same_question_tells_copies_from_variants(question: str, same: bool) -> None:
    for pair in ((question, MOON), (MOON, question)):
        verdict, reason = same_question(*pair)
        assert verdict is same, reason
        assert reason.endswith(".")


def test_same_question_short_stems_have_to_be_the_same() -> None:
    assert same_question("Mode is", "mode is:")[0]
    assert not same_question("What is the capital of France?", "What is the capital of Spain?")[0]


def test_numbers_are_compared_by_value() -> None:
    assert numbers("1,000.0 and C2H6, 10² at -5 °C, x-3, .5") == {"1000", "2", "6", "10", "-5", "3", ".5"}
    assert numbers("0.50") == numbers(".5")


@given(st.text(max_size=60), st.text(max_size=60))
def test_same_question_is_symmetric(one: str, other: str) -> None:
    assert same_question(one, other)[0] == same_question(other, one)[0]
