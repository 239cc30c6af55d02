"""How much one server can take: a limit that finds itself, and a rest for a server that is full or down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from megascience_ops.engines.trouble import Blame, Trouble

START = 32  # requests under way before anything is known of a server
CUT = 0.8  # what is left of the limit when the server says that it is too much
GROWTH = 0.1  # after a cut: by this share of the limit, or by 1, for each limit's worth of answers
DEAD_AFTER = 3  # troubles in a row without an answer, after which one request at a time tries it
FIRST_REST, LONGEST_REST = 0.5, 60.0


class Pressure:
    """What is under way at one server, how much may be, and since when it is to be left in peace.

    The limit doubles with each round of answers until the server refuses or a queue shows, is cut by a fifth then,
    and grows slowly from there. Where the server tells how many requests wait in it, that decides as well: while
    nobody waits the limit doubles with each look, a few waiting hold it, what is more than a few is taken off it.
    """

    def __init__(self, ceiling: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.under_way = 0
        self.answers = 0
        self.opens = 0.0  # when the rest ends, on `clock`
        self._clock = clock
        self._ceiling, self._limit = ceiling, float(min(ceiling, START))
        self._quick, self._enough_wait = True, False
        self._failures = self._refusals = 0
        self._waited = self._answers_then = 0.0  # at the last look
        self._troubled = 0.0

    @property
    def limit(self) -> int:
        """How many requests may be under way."""
        return 1 if self.dead else max(1, int(self._limit))

    @property
    def dead(self) -> bool:
        """Has it failed so often in a row that single requests have to try it?"""
        return self._failures >= DEAD_AFTER

    @property
    def free(self) -> float:
        """The share of its limit that is free, 0 while it rests."""
        if self.opens > self._clock():
            return 0.0
        limit = self.limit
        return (limit - self.under_way) / limit

    def answered(self) -> None:
        """It answered one of the requests under way."""
        self.answers += 1
        self._failures = self._refusals = 0
        if self._limit < self._ceiling and self.under_way >= self.limit and not self._enough_wait:
            step = 1.0 if self._quick else max(1 / self._limit, GROWTH)
            self._limit = min(float(self._ceiling), self._limit + step)

    def troubled(self, trouble: Trouble, sent: float) -> None:
        """One of the requests under way, sent at that time, came to nothing."""
        now = self._clock()
        full = trouble.blame is Blame.FULL
        if trouble.retry_after:
            self.opens = max(self.opens, now + trouble.retry_after)
        elif full and self.under_way <= 1:  # no other answer will tell when there is room again
            self._refusals += 1
            self.opens = max(self.opens, now + backoff(self._refusals - 1))
        if sent < self._troubled or trouble.blame is Blame.REQUEST:
            return  # of many sent at once the first says it all
        self._troubled = now
        if full or trouble.slow:
            self._limit, self._quick = max(1.0, min(self._limit, self.under_way) * CUT), False
        if not full:
            self._failures = max(DEAD_AFTER, self._failures + 1) if trouble.blame is Blame.DOWN else self._failures + 1
            if self.dead:
                self.opens = max(self.opens, now + backoff(self._failures - DEAD_AFTER))

    def queue(self, waiting: float, running: float) -> None:
        """The server has told how many requests wait in it and how many it works on, ours and others'.

        A queue holds the limit; only one that stands for two looks is taken off it, since a single look may catch a
        burst that is gone in a moment. It may be as long as what was answered since the last look: answers of one
        length end together, and what waits is all that the server has to do until we have answered back.
        """
        few = max(4.0, running / 8, min(running, self.answers - self._answers_then))
        stands, self._waited, self._answers_then = min(waiting, self._waited), waiting, self.answers
        self._enough_wait = waiting >= few / 2
        if stands > few:
            ours = min(1.0, self.under_way / (stands + running))
            self._limit = max(1.0, min(self._limit, self.under_way - ours * (stands - few)))
            self._waited = few  # what is left of it
        elif self._quick and not waiting and self.under_way >= self.limit:
            self._limit = min(float(self._ceiling), 2 * self._limit)
        self._quick = not waiting


def backoff(tries: int) -> float:
    """Seconds before the next try: doubling, with jitter so that many do not come back at once."""
    return float(min(LONGEST_REST, FIRST_REST * 2 ** min(tries, 10)) * random.uniform(0.7, 1.3))  # noqa: S311
