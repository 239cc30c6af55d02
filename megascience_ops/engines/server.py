"""One server: where it is, what it can take, and what it tells of itself and of its queue."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from yarl import URL

from megascience_ops.engines.http import Connections, parsed
from megascience_ops.engines.pressure import Pressure
from megascience_ops.engines.trouble import Trouble

LOOK_SECONDS = 1.0  # between two looks at a queue

_WAITING = "vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size"
_RUNNING = "vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size"
_GAUGE = re.compile(rf"^({'|'.join(_WAITING + _RUNNING)})(?:\{{[^\n]*\}})? ([0-9.e+-]+)", re.MULTILINE)


class Server:
    """One server. While something is under way it is asked how many wait in it, once a second, if it tells.

    `changed` is called when an answer may have made room.
    """

    def __init__(self, url: URL, connections: Connections, ceiling: int, changed: Callable[[], None]) -> None:
        self.url = url
        self.pressure = Pressure(ceiling)
        self.facts: dict[str, str] = {}
        self.trouble = ""  # the last one, until an answer comes
        self.doubt = asyncio.Lock()
        self.probed = 0.0
        self._connections, self._changed = connections, changed
        self._root = url.with_path(url.path.removesuffix("/v1") or "/")
        self._paths: dict[str, URL] = {}
        self._known = False
        self._tells_queue = True  # until it turns out that it does not
        self._watch: asyncio.Task[None] | None = None

    def at(self, path: str) -> URL:
        """The address of one of its routes."""
        if path not in self._paths:
            self._paths[path] = self.url / path
        return self._paths[path]

    def watched(self) -> None:
        """See that it is watched, as something is under way."""
        if self._watch is None or (self._tells_queue and self._watch.done()):
            self._watch = asyncio.get_running_loop().create_task(self._look())

    async def unwatch(self) -> None:
        """Look no more."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self) -> None:
        if not self._known:
            version, served = await self._told("version"), await self._told("models")
            self.facts, self._known = _facts(version, served), version is not None or served is not None
        while self._tells_queue and self.pressure.under_way:
            began = time.monotonic()
            try:
                metrics = await self._connections.glance(self._root / "metrics")
            except (OSError, aiohttp.ClientError, Trouble):
                metrics = b""  # may come back
            if told := queue_of((metrics or b"").decode("utf-8", "replace")):
                self.pressure.queue(*told)
                self._changed()
            elif metrics != b"":
                self._tells_queue = False
            await asyncio.sleep(max(0.0, began + LOOK_SECONDS - time.monotonic()))

    async def _told(self, path: str) -> Any:
        try:
            return parsed(
                await self._connections.glance(self.at(path) if path == "models" else self._root / path) or b""
            )
        except (OSError, aiohttp.ClientError, Trouble):
            return None


def queue_of(metrics: str) -> tuple[float, float] | None:
    """Requests waiting and running by the metrics of vLLM, SGLang or TGI (Prometheus' text format); None by others."""
    found: dict[str, float] = {}
    for name, value in _GAUGE.findall(metrics):
        found[name] = found.get(name, 0) + float(value)
    waiting = [found[name] for name in _WAITING if name in found]
    return (sum(waiting), sum(found.get(name, 0) for name in _RUNNING)) if waiting else None


def _facts(version: Any, served: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(version, dict) and version.get("version"):
        found["server_version"] = str(version["version"])
    models = served.get("data") if isinstance(served, dict) else None
    for one in models if isinstance(models, list) and len(models) == 1 else ():
        if isinstance(one, dict):
            wanted = {"server_model": one.get("root") or one.get("id"), "max_model_len": one.get("max_model_len")}
            found |= {name: str(value) for name, value in wanted.items() if value}
    return found
