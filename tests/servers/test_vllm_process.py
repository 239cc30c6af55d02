"""The vllm engine around a command that behaves as `vllm serve` does: it starts, dies, refuses and lingers on demand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig, identity
from megascience_ops.engines import vllm, vllm_server
from megascience_ops.engines.engine import open_engine
from megascience_ops.engines.vllm import VllmEngine
from megascience_ops.engines.vllm_log import ending
from megascience_ops.errors import ContractError, TransientError

T = TypeVar("T")

# A model is a folder; how its server behaves stands in behaviour.json there, and what it did in the files beside it.
FAKE = """
import argparse, json, os, pathlib, signal, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

assert sys.argv[1] == "serve"
folder = pathlib.Path(sys.argv[2])
behaviour = json.loads((folder / "behaviour.json").read_text())
with open(folder / "launches", "a") as file:
    file.write(json.dumps({"pid": os.getpid(), "arguments": sys.argv[2:]}) + "\\n")
launch = len((folder / "launches").read_text().splitlines())
parser = argparse.ArgumentParser(prog="vllm serve")
parser.add_argument("model")
for name in ("host", "port", "served-model-name", "revision", "max-model-len", "runner", "dtype"):
    parser.add_argument("--" + name)
parser.add_argument("--disable-uvicorn-access-log", action="store_true")
parser.add_argument("--enable-prompt-tokens-details", action="store_true")
options = parser.parse_args(sys.argv[2:])
if behaviour.get("ignores_sigterm"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if behaviour.get("has_worker"):
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    worker.stdout.readline()
    (folder / "worker").write_text(str(worker.pid))
time.sleep(behaviour.get("starts_for", 0))
if launch <= behaviour.get("bad_starts", 0):
    print(behaviour["says"], flush=True)
    os._exit(behaviour.get("exit_code", 1))

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        if self.path == "/health":
            self.answer(200 if not (folder / "engine_dead").exists() else 503, {})
        elif self.path == "/v1/models":
            self.answer(200, {"data": [{"id": behaviour.get("serves", options.served_model_name), "max_model_len": 4096}]})
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/embeddings":
            data = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(body["input"])]
            return self.answer(200, {"data": data, "model": body["model"]})
        text = body["messages"][0]["content"]
        with open(folder / "asked", "a") as file:
            file.write(text + "\\n")
        if text.startswith("poison") or (text.startswith("crash") and launch <= behaviour.get("crashes", 1)):
            print("RuntimeError: CUDA error: an illegal memory access was encountered", flush=True)
            os._exit(1)
        time.sleep(behaviour.get("answers_after", 0))
        message = {"role": "assistant", "content": "said " + text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer(200, {"choices": [choice], "model": body["model"], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})

ThreadingHTTPServer.request_queue_size = 256
server = ThreadingHTTPServer((options.host, int(options.port)), Handler)
if not behaviour.get("ignores_sigterm"):
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
if behaviour.get("has_worker"):
    os._exit(0)
"""


@dataclass
class Fake:
    """A model and the command that serves it."""

    folder: Path
    command: list[str]

    def behaves(self, **behaviour: Any) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps(behaviour))

    def config(self, **server: Any) -> EngineConfig:
        server = {"command": self.command, **server}
        return EngineConfig(kind="vllm", model=str(self.folder), patience_seconds=20, vllm=server)

    def launches(self) -> list[dict[str, Any]]:
        there = self.folder / "launches"
        return [json.loads(line) for line in there.read_text().splitlines()] if there.exists() else []

    def argument(self, name: str) -> str | None:
        arguments = self.launches()[-1]["arguments"]
        return arguments[arguments.index(name) + 1] if name in arguments else None

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    @property
    def pid(self) -> int:
        return int(self.launches()[-1]["pid"])

    @property
    def worker(self) -> int:
        return int((self.folder / "worker").read_text())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "fake.py").write_text(FAKE)
    made = Fake(folder, [sys.executable, str(tmp_path / "fake.py"), "serve"])
    made.behaves()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(vllm, "BACKOFF_SECONDS", 0.05)
    monkeypatch.setattr(vllm_server, "GRACE_SECONDS", 1.0)
    monkeypatch.setattr(vllm_server, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(vllm_server, "HEALTH_SECONDS", 0.3)
    yield made
    left = [launch["pid"] for launch in made.launches() if alive(launch["pid"])]
    for pid in left:
        os.killpg(pid, signal.SIGKILL)
    assert not left, "a server was left behind"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, seconds: float = 10) -> bool:
    """Is the process gone, at the latest after so many seconds?"""
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pid)


def request(text: str) -> Request:
    return Request("judge_cot", (text,), {}, {"max_tokens": 5}, {"model": "m"})


def with_engine(config: EngineConfig, work: Callable[[VllmEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        engine = open_engine(config)
        assert isinstance(engine, VllmEngine)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def ask(config: EngineConfig, *texts: str) -> list[Completion]:
    async def work(engine: VllmEngine) -> list[Completion]:
        return await asyncio.gather(*(engine.complete(request(text), "row") for text in texts))

    return with_engine(config, work)


# --- starting -------------------------------------------------------------------------------------------------------


def test_server_is_started_once_by_the_first_of_many_requests(fake: Fake) -> None:
    fake.behaves(starts_for=0.5)
    answers = ask(fake.config(), *(f"question {i}" for i in range(30)))
    assert [answer.text for answer in answers] == [f"said question {i}" for i in range(30)]
    assert {answer.finish_reason for answer in answers} == {"stop"}
    assert len(fake.launches()) == 1


def test_engine_that_is_asked_nothing_starts_no_server(fake: Fake) -> None:
    async def nothing(engine: VllmEngine) -> None:
        assert engine.identity["model"] == str(fake.folder)

    with_engine(fake.config(), nothing)
    assert fake.launches() == []


def test_server_is_told_what_is_configured_and_listens_on_this_machine_only(fake: Fake) -> None:
    config = fake.config(max_model_len=4096, dtype="float32", runner="pooling", tuning_args=["--dtype", "bfloat16"])
    ask(config.model_copy(update={"revision": "abc"}), "question")
    assert fake.argument("--served-model-name") == str(fake.folder)
    assert fake.argument("--revision") == "abc"
    assert fake.argument("--max-model-len") == "4096"
    assert fake.argument("--runner") == "pooling"
    assert fake.argument("--host") == "127.0.0.1"
    assert fake.launches()[-1]["arguments"][-2:] == ["--dtype", "bfloat16"]


def test_embedding_starts_the_server_and_gives_unit_vectors(fake: Fake) -> None:
    async def work(engine: VllmEngine) -> Any:
        return await engine.embed(["a", "four", "and more"])

    vectors = with_engine(fake.config(), work)
    assert vectors.shape == (3, 2)
    assert [round(float((vector**2).sum()), 5) for vector in vectors] == [1, 1, 1]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "CUDA out of memory"),
        ("OSError: x is not a local folder and is not a valid model identifier", "engine.model"),
        ("ValueError: No available memory for the cache blocks.", "engine.vllm.max_model_len"),
    ],
)
def test_start_that_only_a_person_can_mend_is_an_error_at_once(fake: Fake, says: str, told: str) -> None:
    fake.behaves(bad_starts=9, says=says)
    with pytest.raises(ContractError, match=told):
        ask(fake.config(), "question", "another")
    assert len(fake.launches()) == 1


def test_argument_that_the_server_refuses_is_an_error_that_names_it(fake: Fake) -> None:
    with pytest.raises(ContractError, match=r"unrecognized arguments: --no-such.*extra_args"):
        ask(fake.config(extra_args=["--no-such"]), "question")
    assert len(fake.launches()) == 1


def test_start_that_fails_for_now_is_tried_again(fake: Fake) -> None:
    fake.behaves(bad_starts=2, says="ValueError: Free memory on device (5.6/61.2 GiB) on startup is less than desired")
    assert ask(fake.config(), "question")[0].text == "said question"
    assert len(fake.launches()) == 3


def test_start_that_keeps_failing_is_given_up_with_the_last_lines(fake: Fake) -> None:
    fake.behaves(bad_starts=9, says="something\nRuntimeError: NCCL error: unhandled system error\nand more")
    with pytest.raises(TransientError, match=r"died 3 times.*NCCL error(.|\n)*and more"):
        ask(fake.config(max_restarts=2), "question")
    assert len(fake.launches()) == 3


def test_start_that_takes_too_long_is_given_up_and_stopped(fake: Fake) -> None:
    fake.behaves(starts_for=60)
    with pytest.raises(TransientError, match="start_timeout_seconds"):
        ask(fake.config(start_timeout_seconds=1), "question")
    assert gone(fake.pid)


def test_server_of_another_model_is_refused(fake: Fake) -> None:
    fake.behaves(serves="something-else")
    with pytest.raises(ContractError, match="serves something-else, not"):
        ask(fake.config(), "question")
    assert gone(fake.pid)


def test_port_that_is_taken_is_refused_before_anything_starts(fake: Fake) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ContractError, match="port .* is taken"):
            ask(fake.config(port=other.getsockname()[1]), "question")
    assert fake.launches() == []


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model": None}, "no model named"),
        ({"model": "./no/such/folder"}, "no folder"),
        ({"model": "a/b", "vllm": {"command": ["no-such-command-anywhere"]}}, "no command no-such-command-anywhere"),
    ],
)
def test_what_is_missing_is_named(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ContractError, match=told):
        ask(EngineConfig(kind="vllm", **config), "question")


# --- dying ----------------------------------------------------------------------------------------------------------


def test_crash_is_mended_and_every_request_answered(fake: Fake) -> None:
    fake.behaves(crashes=1, answers_after=0.3)

    async def work(engine: VllmEngine) -> tuple[list[str], dict[str, str]]:
        texts = [f"question {i}" for i in range(20)] + ["crash once"]
        answers = await asyncio.gather(*(engine.complete(request(text), "row") for text in texts))
        return [answer.text for answer in answers], engine.facts()

    answers, facts = with_engine(fake.config(), work)
    assert answers == [f"said question {i}" for i in range(20)] + ["said crash once"]
    assert len(fake.launches()) == 2
    assert facts["vllm_restarts"] == "1"
    assert "illegal memory access" in facts["vllm_restart_reasons"]


def test_request_that_kills_the_server_each_time_is_refused_and_the_others_answered(fake: Fake) -> None:
    fake.behaves(answers_after=0.2)
    texts = [f"question {i}" for i in range(10)]
    *answers, poisoned = ask(fake.config(), *texts, "poison")
    assert [answer.text for answer in answers] == [f"said {text}" for text in texts]
    assert (poisoned.finish_reason, poisoned.text) == ("refused", "the server died 3 times while it answered this")


def test_more_crashes_than_allowed_end_it_for_later_requests_too(fake: Fake) -> None:
    fake.behaves(crashes=99)

    async def work(engine: VllmEngine) -> None:
        for _ in range(2):
            with pytest.raises(TransientError, match=r"died 2 times(.|\n)*illegal memory access"):
                await engine.complete(request("crash"), "row")

    with_engine(fake.config(max_restarts=1), work)
    assert len(fake.launches()) == 2


def test_server_whose_engine_has_died_is_started_again(fake: Fake) -> None:
    async def work(engine: VllmEngine) -> dict[str, str]:
        await engine.complete(request("question"), "row")
        dead = fake.folder / "engine_dead"
        dead.touch()
        while "vllm_restarts" not in engine.facts():
            await asyncio.sleep(0.05)
        dead.unlink()
        await engine.complete(request("another"), "row")
        return engine.facts()

    assert "engine in the server has died" in with_engine(fake.config(), work)["vllm_restart_reasons"]


def test_server_killed_from_outside_is_started_again(fake: Fake) -> None:
    async def work(engine: VllmEngine) -> dict[str, str]:
        await engine.complete(request("question"), "row")
        os.kill(fake.pid, signal.SIGKILL)
        assert (await engine.complete(request("another"), "row")).text == "said another"
        return engine.facts()

    assert "SIGKILL" in with_engine(fake.config(), work)["vllm_restart_reasons"]


def test_workers_of_a_server_that_crashed_are_gone_before_the_next_one_starts(fake: Fake) -> None:
    fake.behaves(crashes=1, has_worker=True)

    async def work(engine: VllmEngine) -> None:
        await engine.complete(request("question"), "row")
        first = fake.worker
        await engine.complete(request("crash"), "row")
        assert first != fake.worker
        assert not alive(first)

    with_engine(fake.config(), work)
    assert gone(fake.worker)


# --- ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [{}, {"ignores_sigterm": True}, {"has_worker": True}])
def test_close_leaves_no_process(fake: Fake, behaviour: dict[str, Any]) -> None:
    fake.behaves(**behaviour)
    ask(fake.config(), "question")
    assert not alive(fake.pid)
    assert not behaviour.get("has_worker") or gone(fake.worker)


def test_close_while_the_server_starts_leaves_no_process(fake: Fake) -> None:
    fake.behaves(starts_for=60)

    async def work(engine: VllmEngine) -> None:
        asked = asyncio.create_task(engine.complete(request("question"), "row"))
        while not fake.launches():
            await asyncio.sleep(0.05)
        asked.cancel()

    with_engine(fake.config(), work)
    assert not alive(fake.pid)


OWNER = """
import asyncio, sys
from megascience_ops.run import wait
from megascience_ops.config import EngineConfig
from megascience_ops.completions import Request
from megascience_ops.engines import vllm_server
from megascience_ops.engines.vllm import VllmEngine

vllm_server.GRACE_SECONDS = 1.0
engine = VllmEngine(EngineConfig.model_validate_json(sys.argv[1]))

async def work():
    try:
        await engine.complete(Request("judge_cot", ("question",), {}, {}, {}), "row")
        print("ready", flush=True)
        await asyncio.sleep(600)
    finally:
        await engine.close()

wait(work())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("behaviour", [{"has_worker": True}, {"ignores_sigterm": True}])
def test_server_does_not_outlive_its_owner(fake: Fake, number: signal.Signals, behaviour: dict[str, Any]) -> None:
    fake.behaves(**behaviour)
    command = [sys.executable, "-c", OWNER, fake.config().model_dump_json()]
    repository = Path(__file__).parents[2]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=repository)
    assert owner.stdout
    assert owner.stdout.readline() == b"ready\n"
    owner.send_signal(number)
    assert owner.wait(20) != 0
    assert gone(fake.pid)
    assert "has_worker" not in behaviour or gone(fake.worker)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell a child that its parent was killed")
def test_server_does_not_outlive_its_keeper(fake: Fake) -> None:
    async def work(engine: VllmEngine) -> None:
        await engine.complete(request("question"), "row")
        first = fake.pid
        os.kill(int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert gone(first)
        await engine.complete(request("another"), "row")

    with_engine(fake.config(), work)
    assert len(fake.launches()) == 2


# --- the log and the identity ---------------------------------------------------------------------------------------


def test_log_goes_where_it_is_wanted_and_a_temporary_one_goes_away(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    ask(fake.config(), "question")
    assert list(temporary.iterdir()) == []
    fake.behaves(bad_starts=9, says="RuntimeError: so it goes")
    kept = tmp_path / "server.log"
    with pytest.raises(TransientError, match=str(kept)):
        ask(fake.config(log_file=str(kept), max_restarts=0), "question")
    assert "so it goes" in kept.read_text()
    with pytest.raises(TransientError, match=str(temporary)):
        ask(fake.config(max_restarts=0), "question")
    assert "so it goes" in next(temporary.iterdir()).read_text()


CORE = "(EngineCore_DP0 pid=17374) ERROR 09-28 15:47:24 [core.py:718] "
LOGS = [
    (
        "(APIServer pid=1) INFO 11-20 13:07:17 [core.py:133] config: trust_remote_code=False, quantization=None\n"
        f"{CORE}EngineCore failed to start.\n{CORE}Traceback (most recent call last):\n"
        f'{CORE}  File "core.py", line 387, in run\n{CORE}    raise ValueError("Free memory on device")\n'
        f"{CORE}ValueError: To serve at least one request with the model's max seq len (131072), (16.00 GiB KV cache "
        "is needed, which is larger than the available KV cache memory (6.65 GiB).\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.",
        "ValueError: To serve at least one request with the model's max seq len (131072)",
        "max_model_len",
    ),
    (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, Invalid repository ID or local directory specified: '/nowhere'.\n"
        "Please verify the following requirements: [type=value_error, input_value=ArgsKwargs((), {}), "
        "input_type=ArgsKwargs]",
        "Invalid repository ID or local directory specified: '/nowhere'",
        "engine.model",
    ),
    (
        "  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len "
        "(max_position_embeddings=32768) [type=value_error, input_value=1, input_type=int]",
        "User-specified max_model_len (99999) is greater than the derived max_model_len "
        "(max_position_embeddings=32768)",
        "max_model_len",
    ),
    ("RuntimeError: Failed to infer device type, please set the environment", "RuntimeError: Failed to infer", "GPU"),
    (
        "  Value error, World size (8) is larger than the number of available GPUs (1) in this node.",
        "World size (8) is larger",
        "tensor_parallel",
    ),
    ("ModuleNotFoundError: No module named 'vllm'", "ModuleNotFoundError: No module named 'vllm'", "installation"),
    ("OSError: [Errno 98] error while attempting to bind: address already in use", "OSError: [Errno 98]", None),
    ("ValueError: Free memory on device (5.61/61.27 GiB) on startup is less than desired", "ValueError: Free", None),
    ("INFO all is well\nRuntimeError: CUDA error: unspecified launch failure", "RuntimeError: CUDA error", None),
    ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", "vllm.v1.engine.exc", None),
    ("INFO all is well", "ended with exit code 3", None),
]


@pytest.mark.parametrize(("log", "line", "fix"), LOGS)
def test_log_of_a_dead_server_says_why(log: str, line: str, fix: str | None) -> None:
    said = ending(log, 3)
    assert said.line.startswith(line)
    assert (said.fix is None) == (fix is None)
    assert fix is None or fix in str(said.fix)


def test_long_complaint_is_cut_between_words_and_joins_its_fix() -> None:
    said = ending("ValueError: User-specified max_model_len is too long. To allow it, " + "set this and that. " * 30, 1)
    assert len(said.line) <= 250
    assert said.line.endswith(" [...]")
    assert not ending("OSError: outgoing traffic has been disabled.", 1).line.endswith(".")


def test_kill_is_told_from_a_crash() -> None:
    assert "memory runs out" in ending("WARNING: RuntimeError: long ago", 137).line


def test_identity_is_that_of_the_endpoint_with_what_changes_the_answers() -> None:
    config = EngineConfig(kind="vllm", model="some/model", revision="abc")
    endpoint = config.model_copy(update={"kind": "endpoint", "url": "http://127.0.0.1:1/v1"})
    assert open_engine(config).identity == open_engine(endpoint).identity

    def told(**server: Any) -> EngineConfig:
        return EngineConfig.model_validate({"kind": "vllm", "model": "some/model", "revision": "abc", "vllm": server})

    for server in ({"quantization": "fp8"}, {"dtype": "float16"}, {"extra_args": ["--hf-overrides", "{}"]}):
        assert open_engine(told(**server)).identity != open_engine(config).identity
    for server in ({"tensor_parallel": 8}, {"port": 8000}, {"tuning_args": ["--max-num-seqs", "512"]}):
        assert open_engine(told(**server)).identity == open_engine(config).identity
        assert identity(told(**server)) == identity(config)
    assert identity(told(max_model_len=4096)) != identity(config)
