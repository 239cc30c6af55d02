"""Killed at any moment, a run goes on where it stopped: the same bytes come out, and little is asked twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from megascience_ops.storage import Store

if TYPE_CHECKING:
    from tests.conftest import River

REPOSITORY = Path(__file__).parents[2]
KILLS = int(os.environ.get("MEGASCIENCE_CHAOS", "20"))  # `make test-chaos` kills more often

# Asks for sixty pairs with a small flush interval. It notes each request in a file before it answers, and at a given
# one it kills itself, as the kernel does when memory runs out: nothing gets a chance to tidy up.
ASKER = """
import asyncio, os, signal, sys
from megascience_ops.config import Settings
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.run import run

root, log, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
sent = 0

def says(request):
    global sent
    sent += 1
    with open(log, "a") as file:
        file.write(request.digest + "\\n")
    if sent == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return "Refined Question: " + request.slots["QUESTION"] + "\\nRefined Answer: It is so because it was shown."

asyncio.run(run(Settings(root=root, batch="first", stages={"refine_qa": {"flush_completions": 5}}), "refine_qa", engine=ScriptedEngine(says)))
"""


def start(river: River) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "megascience_ops", "run", "--root", river.root, "--textbooks", river.textbooks]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def kill_at(process: subprocess.Popen[str], shards: int, seconds: float) -> bool:
    """Kill it and its children so long after it has reported so many shards; False where it ended by itself."""
    reported = threading.Event()

    def read() -> None:
        left = shards
        assert process.stderr is not None
        for line in process.stderr:
            left -= ": shard " in line
            if left <= 0:
                reported.set()
        reported.set()

    reader = threading.Thread(target=read)
    reader.start()
    if shards:
        reported.wait(60)
    time.sleep(seconds)
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join()
    return killed


def test_river_killed_at_many_moments_publishes_the_same_bytes(new_river, tmp_path: Path) -> None:
    whole: River = new_river(tmp_path / "whole", batch="default")
    undisturbed = start(whole)
    undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0
    assert len(whole.rows("publish")) > 2

    moments = random.Random(20)
    rivers: list[River] = []  # a run that was too fast to be killed is done, and the next begins afresh
    ended = True
    for _ in range(KILLS):
        if ended:
            rivers.append(new_river(tmp_path / f"killed-{len(rivers)}", batch="default"))
        # Some fall into the start of Python or the reading of books, the others around the writing of shards.
        early, late = (0, moments.uniform(0.2, 0.7)), (moments.randint(1, 3), moments.uniform(0, 0.02))
        ended = not kill_at(start(rivers[-1]), *moments.choice([early, late, late]))

    assert len(rivers) < KILLS / 4  # most of them were killed
    for river in rivers:
        last = start(river)
        last.communicate(timeout=120)
        assert last.returncode == 0
        assert river.objects("datasets") == whole.objects("datasets")
        for stage in whole.recipe.names:
            assert river.receipt(stage).digest == whole.receipt(stage).digest, stage
            asked = [completion.id for completion in river.completions(stage)]
            assert len(asked) == len(set(asked)), stage


def test_killed_while_asking_asks_again_no_more_than_one_flush_interval(new_river, scripted, tmp_path: Path) -> None:
    river: River = new_river(tmp_path / "root")
    words = random.Random(7)
    vocabulary = [
        f"{a}{b}{c}" for a in ("ba", "ko", "ri", "tu") for b in ("mel", "dan", "pos") for c in ("a", "e", "o")
    ]
    pairs = [f"Question: Why {' '.join(words.sample(vocabulary, 12))}?\nAnswer: Because." for _ in range(60)]
    says = [{"about": "sodium chloride", "says": "\n\n".join(pairs)}]
    river = river.with_(engine=scripted({"extract_qa_chemistry_high": says, "extract_qa_chemistry_low": says}))
    river.flow("dedup_questions")
    (log := tmp_path / "asked").touch()

    deaths = 0
    for number in (1, 4, 7, 12, 13, 999):
        arguments = [sys.executable, "-c", ASKER, river.root, str(log), str(number)]
        ended = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, check=False, timeout=60)
        deaths += ended.returncode == -signal.SIGKILL

    asked = log.read_text().split()
    wanted = {completion.id for completion in river.completions("refine_qa")}
    assert deaths == 5
    assert wanted == set(asked)
    assert len(wanted) > 60
    assert len(asked) - len(wanted) <= deaths * 5  # a flush interval each
    assert river.receipt("refine_qa").total("rows_out") == len(wanted)
    assert Store(river.root).names(f"{river.folder('refine_qa')}/receipts") == ["000001.json"]
