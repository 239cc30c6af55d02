"""The benchmarks that must not leak into the dataset: which files they are, and how their questions are read.

Bytes in, questions out; the files themselves are the user's and never part of this repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, Literal

from megascience_ops.contamination.registry import BENCHMARKS, Benchmark
from megascience_ops.contamination.wording import clean, normalised
from megascience_ops.errors import ContractError

Step = str | int
Skip = Literal["duplicate", "empty"]

_BY_STEM = {PurePosixPath(file).stem: benchmark for benchmark in BENCHMARKS for file in benchmark.files}


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """One question. `id` is benchmark/row; rows count from 1, of a .jsonl file they are its line numbers.

    `options` are those of a multiple-choice question; `also` are the other benchmarks in which it stands, as ids.
    """

    id: str
    benchmark: str
    question: str
    options: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The question with its options, lettered as they are printed."""
        return "\n".join([self.question, *(f"({chr(65 + n)}) {one}" for n, one in enumerate(self.options))])


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """All questions of all benchmarks, each counted once, and the account of what was read.

    `found` has the benchmarks that were read and `missing` the known ones that were not; `rows` and `skipped`
    count per benchmark, so that rows = questions + duplicate + empty. `sha256` has the hex digest of each
    file that was read, by the name it came under; `ignored` the files that are neither .json nor .jsonl.
    `files` and `known` say of each benchmark which file it is, and what we know of it.
    """

    questions: list[BenchmarkQuestion] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, dict[Skip, int]] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    known: dict[str, Benchmark] = field(default_factory=dict)

    def family(self, benchmark: str) -> str:
        """The family of a benchmark that was read: MATH of math500."""
        return self.known[benchmark].family


def load_benchmarks(files: Mapping[str, bytes]) -> BenchmarkSet:
    """Read benchmark files, given as name -> content; folders in a name are for the reader only.

    Any other .json list or .jsonl file is a benchmark of the user's, named after the file, with its text
    under `question`. Of questions that read the same (`normalised`) and have the same options, the first stays and
    says where else it stands: known benchmarks in the order of `BENCHMARKS`, then the user's by name, each in row
    order. Raises ContractError, one line with file, row and fix, for what cannot be read: a benchmark that is half
    there protects from half of it.
    """
    result = BenchmarkSet(ignored=sorted(name for name in files if not _is_benchmark(name)))
    seen: dict[tuple[str, ...], int] = {}  # what a question says, and its place among the questions
    for benchmark, name in _sources(files):
        content = files[name]
        skipped: dict[Skip, int] = {"duplicate": 0, "empty": 0}
        rows = _rows(name, content)
        for number, row in rows:
            question = clean(_question(name, number, row, benchmark.key))
            options = tuple(filter(None, (clean(option) for key in benchmark.options for option in _options(row, key))))
            same = (normalised(question), *sorted(map(normalised, options)))
            id = f"{benchmark.name}/{number}"
            if not question:
                skipped["empty"] += 1
            elif same in seen:
                skipped["duplicate"] += 1
                first = result.questions[seen[same]]
                if first.benchmark != benchmark.name:
                    result.questions[seen[same]] = replace(first, also=(*first.also, id))
            else:
                seen[same] = len(result.questions)
                result.questions.append(BenchmarkQuestion(id, benchmark.name, question, options))
        result.found.append(benchmark.name)
        result.rows[benchmark.name] = len(rows)
        result.skipped[benchmark.name] = skipped
        result.sha256[name] = sha256(content).hexdigest()
        result.files[benchmark.name], result.known[benchmark.name] = name, benchmark
    result.missing.extend(benchmark.name for benchmark in BENCHMARKS if benchmark.name not in result.rows)
    return result


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
    try:
        value = _at(row, key)
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


def _options(row: Any, key: str) -> Iterator[str]:
    """The options under a key: one text, a list of them, or an object, which may be written as JSON in a text.

    An object has the options as its values, or as the names of scores. None where a question has no options.
    """
    try:
        value = _at(row, key)
        if isinstance(value, str) and value.startswith(("{", "[")):
            value = json.loads(value, strict=False)
    except (KeyError, IndexError, TypeError):
        return
    except json.JSONDecodeError:  # an option that begins with a bracket
        pass
    if isinstance(value, dict):
        value = list(value.values()) if all(isinstance(one, str) for one in value.values()) else list(value)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield one


def _at(row: Any, key: str) -> Any:
    for step in _steps(key):
        row = row[step]
    return row


def _steps(key: str) -> list[Step]:
    """`examples[0].input` as the steps into a row: "examples", 0, "input"."""
    return [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key)]
