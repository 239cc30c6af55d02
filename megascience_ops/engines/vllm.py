"""The vllm engine: a `vllm serve` process of its own, and the endpoint engine towards it.

The server is started by the first request, so a stage with nothing to compute starts none. It is started again when it
dies; requests under way are put to it again. It never outlives this process, whatever ends that.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig
from megascience_ops.engines.endpoint import EndpointEngine
from megascience_ops.engines.vllm_log import Ending
from megascience_ops.engines.vllm_server import HOST, Server, free_port, is_free, serve_arguments
from megascience_ops.errors import ContractError, TransientError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKOFF_SECONDS = 1.0  # before the first restart, doubled for each further one
LONGEST_BACKOFF = 60.0
FORGIVING_SECONDS = 1800.0  # of serving, after which earlier crashes count no more
SUSPECT_DEATHS, FATAL_DEATHS = 2, 3  # of the server under one request: then asked alone; then refused


class VllmEngine:
    """Answers with a model that it serves itself. Raises TransientError when the server dies too often."""

    def __init__(self, config: EngineConfig) -> None:
        if not config.model:
            raise ContractError("engine vllm: no model named; set --model to a name on the hub or to a folder")
        if config.model.startswith(("/", ".", "~")) and not Path(config.model).is_dir():
            raise ContractError(
                f"engine vllm: no folder {config.model}; set --model to a name on the hub or to a folder"
            )
        self._config = config
        self._port = config.vllm.port
        self._endpoint = self._endpoint_here()
        self._log_file = Path(config.vllm.log_file) if config.vllm.log_file else None
        self._supervisor: asyncio.Task[None] | None = None
        self._serving: asyncio.Future[None]  # done while the server serves, failed when it never will again
        self._under_way: dict[asyncio.Task[Any], str] = {}
        self._deaths: Counter[str] = Counter()  # of the server, by the request that was under way
        self._alone = asyncio.Lock()
        self._has_served = False
        self._crashes = 0  # that are not forgiven yet
        self._restarts: list[str] = []

    @property
    def identity(self) -> Mapping[str, str]:
        """That of the endpoint engine, and what the server is told that bears on the answers."""
        server = self._config.vllm
        told = {"quantization": server.quantization, "dtype": server.dtype, "arguments": " ".join(server.extra_args)}
        return {**self._endpoint.identity, **{name: value for name, value in told.items() if value}}

    async def complete(self, request: Request, row: str) -> Completion:
        try:
            return await self._asked(lambda endpoint: endpoint.complete(request, row), request.digest)
        except _Deadly:
            text = f"the server died {FATAL_DEATHS} times while it answered this"
            return Completion(
                id=request.digest,
                row=row,
                prompt=request.prompt,
                text=text,
                finish_reason="refused",
                model=str(self._config.model),
            )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return await self._asked(lambda endpoint: endpoint.embed(texts))

    async def close(self) -> None:
        """Stop the server, and wait until it is gone."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
            if self._log_file and not (self._config.vllm.log_file or self._restarts) and self._supervisor.cancelled():
                self._log_file.unlink()  # nothing went wrong that anyone might want to read about
        await self._endpoint.close()

    @property
    def retries(self) -> Counter[str]:
        return self._endpoint.retries

    def facts(self) -> dict[str, str]:
        """Those of the endpoint engine, the server's arguments, and each reason for which it was started again."""
        facts = self._endpoint.facts()
        if self._supervisor:
            facts["vllm_arguments"] = shlex.join(serve_arguments(self._config))
        if self._restarts:
            facts |= {"vllm_restarts": str(len(self._restarts)), "vllm_restart_reasons": "; ".join(self._restarts)}
        return facts

    async def _asked(self, ask: Callable[[EndpointEngine], Awaitable[T]], name: str = "") -> T:
        """What the server answers, asked again where it died meanwhile. Raises _Deadly where it always does."""
        while True:
            deaths = self._deaths[name] if name else 0
            if deaths >= FATAL_DEATHS:
                raise _Deadly
            async with self._alone if deaths >= SUSPECT_DEATHS else nullcontext():
                await self._server()
                task = asyncio.ensure_future(ask(self._endpoint))
                self._under_way[task] = name
                try:
                    return await task
                except asyncio.CancelledError:
                    caller = asyncio.current_task()
                    if task in self._under_way or caller is None or caller.cancelling():
                        raise  # it was not `_interrupt`
                finally:
                    self._under_way.pop(task, None)

    async def _server(self) -> None:
        """Wait for the server, the first time by starting it. Raises what ended it for good."""
        if self._supervisor is None:
            self._serving = asyncio.get_running_loop().create_future()
            self._supervisor = asyncio.create_task(self._supervise())
            self._supervisor.add_done_callback(self._over)
        await asyncio.shield(self._serving)

    async def _supervise(self) -> None:
        """Keep a server running. Raises ContractError where only a person can help, TransientError at last."""
        while True:
            ended = await self._serve()
            self._crashes += 1
            if self._crashes > self._config.vllm.max_restarts:
                raise TransientError(
                    f"engine vllm: its server died {self._crashes} times, at last of: {ended.line}; "
                    f"the log, {self._log_file}, ends with:\n{ended.tail}"
                )
            self._restarts.append(ended.line)
            wait = min(LONGEST_BACKOFF, BACKOFF_SECONDS * 2 ** (self._crashes - 1))
            log.warning("vllm: the server died (%s); starting it again in %.0f s", ended.line, wait)
            await asyncio.sleep(wait)

    async def _serve(self) -> Ending:
        """One life of a server: why it ended. Raises ContractError where another one would end the same way."""
        if not self._config.vllm.port and not (self._port and is_free(self._port)):
            await self._endpoint.close()
            self._port = free_port()
            self._endpoint = self._endpoint_here()
        if self._log_file is None:
            with tempfile.NamedTemporaryFile(prefix="vllm-", suffix=".log", delete=False) as made:
                self._log_file = Path(made.name)
        server = Server(self._config, self._port, self._log_file)
        log.info("vllm: starting %s on port %d, log in %s", self._config.model, self._port, self._log_file)
        began = time.monotonic()
        try:
            server.launch()
            if ended := await server.ready():
                if ended.fix and not self._has_served:
                    raise ContractError(f"engine vllm: {ended.line}; {ended.fix} (log: {self._log_file})")
                return ended
            ready = time.monotonic()
            log.info("vllm: %s is ready after %.0f s", self._config.model, ready - began)
            self._has_served = True
            self._serving.set_result(None)
            ended = await server.end()
            if time.monotonic() - ready > FORGIVING_SECONDS:
                self._crashes = 0
            self._serving = asyncio.get_running_loop().create_future()
            self._interrupt()
            return ended
        finally:
            await server.stop()

    def _interrupt(self) -> None:
        """Take back what is under way: whoever asked will ask again."""
        while self._under_way:
            task, name = self._under_way.popitem()
            self._deaths[name] += 1
            task.cancel()

    def _over(self, supervisor: asyncio.Task[None]) -> None:
        """No server comes any more: tell those who wait for one."""
        if self._serving.done():
            self._serving = self._serving.get_loop().create_future()
        error = None if supervisor.cancelled() else supervisor.exception()
        self._serving.set_exception(error or TransientError("engine vllm: closed while requests were under way"))
        self._serving.exception()  # seen, also where nobody waits
        self._interrupt()

    def _endpoint_here(self) -> EndpointEngine:
        return EndpointEngine(self._config.model_copy(update={"url": f"http://{HOST}:{self._port}/v1"}))


class _Deadly(Exception):
    """A request that kills the server."""
