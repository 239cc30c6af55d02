"""The endpoint engine: any OpenAI-compatible server, by URL and key.

Two budgets of patience: a server that is down, full or slow is waited for (`patience_seconds` without a single
answer), and does not use up a request's own attempts; a request that the server itself refuses is that row's trouble
and comes back as a completion that says so.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp

from megascience_ops.completions import Completion, FinishReason, Image, Request
from megascience_ops.config import EngineConfig
from megascience_ops.errors import ContractError, TransientError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
MALFORMED_ATTEMPTS = 4  # answers that are no chat completion, before the row is told so
LONGEST_WAIT = 60.0
EMBED_BATCH = 128
_TOO_LONG = ("context length", "context_length", "maximum context", "max_model_len", "too long", "too many tokens")


class EndpointEngine:
    """Answers with the model of a server. One connection pool; at most `concurrency` requests under way."""

    def __init__(self, config: EngineConfig) -> None:
        if not config.url:
            raise ContractError("engine endpoint: no server named; set --url, such as http://127.0.0.1:8000/v1")
        if not config.model:
            raise ContractError("engine endpoint: no model named; set --model to one that the server serves")
        self._config = config
        self._model = config.model
        self._url = config.url.rstrip("/")
        self._slots = asyncio.Semaphore(config.concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._last_answer = time.monotonic()

    @property
    def identity(self) -> Mapping[str, str]:
        """The URL is not part of it: the same model behind another address gives the same answers."""
        return {"kind": "endpoint", "model": self._model, "revision": self._config.revision or ""}

    async def complete(self, request: Request, row: str) -> Completion:
        body = {"model": self._model, "messages": [{"role": "user", "content": _content(request)}], **request.sampling}

        def completion(text: str, finish_reason: FinishReason, usage: Mapping[str, Any]) -> Completion:
            return Completion(
                id=request.digest,
                row=row,
                prompt=request.prompt,
                text=text.encode("utf-8", "replace").decode("utf-8"),
                finish_reason=finish_reason,
                model=self._model,
                prompt_tokens=usage.get("prompt_tokens") or 0,
                cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
                completion_tokens=usage.get("completion_tokens") or 0,
            )

        for attempt in range(MALFORMED_ATTEMPTS):
            status, said = await self._post("/chat/completions", body)
            if status != 200:
                text = _message(said)
                too_long = any(sign in text.lower() for sign in _TOO_LONG) or status == 413
                return completion(f"HTTP {status}: {text}", "too_long" if too_long else "refused", {})
            try:
                choice = said["choices"][0]
                text, finish_reason = choice["message"]["content"], choice["finish_reason"]
                usage = said.get("usage") or {}
                if isinstance(text, str):
                    whole: dict[str, FinishReason] = {"length": "length", "content_filter": "refused"}
                    return completion(text, whole.get(finish_reason, "stop"), usage)
            except (KeyError, IndexError, TypeError, AttributeError):
                pass  # not a chat completion: asked again, like an empty one
            await asyncio.sleep(_backoff(attempt))
        return completion("the server gave no answer in the form of a chat completion", "refused", {})

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        async def some(start: int) -> list[list[float]]:
            body = {"model": self._model, "input": list(texts[start : start + EMBED_BATCH])}
            status, said = await self._post("/embeddings", body)
            if status != 200:
                raise ContractError(
                    f"{self._url}/embeddings: HTTP {status}: {_message(said)}; is it an embedding model?"
                )
            try:
                return [one["embedding"] for one in sorted(said["data"], key=lambda one: one["index"])]
            except (KeyError, TypeError) as error:
                raise TransientError(f"{self._url}/embeddings: not a list of embeddings") from error

        batches = await asyncio.gather(*(some(start) for start in range(0, len(texts), EMBED_BATCH)))
        vectors = np.array([vector for batch in batches for vector in batch], dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        found: NDArray[np.float32] = (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)
        return found

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def _post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and JSON of an answer that is one; waits for a server that is down or full.

        Raises TransientError after `patience_seconds` in which the server answered nothing, ContractError when the
        key or the model is wrong.
        """
        async with self._slots:
            began = time.monotonic()
            attempt = 0
            while True:
                wait = _backoff(attempt)
                attempt += 1
                try:
                    async with self._connected().post(self._url + path, json=body) as response:
                        if response.status not in BUSY:
                            said = await response.json(content_type=None)
                            self._last_answer = time.monotonic()
                            self._refuse(response.status, said)
                            return response.status, said
                        trouble = f"HTTP {response.status}"
                        wait = max(wait, _retry_after(response.headers.get("Retry-After")))
                except (aiohttp.ClientError, TimeoutError, ValueError, ConnectionError) as error:
                    trouble = str(error) or type(error).__name__
                if time.monotonic() + wait - max(began, self._last_answer) > self._config.patience_seconds:
                    raise TransientError(f"{self._url}: {trouble} for {self._config.patience_seconds:.0f} s")
                if attempt in (1, 4) or attempt % 10 == 0:
                    log.warning("%s: %s; waiting %.0f s", self._url, trouble, wait)
                await asyncio.sleep(wait)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            key = os.environ.get(self._config.key_env)
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=aiohttp.ClientTimeout(total=self._config.timeout_seconds),
                connector=aiohttp.TCPConnector(limit=self._config.concurrency),
            )
        return self._session

    def _refuse(self, status: int, said: Any) -> None:
        if status in (401, 403):
            raise ContractError(
                f"{self._url}: HTTP {status}, the server does not accept the key; put one into ${self._config.key_env}"
            )
        if status == 404:
            raise ContractError(
                f"{self._url}: HTTP 404: {_message(said)}; check the URL and that it serves {self._model}"
            )


def _content(request: Request) -> str | list[dict[str, Any]]:
    """The message in the API's form: plain text, or text and images in order."""
    if len(request.parts) == 1 and isinstance(request.parts[0], str):
        return request.parts[0]
    return [_image(part) if isinstance(part, Image) else {"type": "text", "text": part} for part in request.parts]


def _image(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}


def _message(said: Any) -> str:
    """What the server says went wrong, in one line."""
    error = said.get("error", said) if isinstance(said, dict) else said
    text = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(text).split())[:300]


def _backoff(attempt: int) -> float:
    """Seconds before the next try: doubling, with jitter so that many do not come back at once."""
    return float(min(LONGEST_WAIT, 0.5 * 2**attempt) * random.uniform(0.7, 1.3))  # noqa: S311


def _retry_after(header: str | None) -> float:
    """Seconds that the server asks us to wait; a date is not worth parsing for a minute's difference."""
    try:
        return min(float(header or 0), 10 * LONGEST_WAIT)
    except ValueError:
        return 0.0
