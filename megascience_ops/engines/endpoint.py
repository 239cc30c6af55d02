"""The endpoint engine: any OpenAI-compatible server, or several of the same model, by URL and key.

What the servers cannot do now is waited for; what they cannot do at all ends the stage with a line for a person; what
is the trouble of one request comes back as a completion that says so.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from megascience_ops.completions import Completion, Image, Request
from megascience_ops.config import EngineConfig
from megascience_ops.engines.answers import Said, chat, embeddings, refusal, token_counts
from megascience_ops.engines.http import Connections, address, key_from, parsed
from megascience_ops.engines.servers import Servers
from megascience_ops.engines.trouble import GaveUp
from megascience_ops.errors import ContractError, TransientError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBED_BATCH = 128
OURS = frozenset(("model", "messages", "stream"))  # of a request's keys, those that no sampling may set


class EndpointEngine:
    """Answers with the model of one server or several. At most `concurrency` requests are under way.

    `retries` counts the tries that came to nothing, by cause: connection, timeout, HTTP 429, malformed and so on.
    """

    def __init__(self, config: EngineConfig) -> None:
        if not config.url:
            raise ContractError("engine endpoint: no server named; set --url, such as http://127.0.0.1:8000/v1")
        if not config.model:
            raise ContractError("engine endpoint: no model named; set --model to one that the server serves")
        self._config = config
        self._model = config.model
        self._known_as = {None, self._model, config.served_as}
        connections = Connections(key_from(config.key_env), config.timeout_seconds)
        urls = [address(url) for url in config.url.split(",")]
        self._servers = Servers(urls, connections, config.concurrency, config.patience_seconds)
        self._probe = _encoded({**self._asking([{"role": "user", "content": "1"}]), "max_tokens": 1})

    @property
    def identity(self) -> Mapping[str, str]:
        """Neither the URL nor who runs the server is part of it: the same model gives the same answers."""
        return {"kind": "model", "model": self._model, "revision": self._config.revision or ""}

    @property
    def retries(self) -> Counter[str]:
        return self._servers.retries

    def facts(self) -> dict[str, str]:
        """What the receipt may want to know of who answered, as far as the servers tell: complete once all are used."""
        return {"model": self._model, **self._servers.facts()}

    async def complete(self, request: Request, row: str) -> Completion:
        sampling = request.sampling
        if not OURS.isdisjoint(sampling) or sampling.get("n", 1) != 1:
            raise ContractError(f"{request.prompt}: sampling cannot set {', '.join(sorted(OURS))}, nor n beyond 1")
        body = _encoded({**self._asking([{"role": "user", "content": _content(request)}]), **sampling})

        def read(status: int, answer: bytes) -> Said:
            if status == 200:
                said = chat(answer)
                self._check_name(said.model)
                return said
            self._check_refusal(status, answer, request)
            return refusal(status, answer)

        try:
            said = await self._servers.post("chat/completions", body, read, self._probe)
        except GaveUp as error:
            said = Said(str(error), "failed")
        return Completion(
            id=request.digest,
            row=row,
            prompt=request.prompt,
            text=said.text if said.text.isascii() else said.text.encode("utf-8", "replace").decode("utf-8"),
            finish_reason=said.finish_reason,
            model=self._model,
            **token_counts(said.usage),
        )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        asking = {
            "model": self._model,
            "encoding_format": "base64",
        }  # a fifteenth of the time to read; lists are read too
        probe = _encoded({**asking, "input": ["1"]})

        async def some(batch: list[str]) -> list[NDArray[np.float32]]:
            def read(status: int, answer: bytes) -> list[NDArray[np.float32]]:
                if status != 200:
                    self._check_refusal(status, answer, None)
                    raise ContractError(f"{refusal(status, answer).text}; is {self._model} an embedding model?")
                vectors, model = embeddings(answer, len(batch))
                self._check_name(model)
                return vectors

            try:
                return await self._servers.post("embeddings", _encoded({**asking, "input": batch}), read, probe)
            except GaveUp as error:
                raise TransientError(f"{self._config.url}: no embeddings: {error}") from error

        batches = (list(texts[start : start + EMBED_BATCH]) for start in range(0, len(texts), EMBED_BATCH))
        vectors = np.array([vector for batch in await asyncio.gather(*map(some, batches)) for vector in batch])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        found: NDArray[np.float32] = (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._servers.close()

    def _asking(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        return {"model": self._model, "messages": messages}

    def _check_name(self, name: str | None) -> None:
        """Raises ContractError where another model answers; a dated release of the one asked for is the same."""
        if name in self._known_as:
            return
        assert name is not None
        asked, answers = (one.rpartition("/")[2].lower() for one in (self._model, name))
        stem = asked.removesuffix("latest")
        if not answers.startswith(stem) or answers.removeprefix(stem).strip("0123456789-@"):
            raise ContractError(
                f"{self._config.url}: {name} answers where {self._model} was asked; set --model to the right one, or "
                f"engine.served_as={name} if it is the same"
            )
        self._known_as.add(name)

    def _check_refusal(self, status: int, body: bytes, request: Request | None) -> None:
        """Raises ContractError where the server would refuse every request, for a person to mend."""
        said = refusal(status, body)
        where = f"{self._config.url}: {said.text}"
        if status in (401, 403):
            raise ContractError(f"{where}; the server does not accept the key: put one into ${self._config.key_env}")
        if status in (402, 407):
            raise ContractError(f"{where}; somebody has to pay or sign in first")
        if status in (404, 405):
            raise ContractError(f"{where}; does it serve {self._model}, and does the address end as /v1 does?")
        limit, wanted = self._servers.facts().get("max_model_len", ""), request and request.sampling.get("max_tokens")
        if said.finish_reason == "too_long" and isinstance(wanted, int) and limit.isdigit() and wanted >= int(limit):
            raise ContractError(
                f"{where}; no prompt fits beside max_tokens {wanted}: set engine.sampling.max_tokens lower, or serve "
                "the model with a longer context"
            )
        said_so = parsed(body)
        error = said_so.get("error") if isinstance(said_so, dict) else None
        if isinstance(error, dict) and error.get("code") in ("unsupported_parameter", "unknown_parameter"):
            raise ContractError(f"{where}; change engine.sampling")


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _content(request: Request) -> str | list[dict[str, Any]]:
    if len(request.parts) == 1 and isinstance(request.parts[0], str):
        return request.parts[0]
    return [_image(part) if isinstance(part, Image) else {"type": "text", "text": part} for part in request.parts]


def _image(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}
