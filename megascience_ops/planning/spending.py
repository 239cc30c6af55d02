"""What was spent: on one call, or on a stage that is done."""

from __future__ import annotations

from collections.abc import Mapping

from megascience_ops import tables
from megascience_ops.batch import Batch
from megascience_ops.books.tokens import count_tokens
from megascience_ops.completions import Completion, Request
from megascience_ops.planning.assuming import PAGE_IMAGE
from megascience_ops.planning.costing import Cost
from megascience_ops.receipts import Receipt, Usage


def spent(request: Request, completion: Completion, words: Mapping[str, int]) -> Cost:
    """One call; where the server states no tokens they are counted, and the prompt's own words taken for cached."""
    prompt, cached = completion.prompt_tokens, completion.cached_tokens
    if not prompt:
        prompt = sum(count_tokens(part) if isinstance(part, str) else PAGE_IMAGE for part in request.parts)
        cached = min(prompt, words.get(request.prompt, 0))
    said = completion.completion_tokens or count_tokens(completion.text)
    return Cost("", 0, 1, prompt, cached, said)


def receipt_cost(batch: Batch, receipt: Receipt) -> Cost | None:
    """What a stage that is done took; None where its engine stated no tokens. What was replayed counts as well."""
    model = receipt.engine.get("model")
    cost = Cost(receipt.stage, receipt.total("rows_in"), source="receipt", model=model)
    for name, used in receipt.effort.usage.items():
        known = used if used.requests else _kept_usage(batch, name)
        if not known.prompt_tokens or not known.requests:
            return None
        calls = used.requests + used.replayed
        tokens = Cost("", 0, known.requests, known.prompt_tokens, known.cached_tokens, known.completion_tokens)
        cost += tokens.scaled(calls / known.requests)
    return cost


def _kept_usage(batch: Batch, prompt: str) -> Usage:
    """What all kept completions of a prompt took together."""
    usage, folder = Usage(), f"{batch.folder()}/completions"
    for name in batch.store.names(folder):
        for one in tables.decode(Completion, batch.store.get(f"{folder}/{name}")):
            if one.prompt == prompt:
                tokens = {count: getattr(one, count) for count in Usage.model_fields if count.endswith("_tokens")}
                usage += Usage(requests=1, **tokens)
    return usage
