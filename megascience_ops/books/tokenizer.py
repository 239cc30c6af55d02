"""The tokenizer of a model: from its tokenizer.json, or asked of the vLLM server that serves it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from megascience_ops.books.tokens import Count, estimated
from megascience_ops.errors import ContractError, TransientError

ASKED_AT_ONCE = 16
SECONDS = 60


@cache
def counter(tokenizer: str | None) -> Count:
    """What counts tokens. `tokenizer`: a tokenizer.json or the folder of one, a server's address, or None to estimate.

    Raises ContractError where there is none, or no library to read it.
    """
    if tokenizer is None:
        return estimated
    return _served(tokenizer) if tokenizer.startswith(("http://", "https://")) else _from_file(Path(tokenizer))


def _from_file(path: Path) -> Count:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ContractError(f"chunk_books.tokenizer: there is no {file}; name a model's tokenizer.json or its folder")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ContractError(
            "chunk_books.tokenizer: reading it needs tokenizers: pip install 'megascience-ops[tokenizer]'"
        ) from None
    try:
        model = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ContractError(f"chunk_books.tokenizer: {file} is no tokenizer.json: {error}") from error
    model.no_truncation()
    model.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(encoded.ids) for encoded in model.encode_batch_fast(list(texts), add_special_tokens=False)]

    return count


def _served(url: str) -> Count:
    """vLLM's own route, which stands beside /v1."""
    import urllib.error
    import urllib.request

    address = url.rstrip("/").removesuffix("/v1") + "/tokenize"
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"

    def one(text: str) -> int:
        body = json.dumps({"prompt": text, "add_special_tokens": False}).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=SECONDS) as answer:
                number: int = json.load(answer)["count"]
        except urllib.error.HTTPError as error:
            if error.code in (429, 500, 502, 503, 504):
                raise TransientError(f"{address}: HTTP {error.code}") from error
            raise ContractError(
                f"chunk_books.tokenizer: {address} answers HTTP {error.code}; name a vLLM server, or a tokenizer.json"
            ) from error
        except OSError as error:
            raise TransientError(f"{address}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(f"chunk_books.tokenizer: {address} counts no tokens; is it vLLM?") from error
        return number

    def count(texts: Sequence[str]) -> list[int]:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
            return list(threads.map(one, texts))

    return count
