"""What an engine is, and which one a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """Answers requests. One row's trouble comes back as a completion that says so, never as an exception.

    `identity`: kind, model, revision: what bears on the answers. Raises TransientError when the server is gone for
    longer than the configured patience, ContractError when a person has to act (wrong key, unknown model).
    """

    @property
    def identity(self) -> Mapping[str, str]: ...

    async def complete(self, request: Request, row: str) -> Completion:
        """What the engine says to one request of the row with this id."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector of length 1 for each text, shape (len(texts), dimensions)."""
        ...

    @property
    def retries(self) -> Mapping[str, int]:
        """Tries that came to nothing so far, by cause."""
        ...

    def facts(self) -> dict[str, str]:
        """What a receipt may want to know of who answered, such as the server's version; it bears no identity."""
        ...

    async def close(self) -> None:
        """Give back connections and processes."""
        ...


def open_engine(config: EngineConfig) -> Engine:
    """The engine that the configuration names. Raises ContractError where it lacks something."""
    match config.kind:
        case "rules":
            from megascience_ops.engines.rules.engine import RulesEngine

            return RulesEngine()
        case "endpoint":
            from megascience_ops.engines.endpoint import EndpointEngine

            return EndpointEngine(config)
        case "vllm":
            from megascience_ops.engines.vllm import VllmEngine

            return VllmEngine(config)
        case "sentence_transformers":
            from megascience_ops.engines.sentences import SentenceEngine

            return SentenceEngine(config)
        case "scripted":
            from megascience_ops.engines.scripted import ScriptedEngine

            return ScriptedEngine.from_file(config.script)
