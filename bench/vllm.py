"""The river against a real vLLM: python bench/vllm.py [ROWS] [MODEL | WIDTHxLAYERS].

1. Speed: `refine_qa` through the runner and the vllm engine, against vLLM's own `LLM.chat` on the same messages. Each
   has its processes to itself, and they take turns; neither's start and warm-up count.
2. Prefix cache: eight rows share a document; how much of what they share the server need not compute again, in the
   order in which rows flow and shuffled, with a cache that holds a part of the documents.
3. Killed when half is answered: how many answers are paid for twice.

Every answer is as long as it may be, so both sides decode the same tokens. MODEL is a name or a folder; otherwise one
with random weights is made, as wide and deep as is said. vLLM's Python is $MEGASCIENCE_VLLM_PYTHON, or the one in
$MEGASCIENCE_VLLM (see tests/vllm/up.py), or this one.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from megascience_ops.batch import Batch
from megascience_ops.completions import Completion, Request
from megascience_ops.config import EngineConfig, Settings, StageConfig
from megascience_ops.engines.engine import Engine, open_engine
from megascience_ops.engines.vllm_server import free_port
from megascience_ops.prompts import prompts_folder
from megascience_ops.recipe import Recipe
from megascience_ops.rows import Pair, Source
from megascience_ops.runner import run_stage
from megascience_ops.stage import Ask, DatasetStage, Decide, Outcome, RowStage
from megascience_ops.stages.refine_qa import REFINE
from megascience_ops.stages.refine_qa import STAGE as REFINE_QA
from megascience_ops.storage import Store

ROUNDS, SHARING, WARM_UP = 2, 8, 256
BLOCK = 32  # tokens that the prefix cache keeps or forgets together; 16 is usual on a GPU
AT_ONCE = 256  # requests that the server works on; twice as many are under way, so that it never waits for us
FEW_AT_ONCE, FEW_BLOCKS = 32, 625  # in the second part: most of its documents do not fit into this cache
SOURCE = Source(book_id="0" * 16, title="A book", licence=None, section="1", page_start=1, page_end=1)
WORDS = sorted({word for file in prompts_folder().glob("*.md") for word in file.read_text().split() if word.isalpha()})

MODEL = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, set_seed
set_seed(1)
pieces = Tokenizer(models.BPE())
pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
special = ["<|end|>", "<|turn|>"]
trainer = trainers.BpeTrainer(vocab_size=6000, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
pieces.train(sys.argv[3:], trainer)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<|end|>", pad_token="<|end|>")
tokenizer.chat_template = (
    "{% for one in messages %}<|turn|>{{ one.role }}: {{ one.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)
width, layers = map(int, sys.argv[2].split("x"))
config = Qwen2Config(
    vocab_size=len(tokenizer), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
    num_attention_heads=width // 32, num_key_value_heads=width // 64, max_position_embeddings=32768,
    eos_token_id=0, pad_token_id=0, tie_word_embeddings=True,
)
Qwen2ForCausalLM(config).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""

OFFLINE = """
import json, os, sys, time
from vllm import LLM, SamplingParams
told = json.load(open(sys.argv[1]))
llm = LLM(**told["llm"])
tokenizer, sampling = llm.get_tokenizer(), SamplingParams(**told["sampling"])
warm, asked = ([[{"role": "user", "content": text}] for text in told[name]] for name in ("warm", "asked"))
llm.chat(warm, sampling, use_tqdm=False)
began, cpu = time.monotonic(), time.process_time()
answers = llm.chat(asked, sampling, use_tqdm=False)
seconds, cpu = time.monotonic() - began, time.process_time() - cpu
def ids(number): return tokenizer.encode(tokenizer.apply_chat_template(asked[number], tokenize=False))
def alike(one, other): return len(os.path.commonprefix([ids(one), ids(other)]))
instructions = alike(0, told["sharing"])
with_document = [alike(row, row + 1) for row in range(0, len(asked), told["sharing"])]
json.dump({
    "seconds": seconds, "cpu": cpu, "instructions": instructions,
    "document": sum(with_document) / len(with_document) - instructions,
    "prompt_tokens": sum(len(one.prompt_token_ids) for one in answers),
    "completion_tokens": sum(len(one.outputs[0].token_ids) for one in answers),
}, open(sys.argv[2], "w"))
"""


class Config(StageConfig):
    rows: int = 0
    first: int = 0
    shuffled: bool = False


def documents(batch: Batch, config: Config) -> Iterable[Pair]:
    for number in range(config.rows // SHARING):
        yield pair(config.first + number * SHARING)


async def look(batch: Batch, config: Config) -> Decide:
    async def decide(row: Pair) -> Outcome:
        return row

    return decide


async def pairs_of(row: Pair, ask: Ask, config: Config) -> Outcome:
    """The pairs of one document, as an extraction leaves them; shuffled, as many of any documents."""
    numbers = list(range(config.rows))
    if config.shuffled:
        random.Random(0).shuffle(numbers)
    place = int(row.id) - config.first
    return [pair(config.first + number) for number in numbers[place : place + SHARING]]


def pair(number: int) -> Pair:
    """One of a sequence that has no end: every eight share a document."""

    def words(seed: str, count: int) -> str:
        return " ".join(random.Random(seed).choices(WORDS, k=count))

    document, question, answer = words(f"d{number // SHARING}", 220), words(f"q{number}", 30), words(f"a{number}", 30)
    given = {"source": SOURCE, "subject": "physics", "standard": "high", "document": document}
    return Pair(id=f"{number:08}", question=question, answer=answer, **given)


MAKE = DatasetStage("make_documents", Pair, Pair, look, Config, source=documents)
SPLIT = RowStage("make_pairs", Pair, Pair, pairs_of, Config)
RECIPE = Recipe("bench", (MAKE, SPLIT, REFINE_QA))


def request(number: int, config: EngineConfig, engine: Engine) -> Request:
    """What `refine_qa` asks about the pair of that number."""
    one = pair(number)
    slots = {"DOCUMENT": one.document, "QUESTION": one.question, "ANSWER": one.answer}
    return REFINE.request(slots, config.sampling, engine.identity)


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


async def refine(root: Path, config: EngineConfig, engine: Engine, **given: int) -> dict[str, Any]:
    """The stage over so many rows. No answer of such a model can be read: every row ends aside, asked once."""
    asked = {"engine": config.model_dump(exclude_unset=True), "attempts": 1, "max_unread": 1}
    stages = {"make_documents": given, "make_pairs": given, "refine_qa": asked}
    settings = Settings(root=str(root), recipe="bench", stages=stages)
    for stage in (MAKE, SPLIT):
        await run_stage(Batch(settings, RECIPE, stage, Store(str(root))))
    began, cpu = time.monotonic(), time.process_time()
    receipt = await run_stage(Batch(settings, RECIPE, REFINE_QA, Store(str(root)), engine))
    assert receipt
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, **receipt.effort.usage["refine_qa"].model_dump()}


async def ours(folder: Path, config: EngineConfig, rows: int) -> dict[str, Any]:
    """Speed of the stage behind a server that is warm."""
    engine = open_engine(config)
    try:
        warm = (request(number, config, engine) for number in range(rows, rows + WARM_UP))
        await asyncio.gather(*(engine.complete(one, "row") for one in warm))
        return await refine(folder / "root", config, engine, rows=rows)
    finally:
        await engine.close()


async def cached_and_killed(folder: Path, config: EngineConfig, rows: int) -> dict[str, Any]:
    """What the server had cached, in order and shuffled; how many requests were answered twice because of a kill."""
    engine = open_engine(config)
    try:
        await engine.complete(request(10 * rows, config, engine), "row")
        found: dict[str, Any] = {"in order": await refine(folder / "in_order", config, engine, rows=rows)}
        found["shuffled"] = await refine(folder / "shuffled", config, engine, rows=rows, first=2 * rows, shuffled=True)
        endpoint = {"kind": "endpoint", "url": f"http://127.0.0.1:{config.vllm.port}/v1"}
        told = {"engine": {**config.model_dump(exclude_unset=True), **endpoint}, "rows": rows}
        (folder / "killed.json").write_text(json.dumps(told))
        noted = folder / "noted"
        noted.touch()
        for until in (rows // 2, math.inf):  # the second is not stopped
            child = await asyncio.create_subprocess_exec(sys.executable, __file__, "--noted", str(folder))
            while child.returncode is None and noted.read_text().count("\n") < until:
                await asyncio.sleep(0.05)
            if child.returncode is None:
                child.send_signal(signal.SIGKILL)
            await child.wait()
        answered = noted.read_text().split()
        assert len(set(answered)) == rows
        found["again"] = len(answered) - rows
        return found
    finally:
        await engine.close()


async def noted(folder: Path) -> None:
    """The process that is killed."""
    told = json.loads((folder / "killed.json").read_text())
    config = EngineConfig.model_validate(told["engine"])
    engine = open_engine(config)
    await refine(folder / "killed", config, Noted(engine, folder / "noted"), rows=told["rows"], first=4 * told["rows"])
    await engine.close()


def settings_of(python: str, model: Mapping[str, str], max_tokens: int, at_once: int, *args: str) -> dict[str, Any]:
    """The engine's configuration: its server has the limits of the offline engine."""
    limits = ["--max-num-seqs", str(at_once), "--max-num-batched-tokens", "4096", "--block-size", str(BLOCK)]
    server = {
        "command": [python, "-W", "ignore", "-m", "vllm.entrypoints.openai.api_server", "--model"],
        "max_model_len": 8192,
        "dtype": model["dtype"],
        "port": free_port(),
        "tuning_args": [*limits, "--enforce-eager", *args],
    }
    sampling = {"temperature": 0.0, "max_tokens": max_tokens, "ignore_eos": True}
    return {"kind": "vllm", "model": model["name"], "sampling": sampling, "concurrency": 2 * at_once, "vllm": server}


def child(folder: Path, *command: str) -> None:
    """Run a process to its end, away from this folder, whose `vllm.py` is not vLLM."""
    environment = {"VLLM_CPU_KVCACHE_SPACE": "4", "VLLM_NO_USAGE_STATS": "1", **os.environ}
    with (folder / "said.log").open("w+") as said:
        if subprocess.run(command, cwd=folder, stdout=said, stderr=said, env=environment).returncode:
            said.seek(0)
            sys.exit(f"{command[0]} failed:\n{said.read()[-3000:]}")


def in_child(mode: str, folder: Path, config: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The result of `ours` or `cached_and_killed` in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        (Path(own) / "told.json").write_text(json.dumps({"config": config, "rows": rows}))
        child(folder, sys.executable, str(Path(__file__).absolute()), mode, own)
        return dict(json.loads((Path(own) / "found.json").read_text()))


def offline(folder: Path, python: str, config: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """`LLM.chat` on the messages of the stage."""
    checked = EngineConfig.model_validate(config)
    engine = open_engine(checked)
    texts = [request(number, checked, engine).parts[0] for number in range(rows + WARM_UP)]
    llm = {
        "model": config["model"],
        "dtype": config["vllm"]["dtype"],
        "enforce_eager": True,
        "max_model_len": 8192,
        "max_num_seqs": AT_ONCE,
        "max_num_batched_tokens": 4096,
        "block_size": BLOCK,
    }
    told = {"llm": llm, "sampling": config["sampling"], "sharing": SHARING, "asked": texts[:rows], "warm": texts[rows:]}
    (folder / "asked.json").write_text(json.dumps(told))
    child(folder, python, "-W", "ignore", "-c", OFFLINE, "asked.json", "answered.json")
    return dict(json.loads((folder / "answered.json").read_text()))


def vllm_python() -> str | None:
    """A Python that has vLLM."""
    kit = Path(os.environ.get("MEGASCIENCE_VLLM", "")) / "environment" / "bin" / "python"
    look = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('vllm.entrypoints'))"
    for python in (os.environ.get("MEGASCIENCE_VLLM_PYTHON"), str(kit.absolute()), sys.executable):
        if python and Path(python).exists():
            with tempfile.TemporaryDirectory() as elsewhere:  # this folder's `vllm.py` is not vLLM
                looked = subprocess.run([python, "-c", look], cwd=elsewhere, capture_output=True)
            if not looked.returncode:
                return python
    return None


def line(name: str, rows: int, found: Mapping[str, Any]) -> None:
    seconds, decoded = found["seconds"], found["completion_tokens"]
    print(
        f"{name:<10} {seconds:6.1f} s {rows / seconds:8.1f} requests/s {decoded / seconds:9,.0f} tokens decoded/s "
        f"{(decoded + found['prompt_tokens']) / seconds:10,.0f} tokens/s, {found['cpu']:.1f} CPU s of its process",
        flush=True,
    )


def main(rows: int, model: str) -> None:
    if not (python := vllm_python()):
        print("bench/vllm.py: skipped, no vLLM here: name a Python that has it in $MEGASCIENCE_VLLM_PYTHON")
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        folder, made = Path(temporary), {"name": model, "dtype": "auto"}
        if model.replace("x", "", 1).isdigit():
            texts = map(str, prompts_folder().absolute().glob("*.md"))
            child(folder, python, "-W", "ignore", "-c", MODEL, str(folder / "model"), model, *texts)
            made = {"name": str(folder / "model"), "dtype": "float32"}
        config, took = settings_of(python, made, 64, AT_ONCE), [0.0, 0.0]
        for _ in range(ROUNDS):
            sides = in_child("--ours", folder, config, rows), offline(folder, python, config, rows)
            assert sides[0]["completion_tokens"] == sides[1]["completion_tokens"] == 64 * rows
            assert sides[0]["prompt_tokens"] == sides[1]["prompt_tokens"]
            for side, name in enumerate(("the runner", "LLM.chat")):
                took[side] += sides[side]["seconds"]
                line(name, rows, sides[side])
        print(f"the runner does {took[1] / took[0]:.2f} times the requests of LLM.chat\n")
        few = settings_of(python, made, 8, FEW_AT_ONCE, "--num-gpu-blocks-override", str(FEW_BLOCKS))
        cached = in_child("--cached", folder, few, rows)
        first, document = sides[1]["instructions"], sides[1]["document"]
        shared, holds = document * (rows - rows // SHARING), FEW_BLOCKS * BLOCK
        print(f"instructions {first} tokens; {rows // SHARING} documents of {document:.0f}; the cache holds {holds:,}")
        for order in ("in order", "shuffled"):
            found = cached[order]["cached_tokens"]
            print(
                f"{order}: cached {(found - rows * first) / shared:.0%} of the document tokens that rows share, "
                f"{found / (shared + rows * first):.0%} with the instructions; {cached[order]['seconds']:.1f} s"
            )
        print(f"killed at half: {cached['again']} of {rows} answers paid for twice, one flush interval is 256")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--noted"]:
        asyncio.run(noted(Path(sys.argv[2])))
    elif sys.argv[1:2] in (["--ours"], ["--cached"]):
        place = Path(sys.argv[2])
        told = json.loads((place / "told.json").read_text())
        work = ours if sys.argv[1] == "--ours" else cached_and_killed
        result = asyncio.run(work(place, EngineConfig.model_validate(told["config"]), told["rows"]))
        (place / "found.json").write_text(json.dumps(result))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2000, sys.argv[2] if sys.argv[2:] else "192x4")
