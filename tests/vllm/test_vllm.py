"""The vllm engine and a real vLLM on the CPU. `make test-vllm` gets one; without it these tests are skipped.

Each start of a server takes a minute and more, so a test does much with one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from megascience_ops import parsing
from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig, Settings
from megascience_ops.engines.vllm import VllmEngine
from megascience_ops.errors import ContractError
from megascience_ops.parsing import BookClass
from megascience_ops.planning.reparsing import Reading, reread
from megascience_ops.receipts import Receipt
from megascience_ops.run import run
from megascience_ops.stages import classify_books

T = TypeVar("T")

FOLDER = os.environ.get("MEGASCIENCE_VLLM")
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="needs a vLLM ($MEGASCIENCE_VLLM, see tests/vllm/up.py): make test-vllm"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
THERE = Path(FOLDER or ".").absolute()
TEXTBOOKS = Path(__file__).parents[1] / "river" / "textbooks"
LONG = 3000  # tokens: many seconds of work for this machine
CLASSIFIED = r"Analysis: [a-z ]{3,30}\nSubject: (physics|mathematics)\nLevel: (undergraduate|graduate)"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No more memory than a small machine has, and a file that is missing is an error rather than a download."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def config(model: str = "chat", sampling: dict[str, Any] | None = None, **server: Any) -> EngineConfig:
    told = {"command": [str(THERE / "bin" / "vllm"), "serve"], "dtype": "float32", "tuning_args": ["--enforce-eager"]}
    folder = str(THERE / model) if (THERE / model).exists() else model
    return EngineConfig.model_validate(
        {"kind": "vllm", "model": folder, "sampling": sampling or {}, "vllm": {**told, **server}}
    )


def with_engine(engine_config: EngineConfig, work: Callable[[VllmEngine], Awaitable[T]]) -> T:
    async def whole() -> T:
        engine = VllmEngine(engine_config)
        try:
            return await work(engine)
        finally:
            await engine.close()

    before = processes()
    try:
        return asyncio.run(whole())
    finally:
        assert processes() <= before, "a process of vLLM was left behind"


def processes() -> set[int]:
    """Processes of our vLLM: its engine and its workers rename themselves, but keep what they were started with."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment, state = (place / "environ").read_bytes(), (place / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        command = (place / "cmdline").read_bytes()
        if b"VLLM_CPU_KVCACHE_SPACE=1" in environment and b"llm" in command.lower() and state.split()[0] != "Z":
            found.add(int(place.name))
    return found - {os.getpid()}


def engine_process(server: str) -> int:
    """The process in which the model runs, below the one that listens."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"EngineCore" in (place / "cmdline").read_bytes() and _above(place) == server:
                return int(place.name)
        except OSError:
            continue
    raise AssertionError("no engine below the server")


def _above(place: Path) -> str:
    return (place / "stat").read_text().rpartition(")")[2].split()[1]


def ask(text: str, **sampling: Any) -> Request:
    return Request("judge_cot", (text,), {}, {"temperature": 0, "max_tokens": 400, **sampling}, {"model": "chat"})


def test_stage_is_computed_replayed_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path / "root")
    sampling = {"max_tokens": 80, "structured_outputs": {"regex": CLASSIFIED}}

    def mended(text: str) -> BookClass:
        return dataclasses.replace(parsing.book_class(text), level="below_university")

    async def computed() -> tuple[Receipt | None, Receipt | None, Reading, Reading]:
        settings = Settings(root=root, textbooks=str(TEXTBOOKS))
        for stage in ("discover_books", "screen_books"):
            await run(settings, stage)
        settings = settings.model_copy(update={"engine": config(sampling=sampling, max_model_len=16384)})
        first = await run(settings, "classify_books")
        # one that cannot start proves that nothing is asked again
        replaying = config(
            sampling=sampling, max_model_len=16000, command=[sys.executable, "-c", "raise SystemExit(1)"]
        )
        again = await run(settings.model_copy(update={"engine": replaying}), "classify_books")
        as_it_was = await reread(settings, "classify_books")
        with monkeypatch.context() as patched:
            patched.setattr(classify_books, "CLASSIFY", dataclasses.replace(classify_books.CLASSIFY, parse=mended))
            otherwise = await reread(settings, "classify_books")
        return first, again, as_it_was, otherwise

    first, again, as_it_was, otherwise = asyncio.run(computed())
    assert first
    assert again
    assert first.total("rows_in") == first.total("rows_kept") == 4
    usage = first.effort.usage["classify_books"]
    assert (usage.requests, usage.unread) == (4, 0)
    assert usage.prompt_tokens > 4 * 200
    assert again.computed_parts == first.computed_parts
    assert again.effort.usage["classify_books"].replayed == 4
    assert (as_it_was.counts["unchanged"], as_it_was.differences) == (4, [])
    assert otherwise.counts["newly aside"] == 4
    assert not processes()


def test_engine_that_is_killed_at_work_is_replaced_and_every_request_answered() -> None:
    texts = [f"Judge {i}." for i in range(40)]
    # random weights love white space: without this they fill the JSON with it
    form = ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
    schema = {"type": "object", "properties": {"decision": {"enum": ["YES", "NO"]}}, "required": ["decision"]}
    strict = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}}

    async def work(engine: VllmEngine) -> tuple[list[Completion], list[Completion], Completion, dict[str, str]]:
        verdict = {"structured_outputs": {"choice": ["YES", "NO"]}}
        short = await asyncio.gather(*(engine.complete(ask(text, **verdict), "row") for text in texts))
        short.append(await engine.complete(ask("Judge.", response_format=strict), "row"))
        listening = next(pid for pid in processes() if b"api_server" in Path(f"/proc/{pid}/cmdline").read_bytes())
        working = engine_process(str(listening))
        endless = {"min_tokens": LONG, "max_tokens": LONG, "ignore_eos": True}
        long = [asyncio.create_task(engine.complete(ask(text, **endless), "row")) for text in texts]
        await asyncio.sleep(1)
        assert not any(task.done() for task in long)
        os.kill(working, signal.SIGKILL)
        written = await asyncio.gather(*long)
        too_long = await engine.complete(ask("one two three " * 8000), "row")
        return short, written, too_long, engine.facts()

    short, written, too_long, facts = with_engine(config(max_model_len=4096, extra_args=form), work)
    *verdicts, strictly = short
    assert {answer.text for answer in verdicts} <= {"YES", "NO"}
    assert json.loads(strictly.text)["decision"] in ("YES", "NO")
    assert {(answer.finish_reason, answer.completion_tokens) for answer in written} == {("length", LONG)}
    assert too_long.finish_reason == "too_long"
    assert facts["vllm_restarts"] == "1"
    assert "EngineDeadError" in facts["vllm_restart_reasons"]
    assert facts["max_model_len"] == "4096"


def test_embedding_server_finds_what_is_near() -> None:
    async def work(engine: VllmEngine) -> Any:
        with pytest.raises(ContractError, match="does it serve"):
            await engine.complete(ask("Is this a model that writes?"), "row")
        return await engine.embed(
            ["The cat sat on the mat.", "A cat is sitting on a rug.", "Interest rates rose again."] * 100
        )

    vectors = with_engine(config("embed", runner="pooling"), work)
    assert vectors.shape == (300, 384)
    assert abs(float(vectors[0] @ vectors[0]) - 1) < 1e-5
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2]) + 0.2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"extra_args": ["--no-such-argument"]}, r"--no-such-argument.*extra_args"),
        ({"max_model_len": 10_000_000}, r"10000000.*max_model_len"),
        ({"model": "nobody/has-this-model"}, "HF_HUB_OFFLINE|engine.model"),
    ],
)
def test_start_that_cannot_succeed_is_an_error_with_its_fix(wrong: dict[str, Any], told: str) -> None:
    async def work(engine: VllmEngine) -> None:
        with pytest.raises(ContractError, match=told) as error:
            await engine.complete(ask("Judge."), "row")
        assert "\n" not in str(error.value)

    with_engine(config(**wrong), work)
