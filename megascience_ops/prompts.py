"""Prompts are files: front matter, then plain text with <UPPER_SNAKE> slots, filled in one pass.

A slot that stands inside a document is text: only the slots of the file itself are filled. A prompt that does not
have exactly the slots its stage declares is refused at import.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from megascience_ops.completions import Completion, Request, Sampling, Slot
from megascience_ops.errors import ContractError, Declined, Unparsed
from megascience_ops.strangers import disarmed

T = TypeVar("T")

_SLOT = re.compile(r"<([A-Z][A-Z0-9_]*)>")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # forty prompts are read at every start
_KEYS = {"stage", "asks", "slots", "sampling"}


def prompts_folder() -> Path:
    """$MEGASCIENCE_PROMPTS where it is set, else the prompts that came with this package or this checkout."""
    if folder := os.environ.get("MEGASCIENCE_PROMPTS"):
        return Path(folder)
    here = Path(__file__).parent
    installed = here / "_prompts"
    return installed if installed.is_dir() else here.parent / "prompts"


@dataclass(frozen=True)
class Prompt(Generic[T]):
    """A prompt file bound to the parser of its answers."""

    name: str
    slots: tuple[str, ...]
    parse: Callable[[str], T]

    def __post_init__(self) -> None:
        declared, found = sorted(self.slots), sorted(set(_SLOT.findall(self.text)))
        for slot in declared:
            if slot not in found:
                raise ContractError(f"prompts/{self.name}.md has no <{slot}>: put the slot back")
        for slot in found:
            if slot not in declared:
                raise ContractError(f"prompts/{self.name}.md has a slot <{slot}> that nothing fills: remove it")

    @cached_property
    def _file(self) -> tuple[dict[str, Any], str]:
        path = prompts_folder() / f"{self.name}.md"
        if not path.is_file():
            raise ContractError(f"no prompt file {self.name}.md in {path.parent}")
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ContractError(f"prompts/{self.name}.md is not a text file in UTF-8") from None
        match = _FRONT_MATTER.match(content)
        if not match:
            raise ContractError(f"prompts/{self.name}.md does not begin with front matter between two lines of ---")
        try:
            front = yaml.load(match.group(1), _LOADER)
        except yaml.YAMLError as error:
            raise ContractError(f"prompts/{self.name}.md: front matter: {' '.join(str(error).split())}") from None
        if not isinstance(front, dict) or set(front) != _KEYS:
            raise ContractError(f"prompts/{self.name}.md: front matter has to have just {', '.join(sorted(_KEYS))}")
        return front, content[match.end() :].strip() + "\n"

    @property
    def text(self) -> str:
        """The words that are said, slots unfilled."""
        return self._file[1]

    @property
    def sampling(self) -> Sampling:
        """The sampling that the file asks for, by the names of the OpenAI API."""
        sampling: dict[str, Any] = self._file[0]["sampling"] or {}
        return sampling

    @property
    def digest(self) -> str:
        """Identity of the words and the sampling (16 hex digits): part of the fingerprint of every stage that asks."""
        return hashlib.sha256(f"{self.text}\n{sorted(self.sampling.items())}".encode()).hexdigest()[:16]

    def request(self, slots: Mapping[str, Slot], sampling: Sampling, model: Mapping[str, str]) -> Request:
        """The request with every slot filled, in one pass: what a slot says is text, and can neither fill another slot
        nor end its message. A missing or unknown slot is a stage's bug: KeyError.
        """
        if set(slots) != set(self.slots):
            raise KeyError(f"{self.name} has the slots {sorted(self.slots)}, not {sorted(slots)}")
        pieces = _SLOT.split(self.text)  # text, slot name, text, slot name, ..., text
        parts: list[Slot] = []
        for place, piece in enumerate(pieces):
            value = slots[piece] if place % 2 else piece
            if place % 2 and isinstance(value, str):
                value = disarmed(value)
            if isinstance(value, str) and parts and isinstance(parts[-1], str):
                parts[-1] += value
            elif value == "\n" and place and place == len(pieces) - 1:
                pass  # the line end of the file, after an image that ends it
            else:
                parts.append(value)
        return Request(self.name, tuple(parts), dict(slots), {**self.sampling, **sampling}, model)

    def read(self, completion: Completion) -> T:
        """What the parser makes of a completion. An answer that is not whole is unread before any parser sees it.

        Raises Unparsed (cut off, or not in the form asked for) or Declined (the engine or the server would not answer).
        """
        if completion.finish_reason == "length":
            raise Unparsed("truncated", f"cut off after {completion.completion_tokens} tokens")
        if completion.finish_reason != "stop":
            raise Declined(completion.finish_reason, completion.text)
        return self.parse(completion.text)


def prompt(name: str, parse: Callable[[str], T], *slots: str) -> Prompt[T]:
    """The prompt `prompts/{name}.md`, whose answers `parse` reads and whose slots are just `slots`."""
    return Prompt(name, slots, parse)
