"""One run of `vllm serve`: launched, waited for, watched, and gone for certain in the end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from megascience_ops.config import EngineConfig
from megascience_ops.engines.http import key_from
from megascience_ops.engines.vllm_log import Ending, ending
from megascience_ops.errors import ContractError, TransientError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOOK_SECONDS = 0.25  # between two looks at the process
HEALTH_SECONDS = 5.0  # between two looks at a server that serves
HUNG_SECONDS = 300.0  # without an answer to /health: a busy one is slow, not that slow
SAY_SECONDS = 60.0  # between two lines about a start that takes its time
GRACE_SECONDS = 15.0  # from SIGTERM to SIGKILL; a pod has 30
KILL_SECONDS = 30.0  # for the kernel to take back what SIGKILL ends
LOG_BYTES = 200_000  # of the log's end are read


class Server:
    """A server of the configured model on `port`; what it says is appended to `log_file`."""

    def __init__(self, config: EngineConfig, port: int, log_file: Path) -> None:
        self.port = port
        self._config, self._log_file = config, log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def launch(self) -> None:
        """Start the process. Raises ContractError where there is no such command, or the port is taken."""
        if not is_free(self.port):
            raise ContractError(f"engine vllm: port {self.port} is taken; leave engine.vllm.port at 0 for a free one")
        keeper = [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py"))]
        command = [*keeper, str(os.getpid()), str(GRACE_SECONDS), *serve_command(self._config, self.port)]
        environment = {"VLLM_NO_USAGE_STATS": "1", **os.environ}
        environment.pop("VLLM_API_KEY", None)  # it would lock us out; only this machine can reach the server
        try:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            out = self._log_file.open("ab")
        except OSError as error:
            raise ContractError(f"engine vllm: {error}; set engine.vllm.log_file to one that can be written") from error
        with out:
            self._log_start = out.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )

    async def ready(self) -> Ending | None:
        """Wait until it serves the model (None), or has ended.

        Raises ContractError where it serves another model, TransientError where it takes longer than is allowed.
        """
        began = said = time.monotonic()
        async with self._session() as session:
            while (ended := self._ended()) is None:
                if await self._health(session) == 200:
                    await self._check_model(session)
                    return self._ended()  # else somebody else's server has answered
                now = time.monotonic()
                if now - began > self._config.vllm.start_timeout_seconds:
                    raise TransientError(
                        f"engine vllm: not ready after {now - began:.0f} s (engine.vllm.start_timeout_seconds); "
                        f"its log ends with:\n{self._ending(0).tail}"
                    )
                if now - said > SAY_SECONDS:
                    said = now
                    last = self._ending(0).tail.rpartition("\n")[2]
                    log.info("vllm: %s has been starting for %.0f s: %s", self._config.model, now - began, last)
                await asyncio.sleep(LOOK_SECONDS)
        return ended

    async def end(self) -> Ending:
        """Wait until it has ended, or no longer answers."""
        asked = answered = time.monotonic()
        async with self._session() as session:
            while (ended := self._ended()) is None:
                await asyncio.sleep(LOOK_SECONDS)
                if time.monotonic() - asked < HEALTH_SECONDS:
                    continue
                status = await self._health(session)
                asked = time.monotonic()
                if status == 503:  # so says a server whose engine has died
                    return Ending("the engine in the server has died", None, self._ending(0).tail)
                if status:
                    answered = asked
                elif asked - answered > HUNG_SECONDS:
                    silent = f"no answer to /health for {asked - answered:.0f} s"
                    return Ending(silent, None, self._ending(0).tail)
        return ended

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left of it after a while; when this returns, it is gone.

        Only a process that the kernel itself cannot end is left to its keeper, with a warning.
        """
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # to the keeper, who sees to the rest
        until = time.monotonic() + GRACE_SECONDS + KILL_SECONDS
        while self._process.poll() is None:
            if time.monotonic() > until:
                log.warning("vllm: the server on port %d does not end", self.port)
                return
            await asyncio.sleep(LOOK_SECONDS / 5)

    def _ended(self) -> Ending | None:
        assert self._process is not None
        code = self._process.poll()
        return None if code is None else self._ending(code)

    def _ending(self, code: int) -> Ending:
        with self._log_file.open("rb") as written:
            size = written.seek(0, os.SEEK_END)
            written.seek(max(self._log_start, size - LOG_BYTES))
            return ending(written.read().decode("utf-8", "replace"), code if code >= 0 else 128 - code)

    def _session(self) -> aiohttp.ClientSession:
        key = key_from(self._config.key_env)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30))

    async def _health(self, session: aiohttp.ClientSession) -> int:
        """The status of /health, 0 where nobody answers."""
        try:
            async with session.get(f"http://{HOST}:{self.port}/health") as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return 0

    async def _check_model(self, session: aiohttp.ClientSession) -> None:
        url = f"http://{HOST}:{self.port}/v1/models"
        try:
            async with session.get(url) as response:
                if response.status in (401, 403):
                    raise ContractError(f"engine vllm: its server wants a key: put it into ${self._config.key_env}")
                served = [one["id"] for one in (await response.json(content_type=None))["data"]]
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError, KeyError, TypeError):
            served = []
        if self._config.model not in served and self._ended() is None:
            raise ContractError(
                f"engine vllm: {url} serves {', '.join(served) or 'no model'}, not {self._config.model}; "
                "take --served-model-name out of engine.vllm.extra_args"
            )


def serve_command(config: EngineConfig, port: int) -> list[str]:
    """The command line that serves the configured model. Raises ContractError where the command cannot be found."""
    name, *rest = config.vllm.command
    beside = str(Path(sys.executable).parent)  # a virtual environment need not be activated
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        raise ContractError(
            f"engine vllm: no command {name} here: pip install 'megascience-ops[gpu]', or set engine.vllm.command"
        )
    model, *others = serve_arguments(config)
    return [found, *rest, model, "--host", HOST, "--port", str(port), *others]  # of two, the last is what counts


def serve_arguments(config: EngineConfig) -> list[str]:
    """What the server is told of the model: all of its arguments but where it listens."""
    server, model = config.vllm, str(config.model)
    arguments = [model, "--served-model-name", model]
    arguments += ["--disable-uvicorn-access-log"]  # a line a request
    arguments += ["--enable-prompt-tokens-details"]  # or it would not say how much of a prompt it remembered
    options = {
        "--revision": config.revision,
        "--quantization": server.quantization,
        "--dtype": server.dtype,
        "--max-model-len": server.max_model_len,
        "--gpu-memory-utilization": server.gpu_memory_utilization,
        "--tensor-parallel-size": server.tensor_parallel if server.tensor_parallel > 1 else None,
        "--pipeline-parallel-size": server.pipeline_parallel if server.pipeline_parallel > 1 else None,
        "--data-parallel-size": server.data_parallel if server.data_parallel > 1 else None,
        "--runner": server.runner if server.runner != "auto" else None,
    }
    for option, value in options.items():
        if value is not None:
            arguments += [option, str(value)]
    return [*arguments, *server.extra_args, *server.tuning_args]


def free_port() -> int:
    """A free port below those that the system hands out itself, so that none is taken from under a slow start."""
    for port in random.sample(range(20000, 32000), 200):
        if is_free(port):
            return port
    raise TransientError("engine vllm: no free port between 20000 and 32000")


def is_free(port: int) -> bool:
    """Could a server listen there now?"""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True
