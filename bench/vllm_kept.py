"""The river against a real vLLM, what is not paid twice: python bench/vllm_kept.py [ROWS] [MODEL | WIDTHxLAYERS].

Eight rows share a document: how much of what they share the server need not compute again, in the order in which rows
flow and shuffled, with a cache that holds a part of the documents. Then the stage is killed when half is answered: how
many answers are paid for twice. MODEL and vLLM's Python are named as for vllm_speed.py.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from refining.rows import SHARING, prepare, refine, request
from refining.servers import BLOCK, child, prepared

from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig
from megascience_ops.engines.engine import Engine, open_engine

MAX_TOKENS, FEW_AT_ONCE, FEW_BLOCKS = 8, 32, 625  # most of the documents do not fit into this cache

SHARED = """
import json, os, sys
from transformers import AutoTokenizer
tokenizer, texts = AutoTokenizer.from_pretrained(sys.argv[1]), json.load(open(sys.argv[2]))
said = [[{"role": "user", "content": text}] for text in texts]
ids = [tokenizer.encode(tokenizer.apply_chat_template(one, tokenize=False)) for one in said]
def alike(one, other): return len(os.path.commonprefix([ids[one], ids[other]]))
with_document = [alike(row, row + 1) for row in range(0, len(ids), 2)]
print(alike(0, 2), sum(with_document) / len(with_document))
"""


class Noted:
    """An engine that notes each answered request in a file, at once."""

    def __init__(self, engine: Engine, file: Path) -> None:
        self._engine, self._file = engine, os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def complete(self, request: Request, row: str) -> Completion:
        answer = await self._engine.complete(request, row)
        os.write(self._file, f"{request.digest}\n".encode())
        return answer


async def noted(folder: Path) -> None:
    """The process that is killed."""
    told = json.loads((folder / "killed.json").read_text())
    config = EngineConfig.model_validate(told["engine"])
    engine = open_engine(config)
    settings = await prepare(folder / "killed", config, rows=told["rows"], first=4 * told["rows"])
    await refine(settings, Noted(engine, folder / "noted"))
    await engine.close()


async def kept(folder: Path, python: str, told: dict[str, Any], rows: int) -> None:
    """What the server had cached, in order and shuffled; how many requests were answered twice because of a kill."""
    config = EngineConfig.model_validate(told)
    engine = open_engine(config)
    two_of_each = (number for first in range(0, rows, SHARING) for number in (first, first + 1))
    texts = folder / "texts.json"
    texts.write_text(json.dumps([request(number, config, engine).parts[0] for number in two_of_each]))
    counted = child(python, "-W", "ignore", "-c", SHARED, str(config.model), str(texts)).split()
    first, document = int(counted[-2]), float(counted[-1]) - float(counted[-2])
    print(f"instructions {first} tokens; {rows // SHARING} documents of {document:.0f}", end="; ")
    print(f"the cache holds {FEW_BLOCKS * BLOCK:,}")
    shared = document * (rows - rows // SHARING)
    try:
        await engine.complete(request(10 * rows, config, engine), "row")
        for order in ("in order", "shuffled"):
            given = {"rows": rows, "first": 2 * rows * (order == "shuffled"), "shuffled": order == "shuffled"}
            settings = await prepare(folder / order.replace(" ", "_"), config, **given)
            began = time.monotonic()
            cached = (await refine(settings, engine)).cached_tokens
            print(
                f"{order}: cached {(cached - rows * first) / shared:.0%} of the document tokens that rows share, "
                f"{cached / (shared + rows * first):.0%} with the instructions; {time.monotonic() - began:.1f} s",
                flush=True,
            )
        endpoint = {"kind": "endpoint", "url": f"http://127.0.0.1:{config.vllm.port}/v1"}
        (folder / "killed.json").write_text(json.dumps({"engine": {**told, **endpoint}, "rows": rows}))
        written = folder / "noted"
        written.touch()
        for until in (rows // 2, math.inf):  # the second is not stopped
            killed = await asyncio.create_subprocess_exec(sys.executable, __file__, "--noted", str(folder))
            while killed.returncode is None and written.read_text().count("\n") < until:
                await asyncio.sleep(0.05)
            if killed.returncode is None:
                killed.send_signal(signal.SIGKILL)
            await killed.wait()
        answered = written.read_text().split()
        assert len(set(answered)) == rows
        print(f"killed at half: {len(answered) - rows} of {rows} answers paid for twice, one flush interval is 256")
    finally:
        await engine.close()


def main(rows: int = 2000, model: str = "192x4") -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder, blocks = Path(temporary), ("--num-gpu-blocks-override", str(FEW_BLOCKS))
        asyncio.run(kept(folder, *prepared(folder, model, MAX_TOKENS, FEW_AT_ONCE, *blocks), rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--noted"]:
        asyncio.run(noted(Path(sys.argv[2])))
    else:
        main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
