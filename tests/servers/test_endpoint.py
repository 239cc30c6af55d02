"""The endpoint engine against a server that behaves as it is told: what each behaviour makes of a row, or of a run."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import pytest
from aiohttp import web

from megascience_ops import parsing
from megascience_ops.asking import Asker, Kept
from megascience_ops.completions import Completion, Image, Request
from megascience_ops.config import AskingConfig, EngineConfig
from megascience_ops.engines.engine import Engine, open_engine
from megascience_ops.errors import ContractError, Declined, TransientError, Unparsed
from megascience_ops.prompts import Prompt
from megascience_ops.stages.refine_qa import REFINE
from megascience_ops.storage import Store

T = TypeVar("T")
Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]

REFINED = "It is fine.\n\nRefined Question: What is 2 + 2?\nRefined Answer: It is 4."
SLOTS = {"DOCUMENT": "Of sums.", "QUESTION": "What is 2 + 2?", "ANSWER": "4"}
MODEL = "org/some-model"


# --- behaviours ------------------------------------------------------------------------------------------------------


def says(text: str | None = REFINED, finish_reason: str = "stop", **message: Any) -> Behaviour:
    """A chat completion, with usage as vLLM states it."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        choice = {
            "index": 0,
            "finish_reason": finish_reason,
            "message": {"role": "assistant", "content": text, **message},
        }
        usage = {"prompt_tokens": 321, "completion_tokens": 21, "prompt_tokens_details": {"cached_tokens": 300}}
        return web.json_response({"id": "1", "model": body["model"], "choices": [choice], "usage": usage})

    return answer


def status(code: int, text: str = "", **headers: str) -> Behaviour:
    """An error as OpenAI and vLLM word it."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response({"error": {"message": text, "code": code}}, status=code, headers=headers)

    return answer


def raw(content: bytes, content_type: str = "application/json") -> Behaviour:
    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(body=content, content_type=content_type)

    return answer


async def reset(request: web.Request, body: dict[str, Any]) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Server:
    """Behaves by the script, one behaviour a request; the last one for good. Keeps what was asked of it."""

    def __init__(self, *script: Behaviour) -> None:
        self._script = list(script)
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str | None] = []
        self.under_way = self.most_under_way = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.times.append(time.monotonic())
        self.keys.append(request.headers.get("Authorization"))
        behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await behaviour(request, body)
        finally:
            self.under_way -= 1


def against(server: Server, work: Callable[[Engine], Awaitable[T]], **config: Any) -> T:
    """What comes of some work with an engine whose server behaves so."""

    async def both() -> T:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", server.answer)
        app.router.add_post("/v1/embeddings", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        engine = open_engine(endpoint(f"http://127.0.0.1:{port}/v1", **config))
        try:
            async with asyncio.timeout(30):  # whatever happens, an engine comes to an end
                return await work(engine)
        finally:
            await engine.close()
            await runner.cleanup()

    return asyncio.run(both())


def endpoint(url: str, **config: Any) -> EngineConfig:
    return EngineConfig(**{"kind": "endpoint", "url": url, "model": MODEL, "patience_seconds": 20, **config})


def complete(request: Request) -> Callable[[Engine], Awaitable[Completion]]:
    return lambda engine: engine.complete(request, "row")


def a_request(question: str = "What is 2 + 2?", **sampling: Any) -> Request:
    return REFINE.request({**SLOTS, "QUESTION": question}, sampling, {"kind": "endpoint", "model": MODEL})


def ask(prompt: Prompt[T] = REFINE, **slots: Any) -> Callable[[Engine], Awaitable[T]]:  # type: ignore[assignment]
    """What a stage gets to see."""

    async def asked(engine: Engine) -> T:
        asker = Asker(
            engine, Kept(Store(f"memory://{uuid4().hex}"), "stage", 0, AskingConfig()), AskingConfig(attempts=2)
        )
        return await asker.for_row("row")(prompt, **(slots or SLOTS))

    return asked


# --- answers ---------------------------------------------------------------------------------------------------------


def test_endpoint_answer_comes_with_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    server = Server(says())
    request = a_request()

    said = against(server, complete(request), key_env="SOME_KEY")

    assert (said.id, said.row, said.prompt, said.finish_reason) == (request.digest, "row", "refine_qa", "stop")
    assert said.text == REFINED
    assert (said.prompt_tokens, said.cached_tokens, said.completion_tokens) == (321, 300, 21)
    (body,) = server.bodies
    assert body["model"] == MODEL
    assert body["messages"] == [{"role": "user", "content": request.parts[0]}]
    assert body["temperature"] == REFINE.sampling["temperature"]
    assert body["max_tokens"] == REFINE.sampling["max_tokens"]
    assert server.keys == ["Bearer s3cret"]


def test_endpoint_sends_no_key_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    server = Server(says())
    against(server, complete(a_request()), key_env="SOME_KEY")
    assert server.keys == [None]


def test_endpoint_answer_without_usage_counts_no_tokens() -> None:
    content = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode()
    said = against(Server(raw(content)), complete(a_request()))
    assert (said.text, said.prompt_tokens, said.cached_tokens, said.completion_tokens) == ("x", 0, 0, 0)


def test_endpoint_half_a_character_is_replaced() -> None:
    said = against(
        Server(raw(b'{"choices":[{"message":{"content":"a\\ud83d"},"finish_reason":"stop"}]}')), complete(a_request())
    )
    said.text.encode("utf-8")
    assert said.text.startswith("a")


def test_endpoint_images_go_as_data_urls_in_their_place() -> None:
    from megascience_ops.ocr import TRANSCRIBE

    server = Server(says("Page one."))
    image = Image(b"\x89PNG\r\n\x1a\n picture")

    assert against(server, ask(TRANSCRIBE, PAGE=image)) == ("Page one.", 0)

    content = server.bodies[0]["messages"][0]["content"]
    (sent,) = [part for part in content if part["type"] == "image_url"]
    head, _, data = sent["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == image.data
    before, _, after = TRANSCRIBE.text.partition("<PAGE>")
    assert [part["text"] for part in content if part["type"] == "text"] == [
        text for text in (before, after) if text.strip()
    ]


# --- a server that is busy, breaks, or talks nonsense, and then answers ------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        [status(429, "too many requests", **{"Retry-After": "1"})],
        [status(429, "too many requests")],
        [status(500, "worker died"), status(502), status(503, "loading")],
        [reset],
        [raw(b'{"choices": [{"mess')],
        [raw(b"<html>Bad Gateway</html>", "text/html")],
        [raw(b'{"choices": []}')],
        [says(None)],
        [says(None, "stop", reasoning_content="I think")],
        [raw(b"[1, 2]"), raw(b"null")],
    ],
    ids=[
        "429_with_time", "429", "500s", "reset", "malformed", "html", "no_choices", "null", "only_reasoning", "other_json",
    ],
)  # fmt: skip
def test_endpoint_trouble_that_passes_costs_nothing_but_time(script: list[Behaviour]) -> None:
    server = Server(*script, says())
    said = against(server, complete(a_request()))
    assert (said.text, said.finish_reason) == (REFINED, "stop")
    assert len(server.bodies) > len(script)


def test_endpoint_waits_as_long_as_it_is_asked_to() -> None:
    server = Server(status(429, "slow down", **{"Retry-After": "2"}), says())
    against(server, complete(a_request()))
    assert server.times[1] - server.times[0] >= 2


# --- what is one row's trouble ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", [[raw(b"no json")], [raw(b'{"choices": []}')], [says(None)]], ids=["text", "none", "null"]
)
def test_endpoint_row_that_never_gets_an_answer_is_aside_and_the_run_goes_on(script: list[Behaviour]) -> None:
    with pytest.raises(Declined) as error:
        against(Server(*script), ask())
    assert error.value.reason == "failed"
    assert error.value.detail


def test_endpoint_answer_cut_off_is_unread_after_its_attempts() -> None:
    server = Server(says(REFINED, "length"))
    with pytest.raises(Unparsed, match="truncated"):
        against(server, ask())
    assert len(server.bodies) == 2
    assert server.bodies[0] != server.bodies[1]


@pytest.mark.parametrize(
    "code, text",
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens."),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of 4096."),
        (413, "Payload too large"),
    ],
)
def test_endpoint_prompt_that_does_not_fit_is_that_rows_aside(code: int, text: str) -> None:
    server = Server(status(code, text), says())

    async def two(engine: Engine) -> tuple[Declined, Any]:
        with pytest.raises(Declined) as error:
            await ask(REFINE, **{**SLOTS, "DOCUMENT": "long"})(engine)
        return error.value, await ask()(engine)

    declined, pair = against(server, two)
    assert declined.reason == "too_long"
    assert text[:20] in declined.detail
    assert pair == parsing.QuestionAnswer("What is 2 + 2?", "It is 4.")
    assert len(server.bodies) == 2  # it was not tried again


def test_endpoint_prompt_that_is_refused_is_that_rows_aside() -> None:
    for behaviour in (status(400, "The prompt violates our policy."), says("", "content_filter")):
        with pytest.raises(Declined) as error:
            against(Server(behaviour), ask())
        assert error.value.reason == "refused"


# --- what a person has to mend, and what may pass ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, text, named",
    [(401, "Incorrect API key", "SOME_KEY"), (403, "forbidden", "SOME_KEY"), (404, "no such model", MODEL)],
)
def test_endpoint_wrong_key_or_model_is_one_line_for_a_person(code: int, text: str, named: str, monkeypatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    server = Server(status(code, text))
    with pytest.raises(ContractError) as error:
        against(server, complete(a_request()), key_env="SOME_KEY")
    said = str(error.value)
    assert "\n" not in said
    assert named in said
    assert str(code) in said
    assert "s3cret" not in said
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "config, named", [({"url": None}, "--url"), ({"model": None}, "--model"), ({"url": "host:80"}, "host:80")]
)
def test_endpoint_without_server_or_model_is_told_before_anything_is_asked(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ContractError, match=named):
        open_engine(endpoint(**{"url": "http://127.0.0.1:1/v1", **config}))


def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_endpoint_server_that_is_gone_is_waited_for_and_then_transient() -> None:
    async def gone() -> None:
        engine = open_engine(endpoint(f"http://127.0.0.1:{unused_port()}/v1", patience_seconds=1.5))
        try:
            await engine.complete(a_request(), "row")
        finally:
            await engine.close()

    began = time.monotonic()
    with pytest.raises(TransientError) as error:
        asyncio.run(gone())
    assert 0.3 < time.monotonic() - began < 10
    assert "127.0.0.1" in str(error.value)
    assert "\n" not in str(error.value)


def test_endpoint_server_that_stays_busy_is_transient() -> None:
    with pytest.raises(TransientError, match="503"):
        against(Server(status(503, "loading the model")), complete(a_request()), patience_seconds=1.5)


def test_endpoint_server_that_goes_away_ends_all_who_wait() -> None:
    async def many(engine: Engine) -> list[Any]:
        requests = [engine.complete(a_request(str(number)), "row") for number in range(6)]
        return await asyncio.gather(*requests, return_exceptions=True)

    said = against(Server(says(), reset), many, patience_seconds=2, concurrency=2)
    assert sum(isinstance(one, Completion) and one.finish_reason == "stop" for one in said) == 1
    assert sum(isinstance(one, TransientError) for one in said) >= 1
    assert all(isinstance(one, Completion | TransientError) for one in said)


# --- many at once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 4])
def test_endpoint_never_has_more_under_way_than_the_limit(limit: int) -> None:
    async def slow(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return await says(body["messages"][0]["content"])(request, body)

    server = Server(slow)
    requests = [a_request(f"question {number}") for number in range(25)]

    async def many(engine: Engine) -> list[Completion]:
        return await asyncio.gather(*(engine.complete(one, str(place)) for place, one in enumerate(requests)))

    said = against(server, many, concurrency=limit)

    assert server.most_under_way == limit
    assert len(server.bodies) == 25
    for place, (request, completion) in enumerate(zip(requests, said, strict=True)):
        assert (completion.id, completion.row, completion.text) == (request.digest, str(place), request.parts[0])


# --- embeddings --------------------------------------------------------------------------------------------------------


def vector(text: str) -> list[float]:
    return [float(len(text)), float(text.count("a")), 1.0]


def embeds(shuffled: bool = True, packed: bool = False) -> Behaviour:
    """Embeddings in no particular order, none of them normalised."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.Response:
        def given(text: str) -> Any:
            values = vector(text)
            return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode() if packed else values

        data = [{"object": "embedding", "index": i, "embedding": given(text)} for i, text in enumerate(body["input"])]
        return web.json_response({"object": "list", "data": data[::-1] if shuffled else data, "model": body["model"]})

    return answer


@pytest.mark.parametrize("packed", [False, True])
def test_endpoint_embeddings_are_in_order_and_of_length_one(packed: bool) -> None:
    texts = ["a" * (number % 7) + "b" * (number // 7) for number in range(300)]
    server = Server(embeds(packed=packed))

    found = against(server, lambda engine: engine.embed(texts))

    assert (found.shape, found.dtype) == ((300, 3), np.float32)
    wanted = np.array([vector(text) for text in texts])
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-5)
    assert sorted(text for body in server.bodies for text in body["input"]) == sorted(texts)
    assert len(server.bodies) > 1
    assert all(body["model"] == MODEL for body in server.bodies)


@pytest.mark.parametrize(
    "content",
    [b'{"data": [{"index": 0, "embedding": [1.0]}]}', b'{"data": []}', b"{}"],
    ids=["one_short", "none", "empty"],
)
def test_endpoint_embeddings_that_are_missing_are_never_made_up(content: bytes) -> None:
    with pytest.raises((TransientError, ContractError)) as error:
        against(Server(raw(content)), lambda engine: engine.embed(["one", "two"]), patience_seconds=2)
    assert "\n" not in str(error.value)
