"""The benchmarks that must not leak into the dataset: which files they are, and how their questions are read.

Bytes in, questions out; the files themselves are the user's and never part of this repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Literal

from megascience_ops.dedup import TOKEN
from megascience_ops.errors import ContractError

Step = str | int
Skip = Literal["duplicate", "empty"]
SEE_SOURCE = "see source"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark file we know: `key` leads to the question in a row, `examples[0].input` into a nested one.

    `files` are the names it goes by; upper and lower case are the same, and so are .json and .jsonl.
    """

    name: str
    files: tuple[str, ...]
    key: str
    family: str
    licence: str = SEE_SOURCE


BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("mmlu", ("mmlu.json",), "question", "MMLU", "MIT"),
    Benchmark("mmlu_pro", ("mmlu_pro.json", "mmlu-pro.json"), "question", "MMLU-Pro"),
    Benchmark("gpqa_diamond", ("gpqa_diamond.json",), "Question", "GPQA", "CC-BY-4.0"),
    Benchmark("gpqa_main", ("gpqa_main.json",), "Question", "GPQA", "CC-BY-4.0"),
    Benchmark("super_gpqa", ("super_gpqa.json", "supergpqa.json"), "question", "SuperGPQA", "ODC-BY"),
    Benchmark("gsm8k", ("gsm8k.jsonl",), "question", "GSM8K", "MIT"),
    Benchmark("math", ("math.jsonl",), "problem", "MATH", "MIT"),
    Benchmark("math500", ("math500.jsonl", "math-500.jsonl"), "problem", "MATH", "MIT"),
    Benchmark(
        "chembench_multi_choise",
        ("chembench_multi_choise.json", "chembench-multi-choise.json", "chembench_multi_choice.json"),
        "examples[0].input",
        "ChemBench",
        "MIT",
    ),
    Benchmark(
        "chembench_str_match",
        ("chembench_str_match.json", "chembench-str-match.json"),
        "examples[0].input",
        "ChemBench",
        "MIT",
    ),
    Benchmark("cs_bench_assertion", ("cs_bench_assertion.json", "cs-bench-assertion.json"), "Question", "CS-Bench"),
    Benchmark(
        "cs_bench_multiple_choice",
        ("cs_bench_multiple_choice.json", "cs-bench-multiple-choice.json"),
        "Question",
        "CS-Bench",
    ),
    Benchmark("medqa_us", ("medqa_us.jsonl", "medqa-us.jsonl"), "question", "MedQA", "MIT"),
    Benchmark("medmcqa", ("medmcqa.json",), "question", "MedMCQA"),
    Benchmark("pubmedqa", ("pubmedqa.json",), "question", "PubMedQA", "MIT"),
    Benchmark(
        "newton_confident_questions",
        ("newton_confident_questions.json", "newton-confident.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "newton_explicit_questions_bool",
        ("newton_explicit_questions_bool.json", "newton-explicit-bool.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "newton_explicit_questions_mc",
        ("newton_explicit_questions_mc.json", "newton-explicit-mc.json"),
        "question",
        "NEWTON",
    ),
    Benchmark(
        "newton_implicit_questions",
        ("newton_implicit_questions.json", "newton-implicit.json"),
        "question",
        "NEWTON",
    ),
    Benchmark("piqa", ("piqa_valid.json", "piqa.json"), "goal", "PIQA"),
    Benchmark("scibench_physics", ("scibench_physics.json", "scibench-physics.json"), "problem_text", "SciBench"),
    Benchmark(
        "scibench_chemistry",
        ("scibench_chemistry.json", "scibench-chemistry.json"),
        "problem_text",
        "SciBench",
    ),
    Benchmark("scibench_math", ("scibench_math.json", "scibench-math.json"), "problem_text", "SciBench"),
)
_BY_STEM = {PurePosixPath(file).stem: benchmark for benchmark in BENCHMARKS for file in benchmark.files}


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """One question. `id` is benchmark/row; rows count from 1, of a .jsonl file they are its line numbers."""

    id: str
    benchmark: str
    question: str


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """All questions of all benchmarks, each counted once, and the account of what was read.

    `found` has the benchmarks that were read and `missing` the known ones that were not; `rows` and `skipped`
    count per benchmark, so that rows = questions + duplicate + empty. `sha256` has the hex digest of each
    file that was read, by the name it came under; `ignored` the files that are neither .json nor .jsonl.
    """

    questions: list[BenchmarkQuestion] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, dict[Skip, int]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def load_benchmarks(files: Mapping[str, bytes]) -> BenchmarkSet:
    """Read benchmark files, given as name -> content; folders in a name are for the reader only.

    Any other .json list or .jsonl file is a benchmark of the user's, named after the file, with its text
    under `question`. Of questions that read the same (`normalised`), the first stays: known benchmarks in the
    order of `BENCHMARKS`, then the user's by name, each in row order. Raises ContractError, one line with
    file, row and fix, for what cannot be read: a benchmark that is half there protects from half of it.
    """
    result = BenchmarkSet(ignored=sorted(name for name in files if not _is_benchmark(name)))
    sources = _sources(files)
    seen: set[str] = set()
    for benchmark, name in sources:
        content = files[name]
        skipped: dict[Skip, int] = {"duplicate": 0, "empty": 0}
        rows = _rows(name, content)
        for number, row in rows:
            question = clean(_question(name, number, row, benchmark.key))
            same = normalised(question)
            if not question:
                skipped["empty"] += 1
            elif same in seen:
                skipped["duplicate"] += 1
            else:
                seen.add(same)
                id = f"{benchmark.name}/{number}"
                result.questions.append(BenchmarkQuestion(id, benchmark.name, question))
        result.found.append(benchmark.name)
        result.rows[benchmark.name] = len(rows)
        result.skipped[benchmark.name] = skipped
        result.sha256[name] = sha256(content).hexdigest()
    result.missing.extend(benchmark.name for benchmark in BENCHMARKS if benchmark.name not in result.rows)
    return result


# JSON reads "\beta" and "\frac" as a backspace and a form feed. No text has a backspace of its own; a form
# feed may be a page break, so only before these letters was it a LaTeX command.
_BACKSPACE = re.compile(r"\x08(?=[a-z])")
_FORM_FEED = re.compile(r"\x0c(?=rac|orall|rown|box|lat\b)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def clean(text: str) -> str:
    r"""A question as its author meant it.

    A backspace before `eta` was `\beta` and a form feed before `rac` was `\frac`; other C0 controls are
    removed, but tab and line feed stay; CRLF and CR become a line feed; white space at the edges goes, and
    half of a surrogate pair becomes U+FFFD.
    """
    text = _FORM_FEED.sub(r"\\f", _BACKSPACE.sub(r"\\b", text))
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# What a question is made of: its tokens, and the signs between them that are not punctuation.
_SIGNIFICANT = re.compile(rf"{TOKEN.pattern}|[^\w\s.,;:?!'\"’‘“”()\[\]{{}}\\$&~`]")
# A dash that only joins or separates words: `the drug - which`, `stage-I`, `X-ray`, `10 - months`. It may be a minus
# between single letters or before a number. After a number a word has four letters: `10 - cos` is a difference.
_DASH = r"[-‐‑‒–—]"
_LETTER = r"[^\W\d_]"
_BETWEEN_WORDS = re.compile(
    rf"(?<={_LETTER}{{2}})\s*{_DASH}+\s*(?={_LETTER}{{2}})"
    rf"|(?<={_LETTER}{{2}}){_DASH}(?={_LETTER})"
    rf"|(?<={_LETTER}){_DASH}(?={_LETTER}{{2}})"
    rf"|(?<=\d)\s*{_DASH}\s*(?={_LETTER}{{4}})"
)


def normalised(text: str) -> str:
    r"""What texts that say the same share: their words and signs, whatever the case, spacing and punctuation.

    LaTeX commands keep their case. Mathematical signs stay (`x + 1` is not `x - 1`), but a dash between
    words or at the end is punctuation. A text of nothing but punctuation is itself without white space.
    """
    parts = [match.group() for match in _SIGNIFICANT.finditer(_BETWEEN_WORDS.sub(" ", text))]
    words = [part if part.startswith("\\") else part.lower().replace("’", "'") for part in parts]
    while words and re.fullmatch(_DASH, words[-1]):
        words.pop()
    return " ".join(words) or "".join(text.split())


def _is_benchmark(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in {".json", ".jsonl"} and not path.name.startswith(".")


def _sources(files: Mapping[str, bytes]) -> list[tuple[Benchmark, str]]:
    """Which file is which benchmark, in reading order."""
    by_name: dict[str, tuple[Benchmark, str]] = {}
    for name in sorted(filter(_is_benchmark, files)):
        stem = PurePosixPath(name).stem
        benchmark = _BY_STEM.get(stem.lower(), Benchmark(stem, (PurePosixPath(name).name,), "question", stem))
        if benchmark.name in by_name:
            other = by_name[benchmark.name][1]
            raise ContractError(f"benchmarks/{other} and benchmarks/{name} are both {benchmark.name}: keep one of them")
        by_name[benchmark.name] = (benchmark, name)
    registered = [by_name.pop(benchmark.name) for benchmark in BENCHMARKS if benchmark.name in by_name]
    return registered + [by_name[name] for name in sorted(by_name)]


def _rows(name: str, content: bytes) -> list[tuple[int, Any]]:
    """The rows of a file with their numbers from 1: entries of a .json list, lines of a .jsonl file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContractError(
            f"benchmarks/{name} is not UTF-8 at byte {error.start}: save it as UTF-8, or move it away"
        ) from error
    if name.lower().endswith(".jsonl"):
        lines = enumerate(text.split("\n"), start=1)  # splitlines() would break at U+2028 inside a string
        return [(number, _json(name, line, number)) for number, line in lines if line.strip()]
    rows = _json(name, text)
    if not isinstance(rows, list):
        raise ContractError(
            f"benchmarks/{name} is not a JSON list of rows: make it one, name it .jsonl if a line is a row, "
            "or move it away"
        )
    return list(enumerate(rows, start=1))


def _json(name: str, text: str, number: int | None = None) -> Any:
    try:
        return json.loads(text, strict=False)  # control characters in strings are what `clean` is for
    except (json.JSONDecodeError, RecursionError) as error:
        at = f"line {number}" if number else f"line {getattr(error, 'lineno', 1)}"
        message = getattr(error, "msg", "nested too deeply")
        raise ContractError(
            f"benchmarks/{name} {at} is not JSON ({message}): fetch the file again, or move it away"
        ) from error


def _question(name: str, number: int, row: Any, key: str) -> str:
    value = row
    for step in _steps(key):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError) as error:
            raise ContractError(
                f"benchmarks/{name} row {number} has no {key!r}: put the question's text there, or move the file away"
            ) from error
    if not isinstance(value, str):
        raise ContractError(
            f"benchmarks/{name} row {number} has {type(value).__name__} instead of text under {key!r}: "
            "put the question's text there, or move the file away"
        )
    return value


def _steps(key: str) -> list[Step]:
    """`examples[0].input` as the steps into a row: "examples", 0, "input"."""
    return [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key)]
