"""A planted key: no log, receipt, row, completion or message has it, also where the server itself says it aloud."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.cli import main
from tests.quoting_model import QuotingModel

if TYPE_CHECKING:
    from tests.conftest import River
    from tests.s3_server import S3

CANARY = "sk-canary-7f3b9a41c0de"


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[QuotingModel]:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with QuotingModel("Analysis: fine.\nDecision: YES").serving() as model:
        yield model


def told_of_the_key(river: River, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Everything that was written anywhere and has the key in it."""
    out = capsys.readouterr()
    said = {"log": caplog.text, "stdout": out.out, "stderr": out.err}
    for file in Path(river.root).rglob("*"):
        if file.is_file():
            said[str(file)] = file.read_bytes().decode("latin-1")
    for stage in river.recipe.names:
        if Path(river.root, river.folder(stage), "receipts").is_dir():
            said[f"asides of {stage}"] = str(river.asides(stage))
            said[f"completions of {stage}"] = str(river.completions(stage))
    return [where for where, text in said.items() if CANARY in text]


@pytest.mark.parametrize("denies", [False, True])
def test_secrets_key_that_the_server_quotes_is_told_nowhere(
    denies: bool,
    echo: QuotingModel,
    finished_river: River,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    echo.denies = denies
    where = ["--root", finished_river.root, "--batch", finished_river.batch, "--textbooks", finished_river.textbooks]
    told = ["--engine", "endpoint", "--url", echo.url, "--model", "m", "--set", "judge_cot.max_unread=1.0"]
    assert main(["--verbose", "stage", "judge_cot", *where, *told]) == (65 if denies else 0)
    assert len(echo.keys) > 0
    assert told_of_the_key(finished_river, caplog, capsys) == []


def test_secrets_in_an_address_are_refused_and_not_repeated(
    finished_river: River, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--root", finished_river.root, "--batch", finished_river.batch, "--textbooks", finished_river.textbooks]
    url = f"http://user:{CANARY}@127.0.0.1:9/v1"
    assert main(["stage", "judge_cot", *where, "--engine", "endpoint", "--url", url, "--model", "m"]) == 65
    assert CANARY not in capsys.readouterr().err
    assert told_of_the_key(finished_river, caplog, capsys) == []


@pytest.mark.parametrize(
    "command", ["try judge_cot --limit 2", "estimate", "report", "check --json", "sample", "funnel"]
)
def test_secrets_are_in_no_output_of_a_command_that_looks(
    command: str,
    echo: QuotingModel,
    finished_river: River,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    name, *rest = command.split()
    if name != "check":
        rest += ["--batch", finished_river.batch]
    if name in ("try", "estimate"):
        rest += ["--textbooks", finished_river.textbooks, "--engine", "endpoint", "--url", echo.url, "--model", "m"]
    assert main(["--verbose", name, *rest, "--root", finished_river.root]) in (0, 65)
    assert told_of_the_key(finished_river, caplog, capsys) == []


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "500 Internal Server Error"])
def test_secrets_of_storage_that_the_server_quotes_are_told_nowhere(
    status: str,
    s3: S3,
    finished_river: River,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", CANARY)
    sent: list[str] = []

    def quotes(environ: dict[str, Any]) -> tuple[str, bytes]:
        sent.append(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
        return status, f"<Error><Code>X</Code><Message>{sent[-1]} is no good</Message></Error>".encode()

    s3.fault = quotes
    told = ["run", "--root", "s3://bucket/root", "--batch", "first", "--textbooks", finished_river.textbooks]
    assert main(["--verbose", *told]) in (65, 75)
    assert CANARY in sent
    assert told_of_the_key(finished_river, caplog, capsys) == []
