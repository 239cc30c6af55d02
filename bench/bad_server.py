"""How long a run takes against a server that does everything wrong: python bench/bad_server.py [SEED].

2,000 rows are judged and the process is killed five times on the way, once with a good server and once with the bad one
of tests/servers; both take up to 50 ms for an answer. The bad one makes its client wait: by Retry-After, and by
connections that stall until they time out. The run should end within twice the time of the good one and those waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("MEGASCIENCE_LONG", "1")

from tests.servers.test_bad_server import KILLS, ROWS, TIMEOUT, BadServer, played

REST = {"429 with seconds": 0.2, "429 with a date": 1.0}  # seconds that the client is to leave it in peace


class Good(BadServer):
    """The same server on its best behaviour."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lasting, self.long = {}, set()

    def trouble(self, row: str) -> None:
        """None."""


class Timed(BadServer):
    """The bad server, which also notes when it was to be left in peace, and when it let somebody wait."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.rests: list[tuple[float, float]] = []
        self.stalls: list[tuple[float, float]] = []

    def trouble(self, row: str) -> str | None:
        now, how = time.monotonic(), super().trouble(row)
        if how in REST:
            self.rests.append((now, now + REST[how]))
        if how == "stall":
            self.stalls.append((now, now + TIMEOUT))
        return how


def seconds(server: BadServer) -> float:
    """Wall time of the run with its five kills."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        asyncio.run(played(server, Path(folder)))
        return time.monotonic() - began


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds that lie in at least one of the spans."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    good, bad = Good(seed), Timed(seed)
    alone, with_faults = seconds(good), seconds(bad)
    rests, waits = covered(bad.rests), covered(bad.rests + bad.stalls)
    print(f"{ROWS} rows, {KILLS} kills, {sum(bad.done.values())} troubles; asked again: {len(bad.asked_again)}")
    print(f"good server {alone:.1f} s, bad server {with_faults:.1f} s")
    print(f"less {rests:.1f} s of rest that it asked for: {(with_faults - rests) / alone:.2f} times the good one")
    print(f"less {waits:.1f} s with the stalls: {(with_faults - waits) / alone:.2f}")


if __name__ == "__main__":
    main()
