"""What can come of a request instead of an answer, and who is to blame for it."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from enum import Enum, auto


class Blame(Enum):
    """Whom a try that came to nothing counts against."""

    FULL = auto()  # the server, which has too much to do
    DOWN = auto()  # the server, which cannot be reached
    EITHER = auto()  # the request, if the server goes on answering others; else the server
    REQUEST = auto()  # the request: the server answered it, but not in the form of an answer


class Trouble(Exception):
    """A try that came to nothing. `cause` is for the tally, `detail` for people, `retry_after` in seconds.

    `slow`: the server took too long, which may be because it has too much to do.
    """

    def __init__(self, cause: str, blame: Blame, detail: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause, self.blame, self.retry_after = cause, blame, retry_after
        self.slow = cause in ("timeout", "HTTP 408", "HTTP 504")


class GaveUp(Exception):
    """A request that came to nothing too often, while the server answered others; says what happened last."""


_FULL = (409, 425, 429, 503, 529)
_EITHER = (408,)


def refuse(status: int, detail: str, retry_after: str | None) -> None:
    """Raise the trouble that an HTTP status stands for, if it is not an answer (a refusal is one)."""
    if status in _FULL:
        raise Trouble(f"HTTP {status}", Blame.FULL, detail, seconds(retry_after))
    if status >= 500 or status in _EITHER:
        raise Trouble(f"HTTP {status}", Blame.EITHER, detail, seconds(retry_after))


def seconds(retry_after: str | None) -> float:
    """What a Retry-After header asks for, in seconds from now: a number of them, or an HTTP date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0
