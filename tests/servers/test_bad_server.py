"""A server that does everything wrong: what it cannot spoil is as with a good one, what it does spoil says why."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from megascience_ops import parsing, tables
from megascience_ops.completions import Completion, Request
from megascience_ops.config import AskingConfig, EngineConfig, Settings
from megascience_ops.engines import pressure
from megascience_ops.engines.endpoint import EndpointEngine
from megascience_ops.errors import ContractError, TransientError
from megascience_ops.prompts import prompt
from megascience_ops.recipe import Recipe
from megascience_ops.recipes import RECIPES
from megascience_ops.rows import AsideRow, Row
from megascience_ops.run import run
from megascience_ops.stage import Ask, DatasetStage, Outcome, RowStage
from megascience_ops.storage import Store

ROWS = 2000 if os.environ.get("MEGASCIENCE_LONG") else 400
MODEL = "good-model"
CONCURRENCY = 32
TIMEOUT = 2.0
FLUSH = 8  # completions between two flushes
KILLS = 5
REPOSITORY = Path(__file__).parents[2]
CHILD_ENV = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

Behave = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

# --- the recipe: rows that are judged by one prompt ----------------------------------------------------------------


class Question(Row):
    """A row that is asked about."""

    question: str


class Judged(Row):
    """What the model said of it."""

    question: str
    reasons: bool


JUDGE = prompt("judge_cot", parsing.decision, "QUESTION", "ANSWER")


async def _look(batch: Any, config: Any) -> Any:
    async def decide(row: Question) -> Outcome:
        return row

    return decide


async def _judge(row: Question, ask: Ask, config: AskingConfig) -> Outcome:
    verdict = await ask(JUDGE, QUESTION=row.question, ANSWER="It does.")
    return Judged(id=row.id, question=row.question, reasons=verdict)


def _questions(batch: Any, config: Any) -> Iterator[Question]:
    return (Question(id=f"row-{n:05}", question=f"What is question number {n:05}?") for n in range(ROWS))


RECIPES["judged"] = Recipe(
    "judged",
    (
        DatasetStage("collect", Question, Question, _look, source=_questions),
        RowStage("judge", Question, Judged, _judge, AskingConfig, (JUDGE,)),
    ),
)


def settings(root: Path, url: str) -> Settings:
    """The recipe on that root, asked of that server."""
    engine = EngineConfig(
        kind="endpoint", url=url, model=MODEL, concurrency=CONCURRENCY, timeout_seconds=TIMEOUT, patience_seconds=60
    )
    return Settings(
        root=str(root),
        recipe="judged",
        engine=engine,
        stages={"judge": {"max_unread": 1.0, "flush_completions": FLUSH, "flush_seconds": 0.5}},
    )


async def _both(root: Path, url: str) -> None:
    for stage in ("collect", "judge"):
        await run(settings(root, url), stage)


# --- the server ----------------------------------------------------------------------------------------------------


def chat(text: str | None, finish_reason: str = "stop", **changed: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return {"model": MODEL, "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}, **changed}


def says(body: dict[str, Any]) -> str:
    """The right answer to a request, and so the row of a good run."""
    content = body["messages"][0]["content"]
    number = content.partition("question number ")[2][:5]
    return "Decision: YES" if number.isdigit() and int(number) % 3 else "Decision: NO"


def status(code: int, said: str = "", **headers: str) -> Behave:
    """Answers with this status."""

    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"message": said or f"code {code}"}}, status=code, headers=headers)

    return behave


def gives(**answer: Any) -> Behave:
    """Answers 200 with this completion."""

    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({**chat(says(body)), **answer})

    return behave


async def good(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response(chat(says(body)))


async def used_up(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": {"message": "Check your plan.", "code": "insufficient_quota"}}, status=429)


async def unknown_key(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    error = {"message": "Use 'max_completion_tokens' instead.", "code": "unsupported_parameter"}
    return web.json_response({"error": error}, status=400)


async def reset(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    if request.transport:  # else it has gone already
        request.transport.abort()
    return web.Response()


async def stall(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    await asyncio.sleep(3 * TIMEOUT)
    return response


async def half_a_json(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.Response(text=json.dumps(chat(says(body)))[:60], content_type="application/json")


async def ten_megabytes(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response(chat("It goes on and on. " * 550_000 + "\n" + says(body)))


async def until_a_date(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return await status(429, **{"Retry-After": formatdate(time.time() + 1, usegmt=True)})(request, body)


PASSING: dict[str, Behave] = {
    "408": status(408),
    "429": status(429),
    "429 with seconds": status(429, **{"Retry-After": "0.2"}),
    "429 with a date": until_a_date,
    "500": status(500),
    "502 with a page": lambda request, body: _page(502),
    "503": status(503),
    "200 with a page": lambda request, body: _page(200),
    "reset": reset,
    "stall": stall,
    "half a JSON": half_a_json,
    "no choice": gives(choices=[]),
    "null": gives(**chat(None)),
    "reasoning only": gives(
        choices=[{"message": {"content": None, "reasoning_content": "So"}, "finish_reason": "stop"}]
    ),
    "aborted": gives(**chat("Decision: NO", "abort")),
}

# what a row has done to it for good: behaviour, reason of its aside, and words of the detail
LASTING: dict[str, tuple[Behave, str, str]] = {
    "400": (status(400, "no such thing"), "refused", "HTTP 400: no such thing"),
    "413": (status(413), "too_long", "HTTP 413"),
    "context": (status(400, "This model's maximum context length is 9 tokens"), "too_long", "maximum context length"),
    "500": (status(500, "out of luck"), "failed", "HTTP 500: out of luck"),
    "reset": (reset, "failed", "connection"),
    "half": (half_a_json, "failed", "not JSON"),
    "no choice": (gives(choices=[]), "failed", "without a choice"),
    "null": (gives(**chat(None)), "failed", "without content"),
    "length": (gives(**chat("Analysis: it", "length")), "truncated", "cut off"),
}


async def _page(code: int) -> web.StreamResponse:
    return web.Response(status=code, text="<html>Bad Gateway</html>", content_type="text/html")


class BadServer:
    """Counts what it answers whole, by row and attempt. Some rows are spoilt for good, most at most twice."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.answered: Counter[tuple[str, int]] = Counter()
        self.spoilt: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.forbidden: set[tuple[str, int]] = set()
        self.asked_again: list[tuple[str, int]] = []
        numbers = self.rng.sample(range(ROWS), ROWS // 20)
        self.lasting = {f"row-{n:05}": list(LASTING)[place % len(LASTING)] for place, n in enumerate(numbers)}
        self.long = {f"row-{n:05}" for n in range(7, ROWS, ROWS // 3)}

    async def __call__(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        number = body["messages"][0]["content"].partition("question number ")[2][:5]
        if not number:  # asked whether we are well
            return await good(request, body)
        row, attempt = f"row-{number}", body.get("seed", 0)
        if (row, attempt) in self.forbidden:
            self.asked_again.append((row, attempt))
        await asyncio.sleep(self.rng.uniform(0, 0.05))
        if row in self.lasting:
            behave = LASTING[self.lasting[row]][0]
            if self.lasting[row] in ("400", "413", "context", "length"):
                self.answered[row, attempt] += 1
            return await behave(request, body)
        if how := self.trouble(row):
            return await PASSING[how](request, body)
        self.answered[row, attempt] += 1
        return await (ten_megabytes if row in self.long else good)(request, body)

    def trouble(self, row: str) -> str | None:
        """What is done to a row this time, for now."""
        left = [name for name in PASSING if self.done[name] < ROWS // 50]
        if not left or self.spoilt[row] >= 2 or self.rng.random() >= 0.4:
            return None
        how = self.rng.choice(left)
        self.spoilt[row] += 1
        self.done[how] += 1
        return how


@asynccontextmanager
async def serving(behave: Behave, **routes: Behave) -> Any:
    """A server with that behaviour on a free port; its URL."""

    async def post(request: web.Request) -> web.StreamResponse:
        return await behave(request, await request.json())

    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v1/chat/completions", post)
    for path, route in routes.items():
        app.router.add_get(f"/{path}", lambda request, route=route: route(request, {}))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()


async def played(server: BadServer, root: Path) -> None:
    """The recipe in processes of their own, five of which are killed; the server then knows what it was paid for."""

    async def ended(child: asyncio.subprocess.Process, kill: int) -> None:
        whole = asyncio.ensure_future(child.communicate())
        if kill == KILLS:
            said = (await whole)[1].decode()
            assert child.returncode == 0, said
            return
        goal = ROWS * (kill + 1) // (KILLS + 2) + kill * 2 * FLUSH
        while sum(server.answered.values()) < goal and child.returncode is None:
            await asyncio.sleep(0.01)
        assert child.returncode is None, (await whole)[1].decode()
        child.send_signal(signal.SIGKILL)
        await whole
        server.forbidden = _flushed(root)
        assert server.forbidden

    async with asyncio.timeout(ROWS), serving(server) as url:
        for kill in range(KILLS + 1):
            command = (sys.executable, __file__, str(root), url)
            child = await asyncio.create_subprocess_exec(
                *command, stderr=subprocess.PIPE, cwd=REPOSITORY, env=CHILD_ENV
            )
            try:
                await ended(child, kill)
            finally:
                if child.returncode is None:
                    child.kill()


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "FIRST_REST", 0.05)


# --- tests ---------------------------------------------------------------------------------------------------------


def test_bad_server_and_five_kills_give_the_rows_of_a_good_one_or_say_why(tmp_path: Path) -> None:
    server = BadServer(seed=11)
    asyncio.run(played(server, tmp_path))

    assert set(server.done) == set(PASSING)
    assert server.asked_again == []  # what lay on storage was not paid for twice
    again = sum(count - 1 for (row, _), count in server.answered.items() if row not in server.lasting)
    assert again <= KILLS * (FLUSH + CONCURRENCY)  # a flush interval over all open shards, and what was on the wire
    kept, asides = _rows(tmp_path)
    assert kept.keys() | asides.keys() == {f"row-{n:05}" for n in range(ROWS)}
    assert not kept.keys() & asides.keys()
    assert all(row.reasons == bool(int(row.id[4:]) % 3) for row in kept.values())
    assert asides.keys() >= server.lasting.keys()
    for row in server.lasting:
        _, reason, words = LASTING[server.lasting[row]]
        assert asides[row].reason == reason
        assert words in asides[row].detail
    spoilt = asides.keys() - server.lasting.keys()  # on a slow machine a time-out may come on top of the two troubles
    assert len(spoilt) <= ROWS // 100
    assert all(asides[row].reason == "failed" and "tries" in asides[row].detail for row in spoilt)


def test_good_server_keeps_every_row(tmp_path: Path) -> None:
    async def played() -> None:
        async with serving(good) as url:
            await _both(tmp_path, url)

    asyncio.run(played())
    kept, asides = _rows(tmp_path)
    assert (len(kept), asides) == (ROWS, {})


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (status(401, "bad key"), ["HTTP 401: bad key", "$OPENAI_API_KEY"]),
        (status(403), ["HTTP 403", "$OPENAI_API_KEY"]),
        (status(404, "The model `good-model` does not exist."), ["HTTP 404", "does not exist", MODEL, "/v1"]),
        (gives(model="another-model"), ["another-model", MODEL, "--model", "engine.served_as"]),
        (gives(model="good-model-mini"), ["good-model-mini", MODEL]),
        (status(402, "credit is used up"), ["credit is used up"]),
        (used_up, ["HTTP 429: Check your plan."]),
        (unknown_key, ["max_completion_tokens", "engine.sampling"]),
        (status(308, Location="https://elsewhere/v1"), ["https://elsewhere/v1"]),
    ],
)
def test_what_a_person_has_to_mend_ends_the_stage_in_one_line(behave: Behave, words: list[str]) -> None:
    with pytest.raises(ContractError) as error:
        answer(behave)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [MODEL, "Good-Model-2026-05-01", "org/good-model"])
def test_same_model_under_its_release_is_the_same(name: str) -> None:
    completion, _ = answer(gives(model=name))
    assert (completion.text, completion.model) == ("Decision: NO", MODEL)


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", "too_long"),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192.", "too_long"),
        (400, "The input (61709 tokens) is longer than the model's context length (40960 tokens).", "too_long"),
        (400, "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", "too_long"),
        (400, "max_tokens must be at least 1, got -200.", "too_long"),
        (400, "the request exceeds the available context size", "too_long"),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 4000", "too_long"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 and 100", "too_long"),
        (413, "Request Entity Too Large", "too_long"),
        (400, "Invalid schema for response_format", "refused"),
        (422, "no thank you", "refused"),
    ],
)
def test_refusals_tell_long_prompts_from_others(code: int, message: str, reason: str) -> None:
    completion, retries = answer(status(code, message))
    assert completion.finish_reason == reason
    assert message in completion.text
    assert not retries


def test_no_prompt_fits_beside_max_tokens_ends_the_stage() -> None:
    async def models(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"data": [{"id": MODEL, "max_model_len": 16}]})

    async def slowly(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.3)  # so that the server has told of itself
        return await status(400, "maximum context length is 16 tokens")(request, body)

    with pytest.raises(ContractError, match="max_tokens 16"):
        answer(slowly, {"max_tokens": 16}, **{"v1/models": models})


@pytest.mark.parametrize("sampling", [{"n": 2}, {"stream": True}, {"model": "x"}])
def test_sampling_that_breaks_the_bond_of_request_and_answer_is_refused(sampling: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="sampling"):
        answer(good, sampling)


def test_sampling_goes_to_the_server_as_it_stands() -> None:
    seen: list[dict[str, Any]] = []
    schema = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {"type": "object"}}}
    sampling = {"stop": ["\n\n"], "seed": 5, "response_format": schema, "structured_outputs": {"choice": ["YES", "NO"]}}

    async def listening(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        seen.append(body)
        return await good(request, body)

    answer(listening, sampling)
    assert seen == [{"model": MODEL, "messages": [{"role": "user", "content": "Is it?"}], **sampling}]


def test_answer_over_64_megabytes_is_refused_after_a_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("megascience_ops.engines.http.MOST_BYTES", 2**20)
    completion, retries = answer(ten_megabytes)
    assert completion.finish_reason == "failed"
    assert "MB" in completion.text
    assert retries == {"too large": 4}


def test_length_before_the_first_word_is_cut_off_and_a_refusal_in_words_is_one() -> None:
    cut, _ = answer(gives(**chat(None, "length")))
    assert (cut.finish_reason, cut.text) == ("length", "")
    message = {"content": None, "refusal": "I would rather not."}
    refused, _ = answer(gives(choices=[{"message": message, "finish_reason": "stop"}]))
    assert (refused.finish_reason, refused.text) == ("refused", "I would rather not.")


def test_one_request_that_always_fails_is_given_up_when_the_server_is_well() -> None:
    async def poisoned(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        poison = body["messages"][0]["content"] == "Is it?"
        return await (status(500, "assertion failed") if poison else good)(request, body)

    completion, retries = answer(poisoned, patience_seconds=30)
    assert completion.finish_reason == "failed"
    assert "HTTP 500: assertion failed" in completion.text
    assert 4 <= retries["HTTP 500"] <= 8


def test_server_that_always_fails_is_down_and_no_row_is_blamed() -> None:
    with pytest.raises(TransientError, match="HTTP 500: code 500.*nothing was answered for 1 s"):
        answer(status(500), patience_seconds=1)


def test_long_retry_after_beyond_patience_ends_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(TransientError, match="429"):
        answer(status(429, **{"Retry-After": "3600"}), patience_seconds=20)
    assert time.monotonic() - began < 5


def answer(
    behave: Behave, sampling: dict[str, Any] | None = None, patience_seconds: float = 20, **routes: Behave
) -> tuple[Completion, Counter[str]]:
    """What comes of one request to a server that behaves so, and what was tried."""

    async def asked() -> tuple[Completion, Counter[str]]:
        async with serving(behave, **routes) as url:
            config = EngineConfig(
                kind="endpoint", url=url, model=MODEL, timeout_seconds=TIMEOUT, patience_seconds=patience_seconds
            )
            engine = EndpointEngine(config)
            try:
                request = Request("judge_cot", ("Is it?",), {}, sampling or {}, engine.identity)
                return await engine.complete(request, "row"), engine.retries
            finally:
                await engine.close()

    return asyncio.run(asked())


def _flushed(root: Path) -> set[tuple[str, int]]:
    """Row and attempt of all completions on storage: a row's attempts come one after the other."""
    store = Store(str(root))
    folder = "judged/batch=default/judge/completions"
    found = [c for name in store.names(folder) for c in tables.decode(Completion, store.get(f"{folder}/{name}"))]
    attempts: Counter[str] = Counter()
    known = set()
    for completion in found:
        known.add((completion.row, attempts[completion.row]))
        attempts[completion.row] += 1
    return known


def _rows(root: Path) -> tuple[dict[str, Judged], dict[str, AsideRow]]:
    """What the stage kept and what it put aside, by its receipt."""
    from megascience_ops import receipts

    store = Store(str(root))
    receipt = receipts.current(store, "judged/batch=default/judge")
    assert receipt
    kept = [row for part in receipt.parts for row in tables.decode(Judged, store.get(part.path))]
    paths = [part.aside_path for part in receipt.parts if part.aside_path]
    asides = [row for path in paths for row in tables.decode(AsideRow, store.get(path))]
    return {row.id: row for row in kept}, {row.row: row for row in asides}


def _child(root: str, url: str) -> Coroutine[Any, Any, None]:
    pressure.FIRST_REST = 0.1
    return _both(Path(root), url)


if __name__ == "__main__":
    asyncio.run(_child(*sys.argv[1:]))
