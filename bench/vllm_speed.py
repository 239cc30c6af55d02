"""The river against a real vLLM, how fast: python bench/vllm_speed.py [ROWS] [MODEL | WIDTHxLAYERS].

`refine_qa` through the runner and the vllm engine, bare aiohttp towards the same server, and vLLM's own `LLM.chat` take
turns on messages of the same kind, new ones each time. Starts and warm-ups do not count. Said is also what a request
costs each process in CPU, so what is ours and what is vLLM's front end can be told apart (Linux).

Every answer is as long as it may be, so all sides decode the same tokens. MODEL is a name or a folder; otherwise one
with random weights is made, as wide and deep as is said. vLLM's Python is $MEGASCIENCE_VLLM_PYTHON, or the one in
$MEGASCIENCE_VLLM (see tests/vllm/up.py), or this one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from refining.rows import prepare, refine, request
from refining.servers import BLOCK, prepared

from megascience_ops.config import EngineConfig
from megascience_ops.engines.engine import open_engine
from megascience_ops.receipts import Usage

ROUNDS, WARM_UP, MAX_TOKENS = 3, 256, 64
AT_ONCE = 256  # requests that the server works on; twice as many are under way, so that it never waits for us

OFFLINE = """
import json, sys
from vllm import LLM, SamplingParams
told = json.load(open(sys.argv[1]))
llm, sampling = LLM(**told["llm"]), SamplingParams(**told["sampling"])
for job in sys.stdin:
    asked = [[{"role": "user", "content": text}] for text in json.loads(job)]
    answers = llm.chat(asked, sampling, use_tqdm=False)
    print("ANSWERED", sum(len(one.outputs[0].token_ids) for one in answers), flush=True)
"""


Measured = Callable[[], Awaitable[int]]  # asks what was prepared; how many tokens were decoded


async def bare(url: str, bodies: Iterator[bytes], at_once: int) -> int:
    """aiohttp alone: the tokens that were decoded."""
    headers, decoded = {"Content-Type": "application/json"}, 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def worker() -> None:
            nonlocal decoded
            for body in bodies:
                async with session.post(url, data=body) as response:
                    decoded += (await response.json())["usage"]["completion_tokens"]

        await asyncio.gather(*(worker() for _ in range(at_once)))
    return decoded


class Offline:
    """vLLM's own `LLM` in a process of its own, asked whenever it is its turn."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

    @classmethod
    async def up(cls, folder: Path, python: str, config: EngineConfig) -> Offline:
        limits = {"max_num_seqs": AT_ONCE, "max_num_batched_tokens": 4096, "block_size": BLOCK, "max_model_len": 8192}
        share = {"gpu_memory_utilization": config.vllm.gpu_memory_utilization}
        llm = {"model": config.model, "dtype": config.vllm.dtype, "enforce_eager": True, **limits, **share}
        (folder / "offline.json").write_text(json.dumps({"llm": llm, "sampling": config.sampling}))
        with (log := folder / "offline.log").open("w") as said:
            command = (python, "-W", "ignore", "-c", OFFLINE, "offline.json")
            pipes: dict[str, Any] = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
            process = await asyncio.create_subprocess_exec(*command, **pipes, stderr=said, cwd=folder, limit=2**20)
        return cls(process, log)

    async def chat(self, texts: list[str]) -> int:
        """How many tokens `LLM.chat` decoded for these messages."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(texts)}\n".encode())
        async for line in self._process.stdout:
            if line.startswith(b"ANSWERED"):
                return int(line.split()[1])
        sys.exit(f"LLM.chat failed:\n{self._log.read_text()[-3000:]}")

    async def down(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


def cpu_milliseconds(root: int, without: int) -> Counter[str]:
    """What a process and all below it but one and those below that took so far, by what they do (Linux)."""
    found: dict[int, tuple[int, int, bytes]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (place / "stat").read_text().rpartition(")")[2].split(), (place / "cmdline").read_bytes()
        except OSError:
            continue
        found[int(place.name)] = int(stat[1]), int(stat[11]) + int(stat[12]), command

    def above(pid: int) -> Iterator[int]:
        while pid in found:
            yield pid
            pid = found[pid][0]

    spent: Counter[str] = Counter()
    for pid, (_, ticks, command) in found.items():
        line = list(above(pid))
        if root in line and without not in line:
            kinds = {b"EngineCore": "scheduler", b"Worker": "model"}
            kind = next((name for sign, name in kinds.items() if sign in command), "front end")
            spent["client" if pid == os.getpid() else kind] += 1000 * ticks // os.sysconf("SC_CLK_TCK")
    return spent


async def speed(folder: Path, python: str, told: dict[str, Any], rows: int) -> None:
    """All sides take turns; prints what each did, and what a request cost each process."""
    config = EngineConfig.model_validate(told)
    engine, offline = open_engine(config), await Offline.up(folder, python, config)
    url = f"http://127.0.0.1:{config.vllm.port}/v1/chat/completions"

    def texts(first: int, last: int) -> list[str]:
        return [str(request(number, config, engine).parts[0]) for number in range(first, last)]

    async def runner(first: int) -> Measured:
        settings = await prepare(folder / f"root-{first}", config, rows=rows, first=first)
        return lambda: decoded(refine(settings, engine))

    async def decoded(refined: Awaitable[Usage]) -> int:
        return (await refined).completion_tokens

    async def aiohttp_alone(first: int) -> Measured:
        messages = ([{"role": "user", "content": text}] for text in texts(first, first + rows))
        asked = [json.dumps({"model": config.model, "messages": one, **config.sampling}).encode() for one in messages]
        return lambda: bare(url, iter(asked), config.concurrency)

    async def chat(first: int) -> Measured:
        asked = texts(first, first + rows)
        return lambda: offline.chat(asked)

    sides = {"the runner": runner, "aiohttp": aiohttp_alone, "LLM.chat": chat}
    seconds, spent = Counter[str](), {name: Counter[str]() for name in sides}
    numbers = count(0, rows)
    try:
        first = next(numbers)
        warm = [request(number, config, engine) for number in range(first, first + WARM_UP)]
        await asyncio.gather(*(engine.complete(one, "row") for one in warm))
        await offline.chat(texts(first, first + WARM_UP))
        for turn in range(ROUNDS):
            for name in list(sides)[:: -1 if turn % 2 else 1]:
                processes = (offline.pid, 0) if name == "LLM.chat" else (os.getpid(), offline.pid)
                ask = await sides[name](next(numbers))
                began, before = time.monotonic(), cpu_milliseconds(*processes)
                assert await ask() == MAX_TOKENS * rows
                took, cost = time.monotonic() - began, cpu_milliseconds(*processes) - before
                seconds[name] += took
                spent[name] += cost
                print(told_of(name, rows, took, cost), flush=True)
    finally:
        await engine.close()
        await offline.down()
    print("all rounds:")
    for name, took in seconds.items():
        print(f"{told_of(name, rows * ROUNDS, took, spent[name])}; {seconds['LLM.chat'] / took:.2f} of LLM.chat")


def told_of(name: str, rows: int, seconds: float, milliseconds: Mapping[str, int]) -> str:
    """Speed, and CPU a request: in all, and by process."""
    parts = ", ".join(f"{part} {milliseconds[part] / rows:.1f}" for part in sorted(milliseconds))
    cpu = f"{sum(milliseconds.values()) / rows:5.1f} ms of CPU a request: {parts}"
    return f"{name:<10} {rows / seconds:6.1f} requests/s, {cpu}"


def main(rows: int = 2000, model: str = "192x4") -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        asyncio.run(speed(folder, *prepared(folder, model, MAX_TOKENS, AT_ONCE), rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
