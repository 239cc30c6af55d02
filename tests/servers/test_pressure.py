"""How requests are spread over servers, how much each of them gets, and what is done about one that is down."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from aiohttp import web

from megascience_ops.completions import Request
from megascience_ops.config import EngineConfig
from megascience_ops.engines import pressure, trouble
from megascience_ops.engines.endpoint import EndpointEngine
from megascience_ops.engines.server import queue_of
from megascience_ops.errors import ContractError, TransientError

T = TypeVar("T")

MODEL = "m"
ANSWER = {"model": MODEL, "choices": [{"message": {"content": "YES"}, "finish_reason": "stop"}]}


class Server:
    """Works on `slots` requests at a time; the others wait in it, or are refused beyond `room`."""

    def __init__(self, *, slots: int = 1000, room: int = 1000, seconds: float = 0.01, metrics: bool = False) -> None:
        self.slots, self.room, self.seconds, self.metrics = asyncio.Semaphore(slots), room, seconds, metrics
        self.size = slots
        self.rng = random.Random(5)
        self.under_way = self.most = self.answered = self.refused = 0
        self.waiting: list[int] = []
        self.gets: Counter[str] = Counter()
        self.retry_after: list[str] = []
        self.times: list[float] = []
        self.url = ""

    async def chat(self, request: web.Request) -> web.Response:
        await request.read()
        self.times.append(time.monotonic())
        if self.retry_after:
            return web.json_response({}, status=429, headers={"Retry-After": self.retry_after.pop()})
        if self.under_way >= self.room:
            self.refused += 1
            return web.json_response({"error": "full"}, status=429)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            async with self.slots:
                await asyncio.sleep(self.seconds * self.rng.uniform(0.5, 1.5))
        finally:
            self.waiting.append(max(0, self.under_way - self.size))  # when a place was free again
            self.under_way -= 1
        self.answered += 1
        return web.json_response(ANSWER)

    async def get(self, request: web.Request) -> web.Response:
        self.gets[request.path] += 1
        if request.path == "/metrics" and self.metrics:
            running, waiting = min(self.under_way, self.size), max(0, self.under_way - self.size)
            return web.Response(
                text='# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{engine="0"} '
                f'{waiting}.0\nvllm:num_requests_running{{engine="0",model_name="m"}} {running}.0\n'
            )
        if request.path == "/version":
            return web.json_response({"version": "0.11.2"})
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": MODEL, "max_model_len": 4096}]})
        return web.Response(status=404)

    @asynccontextmanager
    async def up(self, port: int = 0) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/{path:.*}", self.get)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        assert site._server
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield port
        finally:
            await runner.cleanup()


@asynccontextmanager
async def engine(*urls: str, **config: Any) -> AsyncIterator[EndpointEngine]:
    opened = EndpointEngine(EngineConfig(kind="endpoint", url=",".join(urls), model=MODEL, **config))
    try:
        yield opened
    finally:
        await opened.close()


async def ask(opened: EndpointEngine, count: int) -> None:
    """Have so many requests answered."""
    requests = [Request("p", (f"{n}?",), {}, {}, opened.identity) for n in range(count)]
    answers = await asyncio.gather(*(opened.complete(request, "row") for request in requests))
    assert [answer.text for answer in answers] == ["YES"] * count


def played(play: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await play()

    return asyncio.run(bounded())


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "FIRST_REST", 0.05)


def test_limit_is_never_exceeded_and_reached() -> None:
    async def play() -> Server:
        server = Server(seconds=0.05)
        async with server.up(), engine(server.url, concurrency=48) as opened:
            await ask(opened, 400)
        return server

    assert played(play).most == 48


def test_server_that_refuses_above_its_room_is_kept_busy_and_seldom_refuses() -> None:
    async def play() -> Server:
        server = Server(room=20, seconds=0.02)
        async with server.up(), engine(server.url, concurrency=200) as opened:
            await ask(opened, 2000)
        return server

    server = played(play)
    assert server.answered == 2000
    assert server.refused < 300
    took = server.times[-1] - server.times[0]
    assert took < 4 * 2000 / 20 * server.seconds  # at least a quarter of what it could do, on a shared machine


def test_queue_that_metrics_show_is_kept_short_but_not_empty() -> None:
    async def play() -> Server:
        server = Server(slots=16, seconds=0.1, metrics=True)
        async with server.up(), engine(server.url, concurrency=500) as opened:
            began = time.monotonic()
            await ask(opened, 900)
            assert server.gets["/metrics"] <= time.monotonic() - began + 2
            looked = server.gets["/metrics"]
            await asyncio.sleep(1.2)
            assert server.gets["/metrics"] <= looked + 1  # nothing under way, nothing to look at
        return server

    server = played(play)
    steady = server.waiting[500:-50]  # after three looks
    assert sorted(steady)[len(steady) * 3 // 4] <= 16  # a machine that stalls for a moment may show more
    assert steady.count(0) <= len(steady) // 5


def test_limit_doubles_with_each_look_while_nobody_waits_and_stops_at_the_ceiling() -> None:
    one = pressure.Pressure(ceiling=200)
    limits = []
    for _ in range(4):
        one.under_way = one.limit
        one.queue(waiting=0, running=one.under_way)
        limits.append(one.limit)
    assert limits == [64, 128, 200, 200]
    one.queue(waiting=0, running=100)
    assert one.limit == 200


def test_limit_that_is_not_used_up_does_not_grow_by_looks() -> None:
    one = pressure.Pressure(ceiling=200)
    one.under_way = 10
    one.queue(waiting=0, running=10)
    assert one.limit == 32


@pytest.mark.parametrize(("answered", "limit"), [(0, 256 + 32), (150, 256 + 150), (900, 512)])
def test_as_many_may_wait_as_were_answered_since_the_last_look(answered: int, limit: int) -> None:
    one = pressure.Pressure(ceiling=512)
    while one.limit < 512:
        one.under_way = one.limit
        one.queue(waiting=0, running=256)
    one.under_way = 512
    one.queue(waiting=256, running=256)
    assert one.limit == 512  # one look may catch a burst
    for _ in range(answered):
        one.answered()
    one.queue(waiting=256, running=256)
    assert one.limit == limit


def test_metrics_that_are_not_there_are_asked_for_once() -> None:
    async def play() -> Server:
        server = Server(seconds=0.2)
        async with server.up(), engine(server.url, concurrency=8) as opened:
            await ask(opened, 80)
            await ask(opened, 8)
        return server

    assert played(play).gets["/metrics"] == 1


def test_requests_go_where_there_is_room() -> None:
    async def play() -> list[int]:
        quick, slow = Server(slots=8, seconds=0.01), Server(slots=8, seconds=0.1)
        async with quick.up(), slow.up(), engine(quick.url, slow.url, concurrency=16) as opened:
            await ask(opened, 300)
            assert opened.facts() == {
                "model": MODEL,
                "server_version": "0.11.2",
                "server_model": MODEL,
                "max_model_len": "4096",
            }
        return [quick.answered, slow.answered]

    quick, slow = played(play)
    assert quick > 3 * slow > 0


def test_dead_server_is_dropped_and_taken_back_when_it_answers() -> None:
    async def play() -> tuple[int, int, Counter[str]]:
        here, gone = Server(seconds=0.02), Server(seconds=0.02)
        async with gone.up() as port:
            pass
        async with here.up(), engine(here.url, gone.url, concurrency=8, patience_seconds=20) as opened:
            await ask(opened, 100)
            before = gone.answered
            async with gone.up(port):
                await asyncio.sleep(2)
                await ask(opened, 200)
            return before, gone.answered, opened.retries

    before, after, retries = played(play)
    assert before == 0
    assert after > 50
    assert retries["connection"] < 20


def test_all_servers_dead_is_transient_after_patience_and_names_them() -> None:
    async def play() -> list[BaseException]:
        one, other = Server(), Server()
        async with one.up(), other.up():
            pass
        async with engine(one.url, other.url, concurrency=4, patience_seconds=1) as opened:
            requests = [Request("p", (f"{n}?",), {}, {}, opened.identity) for n in range(50)]
            began = time.monotonic()
            errors = await asyncio.gather(*(opened.complete(r, "row") for r in requests), return_exceptions=True)
            assert 0.4 < time.monotonic() - began < 5
            assert all(one.url in str(error) and other.url in str(error) for error in errors)
            return [error for error in errors if isinstance(error, BaseException)]

    errors = played(play)
    assert len(errors) == 50
    assert all(isinstance(error, TransientError) and "1 s" in str(error) for error in errors)


def test_retry_after_is_waited_for_by_all_requests() -> None:
    async def play() -> Server:
        server = Server()
        server.retry_after = ["0.6"]
        async with server.up(), engine(server.url, concurrency=1) as opened:
            await ask(opened, 5)
        return server

    times = played(play).times
    assert times[1] - times[0] >= 0.6
    assert len(times) == 6


def test_cancelled_request_gives_back_its_place() -> None:
    async def play() -> int:
        server = Server(seconds=0.05)
        async with server.up(), engine(server.url, concurrency=2) as opened:
            tasks = [asyncio.ensure_future(ask(opened, 1)) for _ in range(20)]
            await asyncio.sleep(0.07)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await ask(opened, 10)
        return server.answered

    assert played(play) >= 20


def test_retry_after_reads_seconds_and_dates() -> None:
    from email.utils import formatdate

    assert trouble.seconds("2.5") == 2.5
    assert 28 < trouble.seconds(formatdate(time.time() + 30, usegmt=True)) <= 30
    assert [trouble.seconds(text) for text in (None, "", "soon", "-3", formatdate(0, usegmt=True))] == [0.0] * 5


def test_queue_is_read_from_the_metrics_of_each_kind_of_server() -> None:
    assert queue_of('vllm:num_requests_waiting{e="0"} 3.0\nvllm:num_requests_waiting{e="1"} 4\n') == (7, 0)
    assert queue_of("sglang:num_queue_reqs 2\nsglang:num_running_reqs 5\n") == (2, 5)
    assert queue_of("tgi_queue_size 1\ntgi_batch_current_size 8") == (1, 8)
    assert queue_of("process_cpu_seconds_total 9") is None
    small = 'vllm:step_seconds{e="0"} 3.011499939020723e-06\n'  # another number may stand before or after ours
    assert queue_of(f'{small}vllm:num_requests_waiting{{e="0"}} 1.2e+01\n{small}') == (12, 0)
    assert queue_of(json.dumps({"not": "metrics"})) is None


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://a/v1", "http://a/v1,/v1", ","])
def test_addresses_that_are_none_are_refused_at_once(url: str) -> None:
    with pytest.raises(ContractError, match="http://127.0.0.1:8000/v1"):
        EndpointEngine(EngineConfig(kind="endpoint", url=url, model=MODEL))
