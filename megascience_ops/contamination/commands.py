"""`megascience decontaminate`: any dataset compared with the benchmarks, with a certificate and its hits.

It is a recipe of three stages, so it stops and goes on, keeps what a model said, and balances its rows like any other.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from megascience_ops import flags, tables
from megascience_ops.batch import Batch
from megascience_ops.config import Settings
from megascience_ops.contamination.certificate import Compared, certificate
from megascience_ops.contamination.measuring import PLANTED, in_words
from megascience_ops.errors import ContractError
from megascience_ops.receipts import Receipt, listed
from megascience_ops.recipe import recipe
from megascience_ops.run import opened, run, wait
from megascience_ops.stages.find_neighbours import benchmark_set

RECIPE = "decontamination"
HITS = pa.schema([(name, pa.string()) for name in ("row", "reason", "detail", "texts", "said")])


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Put the command into the command line."""

    def decontaminate(options: argparse.Namespace) -> None:
        """Compare any dataset with the benchmarks: a certificate, and the rows that stand in one."""
        said, *places = wait(certified(options))
        if options.json:
            sys.stdout.write(json.dumps(said, indent=1) + "\n")
        else:
            show(said, places)

    one = command("decontaminate", decontaminate, where=False)
    one.set_defaults(recipe=RECIPE, batch=None)
    one.add_argument(
        "--dataset", required=True, help="a .parquet or .jsonl file, or a folder of them, here or on s3://"
    )
    one.add_argument("--column", default="question", help="where its questions stand (default question)")
    one.add_argument("--benchmarks", help="folder with the benchmark files (default: {root}/benchmarks)")
    one.add_argument("--root", default=RECIPE, help="where what is computed is kept (default %(default)s)")
    one.add_argument("--planted", type=int, default=200, help="altered benchmark questions at most (default 200)")
    one.add_argument("--json", action="store_true", help="print the certificate, not the table")
    flags.add_engine_flags(one)


async def certified(options: argparse.Namespace) -> tuple[dict[str, Any], str, str]:
    """Compare the dataset with the benchmarks; the certificate, and where it and the hits were put."""
    settings = _settings(options)
    found: dict[str, Receipt] = {}
    for name in recipe(RECIPE).names:
        receipt = await run(settings, name)
        assert receipt is not None  # there is one lane
        found[name] = receipt
    async with opened(settings, "judge_contamination") as batch:
        said = _certified(batch, options, found)
        folder = f"{RECIPE}/batch={batch.name}"
        batch.store.put(f"{folder}/certificate.json", (json.dumps(said, indent=1) + "\n").encode())
        batch.store.put(f"{folder}/hits.parquet", _hits(batch, found["judge_contamination"]))
        return said, batch.store.address(f"{folder}/certificate.json"), batch.store.address(f"{folder}/hits.parquet")


def _certified(batch: Batch, options: argparse.Namespace, found: dict[str, Receipt]) -> dict[str, Any]:
    searching = replace(batch, stage=batch.recipe.stage("find_neighbours"))
    compared = Compared(batch.store, found["find_neighbours"], found["judge_contamination"], benchmark_set(searching))
    dataset = {"name": PurePosixPath(options.dataset).name, "column": options.column}
    said = certificate(compared, dataset)
    return {**said, "no_question": found["read_questions"].counted("parts_aside")}


def _settings(options: argparse.Namespace) -> Settings:
    name = PurePosixPath(options.dataset).name
    options.batch = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "dataset"
    given = {"read_questions": {"dataset": options.dataset, "column": options.column}}
    near = {"planted": options.planted, **({"benchmarks": options.benchmarks} if options.benchmarks else {})}
    settings = flags.settings(options)
    stages = {**settings.stages}
    for stage, values in {**given, "find_neighbours": near}.items():
        stages[stage] = {**values, **stages.get(stage, {})}
    settings = settings.model_copy(update={"stages": stages})
    recipe(RECIPE).check(settings)
    return settings


def _hits(batch: Batch, judged: Receipt) -> bytes:
    """The rows that were set aside, with both texts; planted ones are not among them."""

    def rows() -> Iterator[dict[str, Any]]:
        for part in judged.parts:
            if part.aside_path:
                with listed(batch.store, part.aside_path, part.aside_sha256) as file:
                    for aside in tables.columns(file, ["row", "reason", "detail", "part", "said"]):
                        if not aside["reason"].startswith(PLANTED):
                            yield {**aside, "texts": aside.pop("part")}

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(sorted(rows(), key=lambda row: str(row["row"])), schema=HITS)
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def show(said: dict[str, Any], places: Sequence[str]) -> None:
    """The certificate as a table and a few lines."""
    console = Console(width=None if Console().is_terminal else 100, highlight=False)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("benchmark", "questions", "copies", "same", "another", "unread", "nearest that stays"):
        first = name == "benchmark"
        grid.add_column(name, justify="left" if first else "right", no_wrap=True, overflow="ellipsis")
    for one in said["benchmarks"]:
        verdicts = one["verdicts"]
        counts = [one["rows"] - one["duplicate"] - one["empty"]]
        counts += [verdicts[verdict] for verdict in ("copy", "same", "another", "unread")]
        nearest = one["nearest"][0] if one["nearest"] else None
        shown = f"{nearest['similarity']:.2f} {_short(nearest['row'])}" if nearest else ""
        grid.add_row(one["benchmark"], *(f"{count:,}" for count in counts), shown)
    console.print(grid)
    if not said["benchmarks"]:
        raise ContractError("no benchmark files found, so nothing was compared: name their folder with --benchmarks")
    console.print(
        f"{said['rows_compared']:,} questions compared: {said['rows_removed']:,} stand in a benchmark, "
        f"{said['rows_unread']:,} could not be judged, {said['dataset']['rows']:,} are clear.\n"
        f"{in_words(said['planted'])}\nCertificate: {places[0]}\nHits: {places[1]}",
        soft_wrap=True,
    )


def _short(row: str) -> str:
    """A row's number, after the last of its file's name."""
    file, _, number = row.rpartition("/")
    return f"{file.rpartition('.')[0][-12:]}/{int(number)}"
