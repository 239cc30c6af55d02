"""The scripted engine: says what a test, or a YAML file, tells it to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from megascience_ops.completions import Completion, Request
from megascience_ops.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Script = Callable[[Request], str | Completion]


class ScriptedEngine:
    """Answers each request with what `script` returns for it; a text is a whole answer. `asked` keeps the digests."""

    def __init__(self, script: Script, name: str = "script") -> None:
        self._script = script
        self.identity: Mapping[str, str] = {"kind": "scripted", "model": name}
        self.retries: Mapping[str, int] = {}
        self.asked: list[str] = []

    @classmethod
    def from_file(cls, path: str | None) -> ScriptedEngine:
        """A script as YAML: by prompt, a list of {contains, says}; the first whose text is in the message answers."""
        if not path or not Path(path).is_file():
            raise ContractError(f"engine scripted: no script at {path}; set engine.script to a YAML file")
        script: dict[str, list[dict[str, str]]] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))

        def says(request: Request) -> str | Completion:
            message = "".join(part for part in request.parts if isinstance(part, str))
            for line in script.get(request.prompt, []):
                if line.get("contains", "") in message:
                    return line["says"]
            raise ContractError(f"{path}: nothing to say to {request.prompt}: add a line that matches")

        return cls(says, Path(path).stem)

    async def complete(self, request: Request, row: str) -> Completion:
        self.asked.append(request.digest)
        said = self._script(request)
        if isinstance(said, Completion):
            return said
        return Completion(
            id=request.digest,
            row=row,
            prompt=request.prompt,
            text=said,
            finish_reason="stop",
            model=self.identity["model"],
            completion_tokens=len(said.split()),
        )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        from megascience_ops.contamination.vectors import lexical_vectors

        return lexical_vectors(texts)

    def facts(self) -> dict[str, str]:
        """Nothing beyond its identity."""
        return {}

    async def close(self) -> None:
        """Nothing to give back."""
