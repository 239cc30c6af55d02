"""What a request costs in the client: python bench/client.py [REQUESTS] [CONCURRENCY].

The endpoint engine, bare aiohttp, httpx and the openai client do the same work against the same server, which answers
at once: render the body, send it, read the answer, keep text, finish reason and usage. Each runs in a process of its
own, and so does the server. CPU seconds of the client's process are the figure to trust. httpx and openai are no
dependencies: they are skipped where they are missing, or name a Python that has them in $BENCH_PYTHON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

PROMPT = "A sample of gas is kept at constant volume while it is warmed. What happens to its pressure, and why? "
MODEL = "instant"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Analysis: It rises. " * 40 + "\nDecision: YES"},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 800, "completion_tokens": 250, "total_tokens": 1050},
}
NEEDS = {"engine": "aiohttp", "aiohttp": "aiohttp", "httpx": "httpx", "openai": "openai"}

Ask = Callable[[int], Awaitable[str]]


def prompt(number: int) -> str:
    """A prompt of some 3,000 characters, each another one."""
    return f"{number:08} " + PROMPT * 30


class Instant(asyncio.Protocol):
    """An HTTP server that reads no more of a request than it must, so that it never is the slower side."""

    def __init__(self) -> None:
        body = json.dumps(ANSWER).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._ok = head.encode() + body
        self._none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            place = head.find(b"content-length:")
            whole = end + 4 + (int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0)
            if len(self._read) < whole:
                return
            self._transport.write(self._ok if head.startswith(b"post") else self._none)
            self._read = self._read[whole:]


async def serve() -> None:
    """Serve on a free port, named on stdout, until killed."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def measure(name: str, url: str, requests: int, concurrency: int) -> dict[str, float]:
    """CPU and wall seconds of so many requests, and the memory that they took, after a short start."""
    opened = {"engine": of_engine, "aiohttp": of_aiohttp, "httpx": of_httpx, "openai": of_openai}[name]
    ask, close = await opened(url, concurrency)
    await rounds(ask, min(requests, 2 * concurrency), concurrency)
    before = resource.getrusage(resource.RUSAGE_SELF)
    wall, cpu = time.perf_counter(), time.process_time()
    await rounds(ask, requests, concurrency)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu": cpu, "wall": wall, "peak": peak / 1024, "grown": (peak - before.ru_maxrss) / 1024}


async def rounds(ask: Ask, requests: int, concurrency: int) -> None:
    """Have so many requests answered, so many at a time."""
    numbers = iter(range(requests))

    async def worker() -> None:
        for number in numbers:
            if not (await ask(number)).endswith("YES"):
                raise AssertionError("not the answer that was given")

    await asyncio.gather(*(worker() for _ in range(concurrency)))


async def of_engine(url: str, concurrency: int) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """This package, from a request to a completion."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from megascience_ops.completions import Request
    from megascience_ops.config import EngineConfig
    from megascience_ops.engines.endpoint import EndpointEngine

    engine = EndpointEngine(EngineConfig(kind="endpoint", url=url, model=MODEL, concurrency=concurrency))
    sampling = {"temperature": 0.0, "max_tokens": 2048}

    async def ask(number: int) -> str:
        request = Request("judge_cot", (prompt(number),), {}, sampling, engine.identity)
        return (await engine.complete(request, "row")).text

    return ask, engine.close


async def of_aiohttp(url: str, concurrency: int) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """What aiohttp needs at least: no retries, no checks."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency))

    async def ask(number: int) -> str:
        async with session.post(f"{url}/chat/completions", json=asked(number)) as response:
            said = await response.json()
        choice = said["choices"][0]
        kept = choice["message"]["content"], choice["finish_reason"], said["usage"]
        return str(kept[0])

    return ask, session.close


async def of_httpx(url: str, concurrency: int) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The same with httpx."""
    import httpx

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    client = httpx.AsyncClient(limits=limits, timeout=600)

    async def ask(number: int) -> str:
        response = await client.post(f"{url}/chat/completions", json=asked(number))
        choice = response.json()["choices"][0]
        return str(choice["message"]["content"])

    return ask, client.aclose


async def of_openai(url: str, concurrency: int) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The openai client as its manual says."""
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="none", timeout=600)

    async def ask(number: int) -> str:
        said = await client.chat.completions.create(**asked(number))
        return str(said.choices[0].message.content)

    return ask, client.close


def asked(number: int) -> dict[str, object]:
    """The body of a request."""
    messages = [{"role": "user", "content": prompt(number)}]
    return {"model": MODEL, "messages": messages, "temperature": 0.0, "max_tokens": 2048}


def python_with(module: str) -> str | None:
    """A Python that has the module: this one, or $BENCH_PYTHON."""
    if find_spec(module):
        return sys.executable
    other = os.environ.get("BENCH_PYTHON")
    has = other and not subprocess.run([other, "-c", f"import {module}"], capture_output=True).returncode
    return other if has else None


def main(requests: int, concurrency: int) -> None:
    """Measure all, the slow ones on fewer requests, and print a line for each."""
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    results: dict[str, float] = {}
    sys.stdout.write(f"{requests} requests of 3,000 characters, {concurrency} at a time\n")
    try:
        for name, module in NEEDS.items():
            if not (python := python_with(module)):
                sys.stdout.write(f"{name:8} skipped: {module} is not installed; see $BENCH_PYTHON in the docstring\n")
                continue
            count = requests if module == "aiohttp" else max(2 * concurrency, requests // 8)
            command = [python, __file__, name, url, str(count), str(concurrency)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout)
            results[name] = count / found["cpu"]
            sys.stdout.write(
                f"{name:8} {results[name]:8,.0f} requests a CPU second  {count / found['wall']:8,.0f} a second"
                f"  {found['peak']:5.0f} MB, {found['grown']:.0f} of them for the requests\n"
            )
    finally:
        server.kill()
        server.wait()
    for name in results.keys() - {"engine"}:
        sys.stdout.write(f"the engine does {results['engine'] / results[name]:.2f} times the requests of {name}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
    elif len(sys.argv) > 3:
        name, url, count, at_once = sys.argv[1:]
        json.dump(asyncio.run(measure(name, url, int(count), int(at_once))), sys.stdout)
    else:
        numbers = [int(argument) for argument in sys.argv[1:]]
        main(*(numbers + [20_000, 256][len(numbers) :]))
