"""The commit protocol as a model: workers, zombies and crashes at any step of storage, and readers who look meanwhile.

Three toy stages stand for all. Whatever is done in whatever order, a reader sees files that are what their receipt
says, sums that hold, and rows that follow from the rows and the setting that the receipt names: a former state or the
next, never a mixture.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from megascience_ops import receipts, recipes, tables
from megascience_ops.batch import Batch
from megascience_ops.config import Settings, StageConfig
from megascience_ops.errors import ContractError, TransientError
from megascience_ops.receipts import Receipt
from megascience_ops.recipe import Recipe
from megascience_ops.rows import AsideRow, Row
from megascience_ops.runner import WHOLE, Lane, run_stage
from megascience_ops.stage import Aside, DatasetStage, Decide, Outcome, RowStage
from megascience_ops.storage import Entry, Store
from megascience_ops.upkeep.checking import check

Rows = dict[str, int]


class Number(Row):
    """A row of the toy stages. `said` differs each time it is made, as a model's answers would."""

    value: int
    said: str = ""


class Factor(StageConfig):
    """By how much `multiply` multiplies."""

    factor: int = 3


world: Rows = {}


def gathered(batch: Batch, config: Any) -> Iterable[Row]:
    return [Number(id=name, value=value) for name, value in sorted(world.items())]


async def keep_all(batch: Batch, config: Any) -> Decide:
    async def decide(row: Number) -> Outcome:
        return row

    return decide


async def multiply(row: Number, ask: Any, config: Factor) -> Outcome:
    return Aside("five") if row.value % 5 == 0 else Number(id=row.id, value=row.value * config.factor, said=uuid4().hex)


async def unlike(batch: Batch, config: Any) -> Decide:
    """Of the rows with one value, the first by id stays."""
    first: dict[int, str] = {}
    for row in sorted(batch.columns(["id", "value"]), key=lambda row: row["id"]):
        first.setdefault(row["value"], row["id"])

    async def decide(row: Number) -> Outcome:
        return row if first[row.value] == row.id else Aside("like", first[row.value])

    return decide


TOY = Recipe(
    "toy",
    (
        DatasetStage("gather", Number, Number, keep_all, source=gathered),
        RowStage("multiply", Number, Number, multiply, Factor),
        DatasetStage("unlike", Number, Number, unlike),
    ),
)


def expected(stage: str, rows: Rows, receipt: Receipt) -> tuple[Rows, set[str]]:
    """What a stage makes of the rows that come in, and the ids that go aside."""
    if stage == "multiply":
        kept = {name: value * receipt.config["factor"] for name, value in rows.items() if value % 5}
    else:
        kept = {}
        for name, value in sorted(rows.items()):
            if value not in kept.values():
                kept[name] = value
    return kept, set(rows) - set(kept)


class Killed(BaseException):
    """The process ends here: nothing that follows is done."""


class WatchedStore(Store):
    """A store that counts the steps of one worker, and does something before one of them."""

    def __init__(self, uri: str, at: int = 0, do: Callable[[], None] = lambda: None) -> None:
        super().__init__(uri)
        self._at, self._do, self.steps, self.dead = at, do, 0, False

    def _step(self) -> None:
        self.steps += 1
        if self.dead:
            raise Killed
        if self.steps == self._at:
            try:
                self._do()
            except Killed:
                self.dead = True
                raise

    def get(self, path: str) -> bytes:
        self._step()
        return super().get(path)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        self._step()
        with super().local(path) as file:
            yield file

    def size(self, path: str) -> int | None:
        self._step()
        return super().size(path)

    def put(self, path: str, content: bytes | Path) -> None:
        self._step()
        super().put(path, content)

    def create(self, path: str, content: bytes | Path) -> bool:
        self._step()
        return super().create(path, content)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        self._step()
        return super().entries(prefix)

    def delete(self, path: str) -> None:
        self._step()
        super().delete(path)


def die() -> None:
    raise Killed


STAGES = st.sampled_from(TOY.names)
STEPS = st.integers(1, 60)
LANES = st.sampled_from([WHOLE, Lane(0, 2), Lane(1, 2)])


class Protocol(RuleBasedStateMachine):
    """The root, and all rows that any receipt of it ever vouched for, by digest."""

    def __init__(self) -> None:
        super().__init__()
        world.clear()
        world.update({f"n{number}": number for number in range(6)})
        self.uri = f"memory://{uuid4().hex}"
        self.factor = 3
        self.rows_of: dict[str, Rows] = {}
        self.receipts: dict[str, bytes] = {}
        self.run("gather")

    def batch(self, stage: str, store: Store | None = None) -> Batch:
        told = Settings(root=self.uri, recipe="toy", stages={"multiply": {"factor": self.factor}})
        return Batch(told, TOY, TOY.stage(stage), store or Store(self.uri))

    def run(self, stage: str, lane: Lane = WHOLE, *, recompute: bool = False) -> Receipt | None:
        try:
            return asyncio.run(run_stage(self.batch(stage), lane, recompute=recompute))
        except TransientError:  # a harmed file was found, and removed
            return asyncio.run(run_stage(self.batch(stage), lane, recompute=recompute))

    def ready(self, stage: str) -> bool:
        before = TOY.before(stage)
        return before is None or self.receipt(before.name) is not None

    def receipt(self, stage: str) -> Receipt | None:
        return receipts.current(Store(self.uri), f"toy/batch=default/{stage}")

    @rule(name=st.sampled_from([f"n{number}" for number in range(9)]), value=st.integers(1, 7))
    def change_a_row(self, name: str, value: int) -> None:
        world[name] = value

    @rule(name=st.sampled_from([f"n{number}" for number in range(1, 9)]))
    def lose_a_row(self, name: str) -> None:
        world.pop(name, None)

    @rule(factor=st.integers(2, 4))
    def change_the_setting(self, factor: int) -> None:
        self.factor = factor

    @rule(stage=STAGES, lane=LANES, recompute=st.booleans())
    def run_a_stage(self, stage: str, lane: Lane, recompute: bool) -> None:
        if self.ready(stage):
            self.run(stage, lane, recompute=recompute and lane is WHOLE)

    @rule(stage=STAGES)
    def run_a_stage_twice_which_computes_once(self, stage: str) -> None:
        if self.ready(stage):
            self.run(stage)
            again = self.run(stage)
            assert again is not None and again.computed_parts == 0

    @rule(stage=STAGES, at=STEPS, recompute=st.booleans())
    def crash_then_run(self, stage: str, at: int, recompute: bool) -> None:
        if not self.ready(stage):
            return
        store = WatchedStore(self.uri, at, die)
        try:
            asyncio.run(run_stage(self.batch(stage, store), recompute=recompute))
        except Killed:
            self.a_reader_sees_one_state()
        receipt = self.run(stage)
        assert receipt is not None

    @rule(stage=STAGES, at=STEPS, factor=st.integers(2, 4), dies=st.booleans())
    def another_runs_while_a_zombie_sleeps(self, stage: str, at: int, factor: int, dies: bool) -> None:
        """The zombie wakes with the setting of its time, after the other has finished with a new one."""
        if not self.ready(stage):
            return
        asleep, awake = threading.Event(), threading.Event()

        def sleep() -> None:
            asleep.set()
            awake.wait(30)
            if dies:
                raise Killed

        zombie = self.batch(stage, WatchedStore(self.uri, at, sleep))
        ended: list[BaseException | None] = []

        def work() -> None:
            try:
                asyncio.run(run_stage(zombie))
                ended.append(None)
            except BaseException as error:
                ended.append(error)
                if not isinstance(error, Killed | ContractError | TransientError):
                    raise
            finally:
                asleep.set()

        thread = threading.Thread(target=work)
        thread.start()
        assert asleep.wait(30)
        self.factor = factor
        self.a_reader_sees_one_state()
        self.run(stage)
        self.a_reader_sees_one_state()
        awake.set()
        thread.join(30)
        assert ended and not thread.is_alive()
        assert ended[0] is None or isinstance(ended[0], Killed)

    @precondition(lambda self: self.receipt("multiply") is not None)
    @rule(cut=st.booleans(), number=st.integers(0, 7))
    def harm_a_file_then_run(self, cut: bool, number: int) -> None:
        receipt = self.receipt("multiply")
        assert receipt is not None
        if not receipt.parts:
            return
        facts = receipt.parts[number % len(receipt.parts)]
        store = Store(self.uri)
        if cut:
            store.put(facts.path, store.get(facts.path)[:-7])
        else:
            store.delete(facts.path)
        assert not check(store, TOY).sound
        self.run("multiply")

    @invariant()
    def a_reader_sees_one_state(self) -> None:
        store = Store(self.uri)
        for stage in TOY.names:
            receipt = self.receipt(stage)
            if receipt is None:
                continue
            rows, asides = self.read(store, receipt)
            self.rows_of[receipt.digest] = rows
            assert receipt.total("rows_out") == len(rows)
            if before := TOY.before(stage):
                came = self.rows_of[receipt.reads[before.name]]
                assert (rows, asides) == expected(stage, came, receipt), stage
            for name in store.names(f"toy/batch=default/{stage}/receipts"):
                path = f"{stage}/{name}"
                content = store.get(f"toy/batch=default/{stage}/receipts/{name}")
                assert self.receipts.setdefault(path, content) == content, f"{path} was changed"
        report = check(store, TOY)
        assert report.sound, report.findings

    def read(self, store: Store, receipt: Receipt) -> tuple[Rows, set[str]]:
        rows: Rows = {}
        asides: set[str] = set()
        for facts in receipt.parts:
            rows |= {row.id: row.value for row in tables.decode(Number, store.get(facts.path))}
            if facts.aside_path:
                asides |= {row.id for row in tables.decode(AsideRow, store.get(facts.aside_path))}
        return rows, asides


@pytest.fixture(autouse=True)
def _toy_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.RECIPES, "toy", TOY)


class TestProtocol(Protocol.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(
        max_examples=int(os.environ.get("MEGASCIENCE_CHAOS", "20")),
        stateful_step_count=10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("zombie", [False, True])
@pytest.mark.parametrize("stage", TOY.names)
def test_protocol_worker_stopped_before_every_step_of_storage_harms_nothing(stage: str, zombie: bool) -> None:
    """Killed there; or asleep there while another does the same work, and going on after it."""
    at, done = 0, False
    while not done:
        at += 1
        model = Protocol()
        for before in TOY.names[: TOY.names.index(stage)]:
            model.run(before)
        world["n9"] = 9  # so that the first stage has something to do, too

        def meanwhile(model: Protocol = model) -> None:
            with ThreadPoolExecutor(1) as other:
                other.submit(model.run, stage).result()

        store = WatchedStore(model.uri, at, meanwhile if zombie else die)
        try:
            asyncio.run(run_stage(model.batch(stage, store)))
            done = store.steps < at
        except Killed:
            pass
        model.a_reader_sees_one_state()
        model.run(stage)
        model.a_reader_sees_one_state()
    assert at > 20
