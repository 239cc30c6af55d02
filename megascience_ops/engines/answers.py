"""What the bodies of an OpenAI-compatible server mean: a whole answer, a refusal, or nothing of the kind."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from megascience_ops.completions import FinishReason
from megascience_ops.engines.http import message, parsed
from megascience_ops.engines.trouble import Blame, Trouble
from megascience_ops.strangers import whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# How servers say that a prompt does not fit, in lower case, with HTTP 400, 413 or 422
_TOO_LONG = (
    "context length",  # vLLM, OpenAI, SGLang, LM Studio
    "context_length",  # OpenAI's code
    "context window",  # OpenAI, of the newer models
    "context size",  # llama.cpp
    "maximum model length",  # vLLM, also for images
    "max_model_len",
    "must be at least 1, got -",  # vLLM, where the prompt alone leaves no token to answer with
    "exceeds the maximum allowed length",  # SGLang, where the cache is smaller than the context
    "maximum number of tokens",
    "tokens must have less than",  # TGI
    "`inputs` must have less than",
    "`max_new_tokens` must be <=",
    "prompt is too long",
    "too many tokens",
    "string_above_max_length",  # OpenAI's code, by characters
)
_WHOLE: Mapping[Any, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",  # TGI
    "stop_sequence": "stop",  # TGI
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "repetition": "length",  # vLLM, where it cut a model short that said the same thing for ever
    "content_filter": "refused",
}


@dataclass(frozen=True)
class Said:
    """What a server said to one request, and the name of the model that it says it is."""

    text: str
    finish_reason: FinishReason
    model: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)


def refusal(status: int, body: bytes) -> Said:
    """A 4xx status as the answer that it is."""
    lower = body[:10_000].decode("utf-8", "replace").lower()
    too_long = status == 413 or (status in (400, 422) and any(sign in lower for sign in _TOO_LONG))
    return Said(f"HTTP {status}: {message(body)}", "too_long" if too_long else "refused")


def chat(body: bytes) -> Said:
    """A chat completion. Raises Trouble that says what is missing in one that is not whole."""
    said = parsed(body)
    if not isinstance(said, dict):
        raise malformed(body, "an answer that is not JSON")
    choices = said.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    spoken = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(spoken, dict):
        raise malformed(body, "an answer without a choice")
    text, reason = spoken.get("content"), choice.get("finish_reason")
    finish_reason = _WHOLE.get(reason) if isinstance(reason, str) else None
    if finish_reason is None:
        raise malformed(body, f"an answer that ended by {reason!r}")
    if not isinstance(text, str):
        if isinstance(spoken.get("refusal"), str):
            text, finish_reason = spoken["refusal"], "refused"
        elif finish_reason != "stop":
            text = ""  # cut off, or filtered, before the first word
        else:
            only = spoken.get("reasoning_content") or spoken.get("reasoning")
            raise malformed(body, "reasoning without an answer" if only else "an answer without content")
    usage = said.get("usage")
    return Said(whole(text), finish_reason, _name(said), usage if isinstance(usage, dict) else {})


def embeddings(body: bytes, expected: int) -> tuple[list[NDArray[np.float32]], str | None]:
    """As many vectors as there were texts, in their order, and the model's name. Raises Trouble."""
    import numpy as np

    def vector(given: Any) -> NDArray[np.float32]:
        if isinstance(given, str):
            return np.frombuffer(base64.b64decode(given), dtype="<f4")
        return np.asarray(given, dtype=np.float32)

    said = parsed(body)
    try:
        found = {one["index"]: vector(one["embedding"]) for one in said["data"]}
        vectors = [found[place] for place in range(expected)]
    except (KeyError, TypeError, ValueError) as error:
        raise malformed(body, f"no list of {expected} embeddings") from error
    if len({one.shape for one in vectors}) > 1 or vectors[0].ndim != 1:
        raise malformed(body, "embeddings of unequal length")
    return vectors, _name(said)


def token_counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Tokens as a completion counts them, 0 where the server states none."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    counts = {"prompt_tokens": usage.get("prompt_tokens"), "completion_tokens": usage.get("completion_tokens")}
    return {name: n if isinstance(n, int) else 0 for name, n in (*counts.items(), ("cached_tokens", cached))}


def malformed(body: bytes, what: str) -> Trouble:
    """A body that answers nothing: the request's trouble, unless it is the page of some proxy in between."""
    page = body[:100].lstrip().startswith(b"<")
    return Trouble("malformed", Blame.EITHER if page else Blame.REQUEST, f"the server gave {what}")


def _name(said: dict[str, Any]) -> str | None:
    model = said.get("model")
    return whole(model) if isinstance(model, str) and model else None
