"""The scheduled DAG over simulated days: each run takes the books that are new, and is skipped where there are none."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

BOOK = """# {title}

An undergraduate textbook of physics: force, motion, energy and momentum.

### Example 1.1

A {thing} of mass 3.0 kg is pushed with {force} N. What is its acceleration?

**Solution.** By Newton's second law a = F/m. Because F = {force} N and m = 3.0 kg, we have a = {force}/3.0 m/s².
"""


@pytest.fixture(autouse=True, scope="module")
def own_sigterm() -> Iterator[None]:
    """A task that ran in this process leaves it deaf to SIGTERM: give that back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def scheduled(database: None, dagbag: DagBag) -> DAG:
    return dagbag.dags["textbook_reasoning_scheduled"]


@dataclass(frozen=True)
class Day:
    """What a run came to, noted before the next one takes its place in the database."""

    state: str
    tasks: dict[str, str]
    books: int | None
    events: list[Any]


RunOn = Callable[[datetime, dict[str, Any]], Day]


@pytest.fixture
def run_on(scheduled: DAG, monkeypatch: pytest.MonkeyPatch) -> RunOn:
    """Runs the DAG as its schedule would on that day, under the partition key that the timetable makes of it."""
    from airflow._shared.timezones.timezone import coerce_datetime
    from airflow.models import dagrun
    from airflow.models.asset import AssetEvent
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    timetable, made = coerce_to_core_timetable(scheduled.timetable), dagrun.get_or_create_dagrun

    def run(day: datetime, told: dict[str, Any]) -> Day:
        _, key = timetable._get_partition_info(run_date=coerce_datetime(day))

        def with_key(**fields: Any) -> Any:
            one = made(**fields)
            one.partition_key = key
            fields["session"].commit()
            return one

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", with_key)
        one = scheduled.test(run_after=day, logical_date=None, run_conf=told)
        tasks = {instance.task_id: str(instance.state) for instance in one.get_task_instances()}
        assert tasks.pop("approve") == "skipped"  # as in every run that asks for no approval
        said = one.get_task_instance("discover_books").xcom_pull("discover_books")
        with create_session() as session:
            events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == one.run_id)).all()
            published = [(event.partition_key, event.extra) for event in events]
        return Day(str(one.state), tasks, said and said["rows_out"], published)

    return run


def test_schedule_over_four_days_takes_each_book_once(run_on: RunOn, tmp_path: Path) -> None:
    zone, root = tmp_path / "zone", tmp_path / "root"
    zone.mkdir()
    told = {"textbooks": str(zone), "root": str(root)}
    days = [datetime(2026, 11, day, 3, 0, tzinfo=UTC) for day in (16, 17, 18, 19)]
    first = BOOK.format(title="Mechanics", thing="cart", force=12)
    second = BOOK.format(title="Statics", thing="crate resting upon an icy slope", force=27)

    (zone / "mechanics.md").write_text(first, encoding="utf-8")
    monday = run_on(days[0], told)
    tuesday = run_on(days[1], told)
    (zone / "statics.md").write_text(second, encoding="utf-8")
    wednesday = run_on(days[2], told)
    shutil.copy(zone / "mechanics.md", zone / "mechanics (1).md")
    thursday = run_on(days[3], told)

    assert [run.state for run in (monday, tuesday, wednesday, thursday)] == ["success"] * 4
    assert [set(run.tasks.values()) for run in (monday, tuesday, wednesday)] == [{"success"}, {"skipped"}, {"success"}]
    assert {task for task, state in thursday.tasks.items() if state != "skipped"} == {"discover_books"}
    assert [run.books for run in (monday, tuesday, wednesday, thursday)] == [1, None, 1, 0]
    batches = sorted(path.name for path in (root / "textbook_reasoning").iterdir())
    assert batches == ["batch=2026-11-16T03-00", "batch=2026-11-18T03-00", "batch=2026-11-19T03-00"]
    published = sorted(path.name for path in (root / "datasets" / "textbook_reasoning").iterdir())
    assert published == batches[:2]

    assert (tuesday.events, thursday.events) == ([], [])
    ((key, event),) = wednesday.events
    assert (key, event["batch"], event["rows"], event["changed"]) == ("2026-11-18T03-00", "2026-11-18T03-00", 1, True)
    assert list(Path(event["path"]).glob("*.parquet"))
