"""What is asked of an engine, and what it said: a request with its digest, and a completion.

A completion is paid for once. It is kept by the digest of its request, so a crash, a re-run, a mended parser or a
stage redone replays it instead of asking again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from megascience_ops.rows import Row


@dataclass(frozen=True)
class Image:
    """An image in a slot. It is sent as such to a vision model, and its sha256 is part of the request's digest."""

    data: bytes
    media_type: str = "image/png"

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


Slot = str | Image
Sampling = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One prompt put to an engine. `parts` is the rendered message: text and images in order.

    `model` is the engine's identity (its kind, model and revision): together with `parts` and `sampling` it makes the
    digest. `slots` are for engines that answer by rule rather than by reading.
    """

    prompt: str
    parts: tuple[Slot, ...]
    slots: Mapping[str, Slot]
    sampling: Sampling
    model: Mapping[str, str]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        said = [p if isinstance(p, str) else {"image": p.sha256} for p in self.parts]
        canonical = json.dumps(
            {"model": dict(self.model), "message": said, "sampling": dict(self.sampling)}, sort_keys=True
        )
        object.__setattr__(self, "digest", hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32])


FinishReason = Literal["stop", "length", "declined", "refused", "too_long", "failed"]

ANSWERED = ("stop", "length", "declined")  # kept for good; the others cost nothing, and another day may answer


class Completion(Row):
    """What an engine said to one request. `id` is the request's digest.

    `finish_reason`: `stop` a whole answer; `length` cut by max_tokens; `declined` the engine has no honest answer and
    `text` says why; `refused` the server would not answer this prompt; `too_long` the prompt exceeds the context;
    `failed` the server failed at this prompt, though it answered others.
    Token counts are the server's own (0 where it states none). `row` is the row that asked first.
    """

    row: str
    prompt: str
    text: str
    finish_reason: FinishReason
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
