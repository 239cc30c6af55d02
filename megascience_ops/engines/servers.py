"""The servers of one engine: who gets the next request, who is left in peace, and when it is hopeless.

Two budgets. Patience is the servers': that long nothing may be answered at all. Tries are a request's own: it loses
one where the server goes on answering others, and is given up when it has none left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from yarl import URL

from megascience_ops.engines.http import Connections
from megascience_ops.engines.pressure import backoff
from megascience_ops.engines.server import Server
from megascience_ops.engines.trouble import Blame, GaveUp, Trouble
from megascience_ops.errors import TransientError

T = TypeVar("T")

log = logging.getLogger(__name__)

TRIES = 4  # of a request's own, before it is given up
DOUBTS = 3  # tries, before the server is asked for one token to see whose trouble it is
PROBE_SECONDS = 60.0


class Servers:
    """Several servers of the same model, with at most `concurrency` requests under way over all of them."""

    def __init__(self, urls: Sequence[URL], connections: Connections, concurrency: int, patience: float) -> None:
        self._servers = [Server(url, connections, concurrency, self._hand_out) for url in urls]
        self._connections = connections
        self._free, self._patience = concurrency, patience
        self._queue: deque[asyncio.Future[Server]] = deque()
        self._heard = time.monotonic()
        self.retries: Counter[str] = Counter()

    async def post(self, path: str, body: bytes, read: Callable[[int, bytes], T], probe: bytes) -> T:
        """What `read` makes of status and body of an answer; it raises Trouble where that is none.

        `probe` is a body that any healthy server answers. Raises GaveUp when the request has used up its tries,
        TransientError when no server has answered anything for as long as patience lasts.
        """
        tries = _Tries()
        while True:
            server = await self._next()
            sent, answers = time.monotonic(), server.pressure.answers
            try:
                status, said = await self._connections.post(server.at(path), body)
                answer = read(status, said)
                self._answered(server)
                return answer
            except Trouble as error:
                trouble = error
                self._troubled(server, trouble, sent)
                if tries.in_doubt(server, trouble, answers) and await self._probe(server, path, probe):
                    tries.used += 1
            finally:
                self._give_back(server)
            if tries.used >= TRIES:
                raise GaveUp(f"{trouble}, at the last of {TRIES} tries")
            wait = backoff(tries.made - 1) if trouble.blame in (Blame.EITHER, Blame.REQUEST) else 0.0
            self._check_patience(tries.began, wait)
            await asyncio.sleep(wait)

    def facts(self) -> dict[str, str]:
        """What the servers say of themselves, where they do; different values side by side."""
        names = sorted({name for server in self._servers for name in server.facts})
        return {name: ", ".join(sorted({s.facts[name] for s in self._servers if name in s.facts})) for name in names}

    async def close(self) -> None:
        """Stop looking at the servers, and hang up."""
        for server in self._servers:
            await server.unwatch()
        await self._connections.close()

    async def _next(self) -> Server:
        """The server with the most room, when it is our turn and there is one with any."""
        if not self._queue and (server := self._take()):
            return server
        turn: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._hand_out()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self._give_back(turn.result())
            raise

    def _take(self) -> Server | None:
        server = self._servers[0] if len(self._servers) == 1 else max(self._servers, key=lambda one: one.pressure.free)
        if self._free < 1 or server.pressure.free <= 0:
            return None
        self._free -= 1
        server.pressure.under_way += 1
        server.watched()
        return server

    def _give_back(self, server: Server) -> None:
        self._free += 1
        server.pressure.under_way -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        """Give those who wait what room there is, first come, first served."""
        while self._queue:
            if self._queue[0].done():  # whoever waited was cancelled
                self._queue.popleft()
            elif server := self._take():
                self._queue.popleft().set_result(server)
            else:
                return

    def _answered(self, server: Server) -> None:
        if server.trouble and server.pressure.dead:
            log.info("%s: answers again", server.url)
        server.pressure.answered()
        server.trouble = ""
        self._heard = time.monotonic()

    def _troubled(self, server: Server, trouble: Trouble, sent: float) -> None:
        self.retries[trouble.cause] += 1
        rested = server.pressure.opens
        server.pressure.troubled(trouble, sent)
        server.trouble = str(trouble)
        if trouble.blame is Blame.REQUEST:
            self._heard = time.monotonic()
        if server.pressure.opens > rested:
            rest = max(0.0, server.pressure.opens - time.monotonic())
            asyncio.get_running_loop().call_later(min(rest, self._patience) + 0.001, self._rested, server)
            log.log(logging.WARNING if rest > 2 else logging.DEBUG, "%s: %s; waiting %.0f s", server.url, trouble, rest)

    def _rested(self, server: Server) -> None:
        """A rest is over, or patience is: nobody is left waiting whom no other answer would wake."""
        self._hand_out()
        rest = server.pressure.opens - time.monotonic()
        if self._queue and rest > 0:
            with suppress(TransientError):  # it is told to those who wait
                self._check_patience(self._heard, 0.0)
            if self._queue:
                asyncio.get_running_loop().call_later(min(rest, self._patience) + 0.001, self._rested, server)

    def _check_patience(self, began: float, wait: float) -> None:
        """Raises TransientError, here and in all who wait, where no next try comes before patience ends."""
        now = time.monotonic()
        again = max(now + wait, min(server.pressure.opens for server in self._servers))
        if again - max(began, self._heard) <= self._patience:
            return
        told = "; ".join(f"{server.url}: {server.trouble or 'no answer'}" for server in self._servers)
        error = f"{told}; nothing was answered for {self._patience:g} s"
        while self._queue:
            if not (turn := self._queue.popleft()).done():
                turn.set_exception(TransientError(error))
        raise TransientError(error)

    async def _probe(self, server: Server, path: str, body: bytes) -> bool:
        """Does the server answer anything? One of those in doubt asks it, and the others wait for what it finds."""
        doubted, answers = time.monotonic(), server.pressure.answers
        async with server.doubt:
            if server.pressure.answers == answers and server.probed < doubted:
                server.probed = time.monotonic()
                try:
                    status, _ = await self._connections.post(server.at(path), body, PROBE_SECONDS)
                except Trouble as trouble:
                    log.debug("%s: in doubt, and %s", server.url, trouble)
                else:
                    if status == 200:
                        self._answered(server)
            return server.pressure.answers > answers


class _Tries:
    """What has been tried for one request, and how many of its tries it has used up."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.made = self.used = 0
        self._seen: dict[Server, int] = {}

    def in_doubt(self, server: Server, trouble: Trouble, answers: int) -> bool:
        """Count a trouble where it is the request's, and say whether it is worth a probe to find out whose it is.

        `answers` is how many the server had given when this was sent: others got theirs if there are more now.
        """
        if trouble.blame not in (Blame.EITHER, Blame.REQUEST):
            return False
        self.made += 1
        others = server.pressure.answers > self._seen.get(server, answers)
        self._seen[server] = server.pressure.answers
        if others or trouble.blame is Blame.REQUEST:
            self.used += 1
            return False
        return trouble.slow or self.made >= DOUBTS
