"""One server over HTTP: bodies out, bodies back, and every way in which that fails told as Trouble."""

from __future__ import annotations

import errno
import io
import json
import os
from typing import Any

import aiohttp
from yarl import URL

from megascience_ops.engines.trouble import Blame, Trouble, refuse
from megascience_ops.errors import ContractError

MOST_BYTES = 64 * 2**20  # of one answer; what is longer is no answer to our questions
CONNECT_SECONDS = 30.0
GLANCE_SECONDS = 10.0  # for what is not worth waiting for
KEEP_ALIVE_SECONDS = 4.0  # below the 5 of uvicorn, which vLLM runs on: it would hang up just as we speak
NO_MONEY = b"insufficient_quota"  # OpenAI's code: no waiting helps
ONE_WRITE = 2**20  # aiohttp takes longer bodies in pieces only


class Connections:
    """The open connections of one engine, over all its servers."""

    def __init__(self, key: str | None, timeout_seconds: float) -> None:
        self._headers = {"Content-Type": "application/json"}
        self._key = key.encode() if key else None
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._seconds = timeout_seconds
        self._timeout = _timeout(timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: URL, body: bytes, seconds: float | None = None) -> tuple[int, bytes]:
        """Status and body of an answer, within `seconds` or those configured.

        Raises Trouble, or ContractError where only a person can help.
        """
        try:
            timeout = _timeout(min(seconds, self._seconds)) if seconds else self._timeout
            data: bytes | io.BytesIO = body if len(body) < ONE_WRITE else io.BytesIO(body)
            async with self._opened().post(url, data=data, timeout=timeout, allow_redirects=False) as response:
                status = response.status
                if 300 <= status < 400:
                    raise ContractError(f"{url}: the server points to {response.headers.get('Location')}: name that")
                said = await _whole(response)
                if status != 200:
                    said = self._without_key(said)
                    if status == 429 and NO_MONEY in said:
                        raise ContractError(f"{url}: HTTP 429: {message(said)}")
                    refuse(status, message(said), response.headers.get("Retry-After"))
                return status, said
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, aiohttp.InvalidURL) as error:
            raise ContractError(f"{url}: {_named(error)}; mend the address or the certificate") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE):
                raise ContractError(f"{_named(error)}: lower engine.concurrency, or raise `ulimit -n`") from error
            raise Trouble("connection", Blame.DOWN, _named(error)) from error
        except TimeoutError as error:
            raise Trouble("timeout", Blame.EITHER, f"no answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Trouble("connection", Blame.EITHER, _named(error)) from error

    async def glance(self, url: URL) -> bytes | None:
        """What the server says at this address, None where it has nothing there.

        Raises OSError or aiohttp.ClientError, and Trouble where it says too much.
        """
        async with self._opened().get(url, timeout=_timeout(GLANCE_SECONDS), allow_redirects=False) as response:
            return await _whole(response) if response.status == 200 else None

    async def close(self) -> None:
        """Close them all."""
        if self._session:
            await self._session.close()
            self._session = None

    def _without_key(self, said: bytes) -> bytes:
        """What a server complains of may quote the key, and goes into logs and rows."""
        return said.replace(self._key, b"(the key)") if self._key else said

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    """For a whole exchange; a server that is there takes a connection soon, however busy it is."""
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS, seconds))


def address(url: str) -> URL:
    """A server's address as people write it. Raises ContractError where it is none."""
    found = URL(url.strip().rstrip("/"))
    if found.scheme not in ("http", "https") or not found.host:
        raise ContractError(f"engine endpoint: {url} is no address of a server; write http://127.0.0.1:8000/v1")
    if found.user or found.password:
        raise ContractError(
            f"engine endpoint: the address of {found.host} holds a name or a password; keys go elsewhere"
        )
    return found


def key_from(name: str) -> str | None:
    """The key in an environment variable."""
    return os.environ.get(name, "").strip() or None


def message(body: bytes) -> str:
    """What the server says went wrong, in one line of at most 300 characters."""
    said = parsed(body)
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    text = body[:1000].decode("utf-8", "replace") if said is None else said
    return " ".join(str(text).split())[:300]


def parsed(body: bytes) -> Any:
    """A body as JSON, None where it is not."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, within bounds; what is packed may be longer than it says."""
    length = response.content_length
    if length is not None and length <= MOST_BYTES and "Content-Encoding" not in response.headers:
        return await response.read()
    body = bytearray()
    if length is None or length <= MOST_BYTES:
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > MOST_BYTES:
                break
        else:
            return bytes(body)
    response.close()
    raise Trouble("too large", Blame.REQUEST, f"an answer of more than {MOST_BYTES >> 20} MB")


def _named(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
