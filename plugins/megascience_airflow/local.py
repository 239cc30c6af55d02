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

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from megascience_ops.errors import EXIT_CONTRACT, EXIT_NOTHING_NEW, EXIT_TRANSIENT
from megascience_ops.receipts import XCOM_BYTES

GRACE_SECONDS = 3.0  # Airflow follows SIGTERM with SIGKILL after five
SHELL_SIGNAL = 128  # a shell or a container reports death by signal n as 128 + n

_LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)", re.DOTALL)
_ERROR = "error: "
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

        Raises AirflowFailException where a person has to act, AirflowException where trying again may help, and
        AirflowSkipException where nothing is new.
        Whatever ends it, no process of the command is left.
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
            self._raise_for(code, stage)
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
            elif line.startswith((_ERROR, _TRACEBACK)):
                level = logging.ERROR
            self._tell(line)
            self._log.log(level, "%s", line)  # a line that names no level belongs to the one before
            self._last = line or self._last

    def _raise_for(self, code: int, stage: str) -> None:
        """The exception that Airflow's retries are decided by: the stage's own last line, where it has one."""
        if code == 0:
            return
        if code == EXIT_NOTHING_NEW:
            raise AirflowSkipException(self._last)
        self._log.error("%s ended with exit code %d", stage, code)
        said = self._last.removeprefix(_ERROR)
        if code == EXIT_CONTRACT:
            raise AirflowFailException(said or f"{stage} ended with exit code {code}")
        if code == EXIT_TRANSIENT:
            raise AirflowException(said or f"{stage} ended with exit code {code}")
        if code < 0 or code > SHELL_SIGNAL:
            raise AirflowException(f"{stage} was ended by {_signal_name(-code if code < 0 else code - SHELL_SIGNAL)}")
        raise AirflowFailException(f"{stage} crashed with exit code {code}: {said or 'and said nothing'}")


def summary(stdout: str, stage: str) -> dict[str, Any]:
    """The receipt's summary in the last line of a stage's output. Raises AirflowFailException on anything else."""
    last = (stdout.rstrip().splitlines() or [""])[-1]
    if len(last.encode()) > XCOM_BYTES:
        raise AirflowFailException(f"{stage} reported {len(last.encode())} bytes: an XCom holds at most {XCOM_BYTES}")
    try:
        said = json.loads(last)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("stage") != stage or not said.get("receipt"):
        raise AirflowFailException(f"{stage} ended well, but its last line is no receipt summary: {last[:200]!r}")
    return said


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (often: out of memory)" if number == signal.SIGKILL else name
