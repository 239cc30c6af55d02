"""What tests of servers have in common: an S3 server that is well, or not."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.s3_server import DROPPED, S3, Fault

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
ERROR = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


def now_and_then(share: float, seed: int) -> Fault:
    """Of this share of requests, a server that is down, slow or hangs up; always the same ones."""
    dice = random.Random(seed)
    lock = threading.Lock()

    def fault(environ: dict[str, Any]) -> tuple[str, bytes] | None:
        with lock:
            if dice.random() >= share:
                return None
            return dice.choice([("500 Internal Server Error", ERROR), ("503 Slow Down", SLOW_DOWN), DROPPED])

    return fault


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3()
    yield server
    server.close()


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty bucket, with the environment that leads to it."""
    for name, value in _s3_server.variables.items():
        monkeypatch.setenv(name, value)
    _s3_server.empty()
    return _s3_server


@pytest.fixture
def faults() -> Callable[[float, int], Fault]:
    """Makes a server that is not well: see `now_and_then`."""
    return now_and_then
