"""The operators: what they run, what they make of how it ends, and that nothing of it stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from megascience_airflow.local import LocalCommand, summary
from megascience_airflow.operators import (
    ChunkBooksOperator,
    ClassifyBooksOperator,
    DedupQuestionsOperator,
    DigitizeBooksOperator,
    DiscoverBooksOperator,
    ExtractQAOperator,
    JudgeCoTOperator,
    RefineQAOperator,
    ScreenBooksOperator,
)
from megascience_airflow.run_settings import RunSettings, stage_command
from megascience_airflow.stage_operator import KEY_VARIABLE, StageOperator, sentence
from megascience_ops.receipts import XCOM_BYTES
from megascience_ops.recipes import TEXTBOOK_REASONING

if TYPE_CHECKING:
    import logging

NAMES = tuple(TEXTBOOK_REASONING.names)
SUMMARY = {
    "receipt": "r/batch=b/refine_qa/receipts/000001.json",
    "stage": "refine_qa",
    "fingerprint": "0" * 16,
    "rows_in": 3,
    "rows_kept": 2,
    "rows_aside": 1,
    "rows_out": 2,
    "computed_parts": 1,
    "parts": 1,
    "reasons": {"no_answer": 1},
}

Run = Callable[[str], dict[str, Any]]


@pytest.fixture
def log() -> logging.Logger:
    import logging

    return logging.getLogger("tests.stage")


@pytest.fixture
def run(log: logging.Logger) -> Run:
    """Runs a few lines of Python in the place of a stage."""
    return lambda code: LocalCommand([sys.executable, "-c", code], os.environ, log).run("refine_qa")


def settings(**told: Any) -> RunSettings:
    nothing: dict[str, Any] = {"textbooks": None, "url": None, "model": None, "limit": None, "recompute": ()}
    some = {"recipe": "textbook_reasoning", "root": "/data", "batch": "b", "engine": "rules", "lanes": 1}
    some |= {"stages": NAMES, "gate": "warn"}
    return RunSettings(**{**nothing, **some, "embedder": {"kind": "rules"}, "settings": {}, **told})


# --- the arrow ------------------------------------------------------------------------------------------------------


def unique_pairs() -> StageOperator:
    books = DiscoverBooksOperator()
    screened = ScreenBooksOperator(reads=books)
    classified = ClassifyBooksOperator(reads=screened)
    digitized = DigitizeBooksOperator(reads=classified)
    passages = ChunkBooksOperator(reads=digitized)
    pairs = ExtractQAOperator(reads=passages)
    return DedupQuestionsOperator(reads=pairs)


def test_reads_sets_the_arrow_and_the_stage_names_the_task() -> None:
    with DAG("drawn"):
        refined = RefineQAOperator(reads=unique_pairs())
        judged = JudgeCoTOperator(reads=refined)
    assert judged.task_id == "judge_cot"
    assert judged.upstream_task_ids == {"refine_qa"}
    assert judged.trigger_rule == TriggerRule.NONE_FAILED


def test_reads_of_other_rows_is_refused_in_one_line() -> None:
    with DAG("drawn_wrong"), pytest.raises(TypeError) as refused:
        JudgeCoTOperator(reads=unique_pairs())
    assert str(refused.value) == "JudgeCoTOperator reads QA rows, but DedupQuestionsOperator writes Pair rows"


def test_reads_left_out_is_refused_where_a_stage_is_not_the_first() -> None:
    with DAG("drawn_short"), pytest.raises(TypeError, match="RefineQAOperator reads Pair rows: name the operator"):
        RefineQAOperator()


# --- the command ----------------------------------------------------------------------------------------------------


def test_command_is_a_list_that_no_shell_reads() -> None:
    told = settings(textbooks="/my books; rm -rf ~", limit=3, recompute=("refine_qa",))
    command = stage_command(
        TEXTBOOK_REASONING.stage("refine_qa"), told, {"refine_qa": {"max_unread": 0.05, "engine": {"model": "m"}}}
    )
    assert command == [
        *(sys.executable, "-m", "megascience_ops", "stage", "refine_qa"),
        *("--root=/data", "--batch=b", "--recipe=textbook_reasoning", "--textbooks=/my books; rm -rf ~"),
        *("--engine=rules", "--limit=3", '--set=gate="warn"', '--set=embedder.kind="rules"'),
        *("--set=refine_qa.max_unread=0.05", '--set=refine_qa.engine={"model": "m"}', "--recompute"),
    ]


@pytest.mark.parametrize("name", ["discover_books", "refine_qa", "publish"])
def test_command_is_understood_by_the_command_line(name: str, tmp_path: Path) -> None:
    told = settings(
        root=str(tmp_path / "nowhere"), url="http://127.0.0.1:9/v1", model="m", limit=1, textbooks="/nowhere"
    )
    stage = TEXTBOOK_REASONING.stage(name)
    command = stage_command(stage, told, {name: {"rows_in_flight": 2}})
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 65, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_key_comes_from_the_connection_only_where_an_endpoint_is_asked(
    dag: DAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEGASCIENCE_ENDPOINT", json.dumps({"conn_type": "http", "password": "k"}))
    task: Any = dag.task_dict["refine_qa"]
    assert KEY_VARIABLE not in task._environment(settings())
    assert task._environment(settings(engine="endpoint"))[KEY_VARIABLE] == "k"
    apart = settings(settings={"refine_qa": {"engine": {"kind": "endpoint"}}})
    assert task._environment(apart)[KEY_VARIABLE] == "k"
    monkeypatch.setenv(KEY_VARIABLE, "own")
    assert task._environment(settings(engine="endpoint"))[KEY_VARIABLE] == "own"


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_last_line_is_returned_whatever_was_printed_before(run: Run) -> None:
    assert run(f"print('hello'); print({json.dumps(SUMMARY)!r})") == SUMMARY


@pytest.mark.parametrize(
    "code, kind, says",
    [
        ("fail('INFO begun\\nerror: x has no y: add it', 65)", AirflowFailException, "x has no y: add it"),
        ("fail('', 65)", AirflowFailException, "refine_qa ended with exit code 65"),
        ("fail('error: server is down; try again', 75)", AirflowException, "server is down; try again"),
        ("fail('nothing to do: no textbook', 99)", AirflowSkipException, "nothing to do: no textbook"),
        ("fail('', 137)", AirflowException, "refine_qa was ended by SIGKILL (often: out of memory)"),
        ("os.kill(os.getpid(), 9)", AirflowException, "refine_qa was ended by SIGKILL (often: out of memory)"),
        ("os.kill(os.getpid(), 15)", AirflowException, "refine_qa was ended by SIGTERM"),
        ("1 / 0", AirflowFailException, "refine_qa crashed with exit code 1: ZeroDivisionError: division by zero"),
    ],
)
def test_exit_codes_decide_what_is_retried(run: Run, code: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(AirflowException) as ended:
        run(f"import os, sys\ndef fail(said, code): sys.stderr.write(said); sys.exit(code)\n{code}")
    assert isinstance(ended.value, kind)
    assert isinstance(ended.value, AirflowFailException) is (kind is AirflowFailException)  # which is never retried
    assert str(ended.value) == says


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "done\n",
        "[]\n",
        "{}\n",
        json.dumps({**SUMMARY, "stage": "judge_cot"}),
        json.dumps({**SUMMARY, "receipt": ""}),
    ],
)
def test_output_without_a_summary_is_refused(stdout: str) -> None:
    with pytest.raises(AirflowFailException, match="no receipt summary"):
        summary(stdout, "refine_qa")


def test_summary_larger_than_an_xcom_is_refused() -> None:
    reasons = {f"reason_{number}": number for number in range(200)}
    with pytest.raises(AirflowFailException, match=f"at most {XCOM_BYTES}"):
        summary(json.dumps({**SUMMARY, "reasons": reasons}), "refine_qa")


def test_log_lines_keep_their_level(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    said = "DEBUG a\\nINFO b\\nWARNING c: INFO d\\n  more of c\\nERROR e\\nTraceback (most recent call last):\\n"
    with caplog.at_level("DEBUG", logger="tests.stage"):
        run(f"import sys; sys.stderr.write('{said}'); print({json.dumps(SUMMARY)!r})")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("DEBUG", "a"),
        ("INFO", "b"),
        ("WARNING", "c: INFO d"),
        ("WARNING", "  more of c"),
        ("ERROR", "e"),
        ("ERROR", "Traceback (most recent call last):"),
    ]


def test_sentence_says_what_became_of_the_rows() -> None:
    assert sentence(SUMMARY) == "3 rows in, 2 out, 1 aside (no_answer 1)"
    assert sentence({**SUMMARY, "computed_parts": 0}) == "nothing to compute, 2 rows stand"


# --- nothing stays behind -------------------------------------------------------------------------------------------

STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if child := os.fork():
    pathlib.Path({path!r}).write_text(str(child))
time.sleep(60)
"""


def is_gone(pid: int) -> bool:
    """Is the process dead, or will be in a moment? A killed process may take that long."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_stop_ends_the_command_and_its_children_although_they_ignore_it(log: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    command = LocalCommand([sys.executable, "-c", STUBBORN.format(path=str(path))], os.environ, log)

    def stop_when_begun() -> None:
        while not (path.exists() and path.read_text()):
            time.sleep(0.05)
        command.stop()

    threading.Thread(target=stop_when_begun).start()
    started = time.monotonic()
    with pytest.raises(AirflowException, match="SIGKILL"):
        command.run("refine_qa")
    assert time.monotonic() - started < 10
    assert is_gone(int(path.read_text()))
    command.stop()  # once more does no harm


WORKER = """
import logging, os, signal, sys
sys.path.insert(0, {plugins!r})
from megascience_airflow.local import LocalCommand
command = LocalCommand([sys.executable, "-c", {stage!r}], os.environ, logging.getLogger())
if {handles}:
    signal.signal(signal.SIGTERM, lambda *_: command.stop())
command.run("refine_qa")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_worker_ends_the_command(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "pid"
    stage = f"import os, pathlib, time; pathlib.Path({str(path)!r}).write_text(str(os.getpid())); time.sleep(600)"
    plugins = str(Path(__file__).parents[2] / "plugins")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(plugins=plugins, stage=stage, handles=number == signal.SIGTERM)],
        stderr=subprocess.DEVNULL,
    )
    while not (path.exists() and path.read_text()):
        time.sleep(0.05)
    worker.send_signal(number)
    worker.wait(120)  # on a busy machine
    assert is_gone(int(path.read_text()))
