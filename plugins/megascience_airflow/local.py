"""The local runtime: a stage's command as a subprocess of the worker, in a process group of its own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from megascience_airflow.endings import ERROR, ending
from megascience_ops.receipts import XCOM_BYTES

GRACE_SECONDS = 3.0  # Airflow follows SIGTERM with SIGKILL after five
SAID = ("receipt", "waiting_for", "to_compute")  # one of them is what a stage has to say

_LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)", re.DOTALL)
_TRACEBACK = "Traceback "


class LocalCommand:
    """One command that prints a receipt's summary as its last line; `stop` may be called from a signal handler.

    `tell` gets to see each line of its log.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: logging.Logger,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._command, self._env, self._log, self._tell = list(command), dict(env), log, tell
        self._process: subprocess.Popen[str] | None = None
        self._last = ""

    def run(self, stage: str) -> dict[str, Any]:
        """Run to the end and return the summary of `stage`; its log lines go to the task's log as they come.

        Raises what `endings.ending` makes of an exit code. Whatever ends it, no process of the command is left.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                process_group=0,
            )
            try:
                self._pass_on_log()
                code = self._process.wait()
            finally:
                self._end()
            if code:
                self._log.info("%s ended with exit code %d", stage, code)
                raise ending(stage, code, self._last)
            stdout.seek(0)
            return summary(stdout.read(), stage)

    def stop(self) -> None:
        """Make the command end, politely and soon after for good; returns at once, and is safe in a signal handler."""
        self._signal(signal.SIGTERM)
        insist = threading.Timer(GRACE_SECONDS, self._signal, [signal.SIGKILL])
        insist.daemon = True
        insist.start()

    def _end(self) -> None:
        """See to it that nothing of the command is left, whether it ended by itself or not."""
        process = self._process
        assert process is not None
        if process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        self._signal(signal.SIGKILL)
        process.wait()
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if process := self._process:
            with contextlib.suppress(ProcessLookupError):  # nobody of the group is left
                os.killpg(process.pid, number)

    def _pass_on_log(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        level = logging.INFO
        for line in map(str.rstrip, self._process.stderr):
            if said := _LEVEL.fullmatch(line):
                level, line = logging.getLevelNamesMapping()[said[1]], said[2]
            elif line.startswith((ERROR, _TRACEBACK)):
                level = logging.ERROR
            self._tell(line)
            self._log.log(level, "%s", line)  # a line that names no level belongs to the one before
            self._last = line or self._last


def summary(stdout: str, stage: str) -> dict[str, Any]:
    """The receipt's summary in the last line of a stage's output, or what it says is left to do for one.

    Raises AirflowFailException on anything else.
    """
    last = (stdout.rstrip().splitlines() or [""])[-1]
    if len(last.encode()) > XCOM_BYTES:
        raise AirflowFailException(f"{stage} reported {len(last.encode())} bytes: an XCom holds at most {XCOM_BYTES}")
    try:
        said = json.loads(last)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("stage") != stage or not any(map(said.get, SAID)):
        raise AirflowFailException(f"{stage} ended well, but its last line is no receipt summary: {last[:200]!r}")
    return said
