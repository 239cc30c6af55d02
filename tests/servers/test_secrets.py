"""A planted key: no log, receipt, row, completion or message has it, also where the server itself says it aloud."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_ops.cli import main

if TYPE_CHECKING:
    from tests.conftest import River

CANARY = "sk-canary-7f3b9a41c0de"


class Echo(BaseHTTPRequestHandler):
    """Quotes the key that it is sent: in a refusal of each third request, of all where `denies`."""

    denies = False
    asked = 0

    def do_POST(self) -> None:
        Echo.asked += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model = json.loads(body)["model"]
        said: dict[str, Any] = {"error": {"message": f"{self.headers['Authorization']} may not say this"}}
        status = 401 if Echo.denies else 400
        if not Echo.denies and Echo.asked % 3:
            status = 200
            choice = {"index": 0, "message": {"content": "Analysis: fine.\nDecision: YES"}, "finish_reason": "stop"}
            said = {"model": model, "choices": [choice], "usage": {}}
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    Echo.denies, Echo.asked = False, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


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
    echo: str,
    finished_river: River,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    Echo.denies = denies
    where = ["--root", finished_river.root, "--batch", finished_river.batch, "--textbooks", finished_river.textbooks]
    told = ["--engine", "endpoint", "--url", echo, "--model", "m", "--set", "judge_cot.max_unread=1.0"]
    assert main(["--verbose", "stage", "judge_cot", *where, *told]) == (65 if denies else 0)
    assert Echo.asked > 0
    assert told_of_the_key(finished_river, caplog, capsys) == []


def test_secrets_in_an_address_are_refused_and_not_repeated(
    finished_river: River, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--root", finished_river.root, "--batch", finished_river.batch, "--textbooks", finished_river.textbooks]
    url = f"http://user:{CANARY}@127.0.0.1:9/v1"
    assert main(["stage", "judge_cot", *where, "--engine", "endpoint", "--url", url, "--model", "m"]) == 65
    assert CANARY not in capsys.readouterr().err
    assert told_of_the_key(finished_river, caplog, capsys) == []
