"""The watcher of the landing zone: it fires once for what came, after a restart too, and forgets nothing large."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from megascience_airflow import watching
from megascience_airflow.assets import textbooks
from megascience_airflow.watching import NewTextbooks

if TYPE_CHECKING:
    pass

STATE_BYTES = 65_535  # what Airflow takes


class AssetState(dict[str, Any]):
    """What Airflow keeps for an asset."""

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


@pytest.fixture
def state() -> AssetState:
    return AssetState()


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    folder = tmp_path / "zone"
    folder.mkdir()
    return folder


def watcher(zone: Path, state: AssetState) -> NewTextbooks:
    trigger = NewTextbooks(str(zone), 0.01)
    trigger.asset_state_store = state  # type: ignore[assignment]
    return trigger


def lands(zone: Path, name: str) -> None:
    (zone / name).write_text(name, encoding="utf-8")


async def fires(events: AsyncIterator[Any], seconds: float = 5.0) -> dict[str, Any]:
    payload: dict[str, Any] = (await asyncio.wait_for(anext(events), seconds)).payload
    return payload


async def is_silent(events: AsyncIterator[Any]) -> None:
    with pytest.raises(TimeoutError):
        await fires(events, 0.3)


def test_watcher_names_what_is_there_and_then_what_came(zone: Path, state: AssetState) -> None:
    async def watch() -> None:
        lands(zone, "a.pdf")
        events = watcher(zone, state).run()
        assert await fires(events) == {"textbooks": str(zone), "new": ["a.pdf"], "new_files": 1, "files": 1}
        lands(zone, "b.pdf")
        assert (await fires(events))["new"] == ["b.pdf"]

    asyncio.run(watch())


@pytest.mark.parametrize("change", ["nothing", "removed", "hidden", "textbooks.csv"])
def test_watcher_is_silent_where_no_book_came(zone: Path, state: AssetState, change: str) -> None:
    async def watch() -> None:
        lands(zone, "a.pdf")
        lands(zone, "b.pdf")
        events = watcher(zone, state).run()
        await fires(events)
        if change == "removed":
            (zone / "b.pdf").unlink()
        elif change != "nothing":
            lands(zone, {"hidden": ".part"}.get(change, change))
        await is_silent(events)

    asyncio.run(watch())


def test_watcher_waits_until_a_copy_has_come_to_rest(zone: Path, state: AssetState, monkeypatch: Any) -> None:
    sizes = iter(range(1, 6))
    looks = []

    def growing(textbooks: str) -> set[str]:
        looks.append(next(sizes, 5))
        return {f"a.pdf\n{looks[-1]}\n{looks[-1]}"}

    monkeypatch.setattr(watching, "listing", growing)

    async def watch() -> None:
        await fires(watcher(zone, state).run())

    asyncio.run(watch())
    assert looks == [1, 2, 3, 4, 5, 5]


def test_watcher_started_again_is_silent_unless_something_changed(zone: Path, state: AssetState) -> None:
    async def watch() -> None:
        lands(zone, "a.pdf")
        first = watcher(zone, state).run()
        await fires(first)
        with pytest.raises(TimeoutError):  # goes on after the event, and so remembers it
            await fires(first, 0.1)
        await is_silent(watcher(zone, state).run())
        lands(zone, "b.pdf")
        assert await fires(watcher(zone, state).run()) == {
            "textbooks": str(zone),
            "new": [],
            "new_files": 0,
            "files": 2,
        }

    asyncio.run(watch())


def test_watcher_that_dies_with_an_event_on_its_lips_says_it_again(zone: Path, state: AssetState) -> None:
    async def watch() -> None:
        lands(zone, "a.pdf")
        await fires(watcher(zone, state).run())
        await fires(watcher(zone, state).run())

    asyncio.run(watch())


def test_watcher_outlives_a_zone_that_is_not_there_yet(tmp_path: Path, state: AssetState) -> None:
    async def watch() -> None:
        events = watcher(tmp_path / "later", state).run()
        with pytest.raises(TimeoutError):
            await fires(events, 0.1)

    asyncio.run(watch())

    async def watch_again() -> None:
        (tmp_path / "later").mkdir()
        lands(tmp_path / "later", "a.pdf")
        assert (await fires(watcher(tmp_path / "later", state).run()))["new"] == ["a.pdf"]

    asyncio.run(watch_again())


def test_watcher_keeps_and_says_little_of_many_files(zone: Path, state: AssetState, monkeypatch: Any) -> None:
    many = {f"{number:06}/{'long name ' * 10}.pdf\nv\n1" for number in range(50_000)}
    monkeypatch.setattr(watching, "listing", lambda textbooks: many)

    async def watch() -> dict[str, Any]:
        events = watcher(zone, state).run()
        said = await fires(events)
        with pytest.raises(TimeoutError):
            await fires(events, 0.5)
        return said

    said = asyncio.run(watch())
    assert said["new_files"] == 50_000
    assert len(json.dumps(said)) < 10_000
    assert len(json.dumps(state)) < 1_000 < STATE_BYTES


def test_watcher_is_made_again_from_what_it_says_of_itself(zone: Path) -> None:
    from airflow.sdk.module_loading import import_string

    path, arguments = NewTextbooks(str(zone), 5).serialize()
    again = import_string(path)(**arguments)
    assert (type(again), again.textbooks, again.seconds) == (NewTextbooks, str(zone), 5)


def test_watcher_is_there_where_the_landing_zone_is_known(monkeypatch: pytest.MonkeyPatch, zone: Path) -> None:
    assert textbooks().watchers == []
    monkeypatch.setenv("MEGASCIENCE_TEXTBOOKS", str(zone))
    monkeypatch.setenv("MEGASCIENCE_WATCH_SECONDS", "5")
    (one,) = textbooks().watchers
    assert (one.trigger.textbooks, one.trigger.seconds) == (str(zone), 5.0)
