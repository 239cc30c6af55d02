"""What tests of every ring use: the river on a root of its own, and the model that is played by a script."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from megascience_ops import receipts, recipes, tables
from megascience_ops.completions import Completion, Request
from megascience_ops.config import Settings
from megascience_ops.engines.engine import Engine
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe, recipe
from megascience_ops.rows import AsideRow, Row
from megascience_ops.run import run
from megascience_ops.runner import WHOLE, Lane
from megascience_ops.storage import Store
from tests.tools import TOOLS, tool

REPOSITORY = Path(__file__).parents[1]
RIVER = Path(__file__).parent / "river"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell starts in the background, and all that starts
    signal.signal(signal.SIGINT, signal.default_int_handler)

Answers = Mapping[str, list[dict[str, Any]]]


def answering(answers: Answers, others: Answers | None = None) -> Callable[[Request], str | Completion]:
    """A script that finds its answer by what is asked about; `others` are looked at first."""

    def says(request: Request) -> str | Completion:
        slots = request.slots
        about = next(slots[name] for name in ("QUESTION", "DOCUMENT", "EXCERPT") if name in slots)
        for line in [*(others or {}).get(request.prompt, []), *answers.get(request.prompt, [])]:
            if line.get("about", "") in str(about) and line.get("with", "") in str(slots.get("CANDIDATE", "")):
                said = line["says"]
                if isinstance(said, list):
                    return str(said[min(request.sampling.get("seed", 0), len(said) - 1)])
                return str(said)
        raise AssertionError(f"the script has no answer to {request.prompt} about {about!r}")

    return says


@dataclass
class River:
    """A recipe over a landing zone, into a root of its own."""

    root: str
    textbooks: str
    engine: ScriptedEngine | None
    batch: str = "first"
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def with_(self, **changes: Any) -> River:
        """The same river but for these fields."""
        return replace(self, **changes)

    @property
    def settings(self) -> Settings:
        return Settings(root=self.root, batch=self.batch, textbooks=self.textbooks, stages=self.stages)

    @property
    def recipe(self) -> Recipe:
        return recipe("textbook_reasoning")

    @property
    def store(self) -> Store:
        return Store(self.root)

    async def stage(
        self, name: str, lane: Lane = WHOLE, *, recompute: bool = False, engine: Engine | None = None
    ) -> Receipt | None:
        """Bring one stage up to date."""
        return await run(self.settings, name, lane, recompute=recompute, engine=engine or self.engine)

    def flow(self, to: str = "publish", *, recompute: bool = False) -> dict[str, Receipt]:
        """Bring every stage up to date, as far as `to`."""

        async def all_stages() -> dict[str, Receipt]:
            found = {}
            names = self.recipe.names
            for name in names[: names.index(to) + 1]:
                receipt = await self.stage(name, recompute=recompute)
                assert receipt is not None
                found[name] = receipt
            return found

        return asyncio.run(all_stages())

    def receipt(self, stage: str) -> Receipt:
        """The current receipt of a stage."""
        receipt = receipts.current(self.store, self.folder(stage))
        assert receipt is not None
        return receipt

    def folder(self, stage: str) -> str:
        """Where a stage of this batch lies."""
        return f"textbook_reasoning/batch={self.batch}/{stage}"

    def rows(self, stage: str) -> list[Any]:
        """All rows of a stage, by id."""
        model: type[Row] = self.recipe.stage(stage).writes
        parts = self.receipt(stage).parts
        rows = [row for part in parts for row in tables.decode(model, self.store.get(part.path))]
        return sorted(rows, key=lambda row: row.id)

    def asides(self, stage: str) -> list[AsideRow]:
        """All asides of a stage, by id."""
        paths = [part.aside_path for part in self.receipt(stage).parts if part.aside_path]
        rows = [row for path in paths for row in tables.decode(AsideRow, self.store.get(path))]
        return sorted(rows, key=lambda row: row.id)

    def reasons(self, stage: str) -> dict[str, str]:
        """Why each aside is aside."""
        return {aside.id: aside.reason for aside in self.asides(stage)}

    def completions(self, stage: str) -> list[Completion]:
        """Every completion that is kept for a stage, segment by segment."""
        folder = f"{self.folder(stage)}/completions"
        contents = [self.store.get(f"{folder}/{name}") for name in self.store.names(folder)]
        return [completion for content in contents for completion in tables.decode(Completion, content)]

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Every object below a folder of the root, with its content."""
        return {entry.path: self.store.get(entry.path) for entry in self.store.entries(prefix)}


@dataclass(frozen=True)
class RealS3:
    """A real S3 server. `variables`: how it is reached; `folder`: where a Ceph that is ours to harm keeps its state."""

    variables: dict[str, str]
    folder: Path | None

    def admin(self, *arguments: str) -> None:
        """What only the owner of a Ceph may do."""
        who = [f"--conf={self.folder}/ceph.conf", "--name=client.admin", f"--keyring={self.folder}/keyring"]
        subprocess.run(["radosgw-admin", *who, *arguments], check=True, capture_output=True, timeout=120)

    def kill(self, daemon: str) -> None:
        """End one of its processes as the kernel does when memory runs out."""
        os.kill(int((Path(str(self.folder)) / "run" / f"{daemon}.pid").read_text()), signal.SIGKILL)

    def restart(self) -> None:
        """Start what is not running."""
        tool("s3/ceph_restart.sh", str(self.folder))


@pytest.fixture(scope="session")
def real_s3() -> Iterator[RealS3]:
    """The server of $AWS_ENDPOINT_URL if $MEGASCIENCE_S3 is set, or a Ceph by the scripts in $MEGASCIENCE_TOOLS."""
    if os.environ.get("MEGASCIENCE_S3"):
        yield RealS3({name: value for name, value in os.environ.items() if name.startswith("AWS_")}, None)
        return
    if not TOOLS or os.getuid() != 0:
        pytest.skip("needs an S3 server ($MEGASCIENCE_S3, $AWS_ENDPOINT_URL), or $MEGASCIENCE_TOOLS as root")
    folder = Path(tempfile.mkdtemp(prefix="ms-s3-", dir="/tmp"))  # a short path: sockets have one too
    try:
        said = tool("s3/ceph_up.sh", str(folder), os.environ.get("MEGASCIENCE_S3_PORT", "7480"))
        yield RealS3(dict(line.split("=", 1) for line in said.splitlines() if line.startswith("AWS_")), folder)
    finally:
        tool("s3/ceph_down.sh", str(folder))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def answers() -> Answers:
    """What the scripted model says, as data."""
    loaded: Answers = yaml.safe_load((RIVER / "answers.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def scripted(answers: Answers) -> Callable[..., ScriptedEngine]:
    """Makes an engine that gives these answers before those of the file."""
    return lambda others=None: ScriptedEngine(answering(answers, others))


@pytest.fixture
def new_river(scripted: Callable[..., ScriptedEngine]) -> Callable[..., River]:
    """Makes a river over the five small books that has not run: its benchmarks, and a scripted model."""

    def make(root: Path, *, benchmarks: bool = True, **fields: Any) -> River:
        if benchmarks:
            shutil.copytree(RIVER / "benchmarks", root / "benchmarks")
        return River(str(root), str(RIVER / "textbooks"), scripted(), **fields)

    return make


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, answers: Answers) -> Path:
    """A root on which the whole recipe has run once; tests get copies."""
    root = tmp_path_factory.mktemp("finished") / "root"
    shutil.copytree(RIVER / "benchmarks", root / "benchmarks")
    River(str(root), str(RIVER / "textbooks"), ScriptedEngine(answering(answers))).flow()
    return root


@pytest.fixture
def finished_river(_finished: Path, tmp_path: Path, scripted: Callable[..., ScriptedEngine]) -> River:
    """A river on which the whole recipe has run once; its engine has not been asked anything since."""
    shutil.copytree(_finished, tmp_path / "root")
    return River(str(tmp_path / "root"), str(RIVER / "textbooks"), scripted())


@pytest.fixture
def change_stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces fields of a stage of the recipe."""

    def change(name: str, **fields: Any) -> None:
        flow = recipes.RECIPES["textbook_reasoning"]
        stages = tuple(replace(one, **fields) if one.name == name else one for one in flow.stages)
        monkeypatch.setitem(recipes.RECIPES, flow.name, Recipe(flow.name, stages))

    return change


@pytest.fixture
def cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line as a person would, in a process of its own."""

    def call(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "megascience_ops", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return call
