"""A root on which storage, or a person, has changed files: every command says in a line what is wrong, or goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from megascience_ops.cli import main

if TYPE_CHECKING:
    from tests.conftest import River

WHERE = ["--batch", "first"]
COMMANDS: dict[str, list[str]] = {
    "funnel": WHERE,
    "report": WHERE,
    "sample": WHERE,
    "diff refine_qa": WHERE,
    "show BOOK": WHERE,
    "try judge_cot": [*WHERE, "--limit", "2"],
    "reparse judge_cot": WHERE,
    "undo filter_qa": WHERE,
    "check": [],
    "takedown BOOK": [],
    "run": [*WHERE, "--textbooks", "ZONE"],
}
HARMS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda content, dice: b"",
    "cut": lambda content, dice: content[: dice.randrange(1 + len(content))],
    "noise": lambda content, dice: dice.randbytes(200),
    "null": lambda content, dice: b"null",
    "list": lambda content, dice: b"[1, {}]",
    "flip": lambda content, dice: bytes(byte ^ (dice.random() < 0.01) for byte in content),
}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_root_is_named_in_a_line_by_every_command(
    seed: int, finished_river: River, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(seed)
    book = finished_river.rows("publish")[0].book_id
    sound = finished_river.objects()
    for command, rest in COMMANDS.items():
        harmed = dice.sample(sorted(sound), 1 + len(sound) // 20)
        harms = {path: dice.choice(list(HARMS)) for path in harmed}
        for path, harm in harms.items():
            finished_river.store.put(path, HARMS[harm](sound[path], dice))
        arguments = [book if word == "BOOK" else word for word in command.split()]
        more = [finished_river.textbooks if word == "ZONE" else word for word in rest]
        try:
            code = main([*arguments, "--root", finished_river.root, *more])
        except BaseException as error:
            raise AssertionError(f"{command} after {harms}") from error
        assert code in (0, 65, 75), (command, harms)
        last = capsys.readouterr().err.strip().splitlines()[-1:]
        assert not code or last[0].startswith("error: "), (command, harms, last)
        for path in finished_river.objects():
            if path not in sound:
                finished_river.store.delete(path)
        for path in sound:
            finished_river.store.put(path, sound[path])
