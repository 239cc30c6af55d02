"""The sentence_transformers engine: embeddings in this process (extra `embeddings`). It answers no prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig
from megascience_ops.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_MODEL = "BAAI/bge-large-en-v1.5"


class SentenceEngine:
    """Embeds with a sentence-transformers model, by name or folder; loaded when the first text comes."""

    def __init__(self, config: EngineConfig) -> None:
        self._model, self._revision = config.model or DEFAULT_MODEL, config.revision
        self._loaded: Any = None

    @property
    def identity(self) -> Mapping[str, str]:
        return {"kind": "sentence_transformers", "model": self._model, "revision": self._revision or ""}

    @property
    def retries(self) -> Mapping[str, int]:
        return {}

    async def complete(self, request: Request, row: str) -> Completion:
        raise ContractError(
            f"engine sentence_transformers only embeds: give the stage that asks {request.prompt} another engine"
        )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._loaded is None:
            self._loaded = self._load()
        vectors: NDArray[np.float32] = self._loaded.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ContractError(
                "engine sentence_transformers is not installed: pip install 'megascience-ops[embeddings]'"
            ) from error
        return SentenceTransformer(self._model, revision=self._revision)

    def facts(self) -> dict[str, str]:
        """Nothing beyond its identity."""
        return {}

    async def close(self) -> None:
        """Nothing to give back."""
