"""A model with random weights, and the vLLM that serves it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from megascience_ops.engines.vllm_server import free_port
from megascience_ops.prompts import prompts_folder

BLOCK = 32  # tokens that the prefix cache keeps or forgets together; 16 is usual on a GPU

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


def prepared(folder: Path, model: str, max_tokens: int, at_once: int, *args: str) -> tuple[str, dict[str, Any]]:
    """vLLM's Python, and the configuration of an engine that serves the model, made in the folder where it has to be.

    Ends this process with one line where there is no vLLM.
    """
    if not (python := _python()):
        print(f"{sys.argv[0]}: skipped, no vLLM here: name a Python that has it in $MEGASCIENCE_VLLM_PYTHON")
        sys.exit()
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1", **os.environ}
    name, dtype = str(Path(model).absolute()) if Path(model).is_dir() else model, "auto"
    if model.replace("x", "", 1).isdigit():
        name, dtype = str(folder / "model"), "float32"
        child(python, "-W", "ignore", "-c", MODEL, name, model, *map(str, prompts_folder().absolute().glob("*.md")))
    limits = ["--max-num-seqs", str(at_once), "--max-num-batched-tokens", "4096", "--block-size", str(BLOCK)]
    server = {
        "command": [python, "-W", "ignore", "-m", "vllm.entrypoints.openai.api_server", "--model"],
        "max_model_len": 8192,
        "dtype": dtype,
        "gpu_memory_utilization": 0.4,  # an offline engine may stand beside it
        "port": free_port(),
        "tuning_args": [*limits, "--enforce-eager", *args],
    }
    sampling = {"temperature": 0.0, "max_tokens": max_tokens, "ignore_eos": True}
    return python, {"kind": "vllm", "model": name, "sampling": sampling, "concurrency": 2 * at_once, "vllm": server}


def child(*command: str) -> str:
    """What a process says that runs to its end. Ends this one where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def _python() -> str | None:
    """A Python that has vLLM."""
    kit = Path(os.environ.get("MEGASCIENCE_VLLM", "")) / "environment" / "bin" / "python"
    look = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('vllm'))"
    for python in (os.environ.get("MEGASCIENCE_VLLM_PYTHON"), str(kit.absolute()), sys.executable):
        if (
            python
            and Path(python).exists()
            and not subprocess.run([python, "-c", look], capture_output=True).returncode
        ):
            return python
    return None
