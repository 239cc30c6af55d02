"""How the command of a stage can end, as exceptions that Airflow's retries are decided by.

By who has to act, like the exit codes: a person (never tried again), or nobody (tried again, from where it stopped).
"""

from __future__ import annotations

import signal
from datetime import timedelta

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from megascience_ops.errors import EXIT_CONTRACT, EXIT_NOTHING_NEW, EXIT_TRANSIENT

ERROR = "error: "  # begins the last line of a command that a person has to do something about

SHELL_SIGNAL = 128  # a shell or a container reports death by signal n as 128 + n


class StageRefused(AirflowFailException):
    """A person has to act, and the message says how: never tried again."""


class StageFailed(AirflowException):
    """Something failed for now."""


class StageInterrupted(AirflowException):
    """It was ended from outside: preempted, evicted, deleted, or its machine was lost."""


class StageOutOfMemory(AirflowException):
    """It was killed for the memory that it used."""


# StageRefused is never tried again; whatever is not named here, as often and as late as the task says
RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(StageInterrupted, RetryAction.RETRY, timedelta(seconds=10), reason="ended from outside; goes on"),
        RetryRule(StageOutOfMemory, RetryAction.RETRY, timedelta(seconds=30), reason="goes on from what it has"),
    ]
)


def ending(stage: str, code: int, last: str) -> AirflowException:
    """What it means that the command of a stage ended with this exit code; `last` is its own last line, or empty."""
    said = last.removeprefix(ERROR)
    if code == EXIT_NOTHING_NEW:
        return AirflowSkipException(said)
    if code == EXIT_CONTRACT:
        return StageRefused(said or f"{stage} ended with exit code {code}")
    if code == EXIT_TRANSIENT:
        return StageFailed(said or f"{stage} ended with exit code {code}")
    if code < 0 or code > SHELL_SIGNAL:
        number = -code if code < 0 else code - SHELL_SIGNAL
        if number == signal.SIGKILL:
            return StageOutOfMemory(f"{stage} was ended by SIGKILL (often: out of memory)")
        return StageInterrupted(f"{stage} was ended by {_signal_name(number)}")
    return StageRefused(f"{stage} crashed with exit code {code}: {said or 'and said nothing'}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
