"""Asking: what was said is replayed, what could not be read is asked for differently, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from megascience_ops import parsing
from megascience_ops.asking import Asker, Kept
from megascience_ops.completions import Completion, Image, Request
from megascience_ops.config import AskingConfig, EngineConfig
from megascience_ops.engines.scripted import ScriptedEngine
from megascience_ops.errors import ContractError, Declined, TransientError, Unparsed
from megascience_ops.prompts import Prompt, prompt
from megascience_ops.storage import Store

YES = "Analysis: it is so.\nDecision: YES"
NO = "Analysis: it is not.\nDecision: NO"
UNREADABLE = "I would rather not decide."


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prompt[bool]:
    front = "stage: s\nasks: it\nslots: [QUESTION]\nsampling: {temperature: 0.0, max_tokens: 50}"
    (tmp_path / "judge.md").write_text(f"---\n{front}\n---\nIs it so? <QUESTION>\n")
    monkeypatch.setenv("MEGASCIENCE_PROMPTS", str(tmp_path))
    return prompt("judge", parsing.decision, "QUESTION")


@pytest.fixture
def store() -> Store:
    return Store(f"memory://{uuid4().hex}")


def asker(store: Store, *says: str | Completion | Exception, **config: Any) -> tuple[Asker, list[Request]]:
    """An asker whose engine says these things in turn, and the requests that it got."""
    left, got = list(says), []

    def script(request: Request) -> str | Completion:
        got.append(request)
        said = left.pop(0)
        if isinstance(said, Exception):
            raise said
        return said.model_copy(update={"id": request.digest}) if isinstance(said, Completion) else said

    return Asker(ScriptedEngine(script), Kept(store, "stage", 0, AskingConfig(**config)), AskingConfig(**config)), got


def cut(text: str, finish_reason: str) -> Completion:
    return Completion(id="?", row="r", prompt="judge", text=text, finish_reason=finish_reason, model="m")


def ask(one: Asker, judge: Prompt[bool], question: str = "q", row: str = "r") -> bool:
    return asyncio.run(one.for_row(row)(judge, QUESTION=question))


def test_asking_unread_answer_is_asked_for_again_differently(store: Store, judge: Prompt[bool]) -> None:
    one, got = asker(store, UNREADABLE, UNREADABLE, NO)

    assert ask(one, judge) is False

    assert len({request.digest for request in got}) == 3
    assert got[0].sampling == {"temperature": 0.0, "max_tokens": 50}
    temperatures = [request.sampling["temperature"] for request in got]
    assert temperatures == sorted(set(temperatures))
    assert len({request.sampling.get("seed") for request in got}) == 3
    assert {request.parts for request in got} == {got[0].parts}
    assert (one.usage["judge"].requests, one.usage["judge"].unread) == (3, 2)


def test_asking_unread_to_the_last_attempt_raises_with_what_was_said(store: Store, judge: Prompt[bool]) -> None:
    one, got = asker(store, UNREADABLE, "", "Decision: perhaps", attempts=3)
    with pytest.raises(Unparsed) as error:
        ask(one, judge)
    assert (error.value.reason, error.value.said) == ("unclear_decision", "Decision: perhaps")
    assert len(got) == 3


def test_asking_answer_cut_off_is_no_answer_though_it_could_be_read(store: Store, judge: Prompt[bool]) -> None:
    one, got = asker(store, cut(YES, "length"), cut(YES, "length"), attempts=2)
    with pytest.raises(Unparsed, match="truncated"):
        ask(one, judge)
    assert len(got) == 2


@pytest.mark.parametrize("finish_reason", ["declined", "refused", "too_long"])
def test_asking_declined_is_not_asked_again(finish_reason: str, store: Store, judge: Prompt[bool]) -> None:
    one, got = asker(store, cut("no rule for it", finish_reason), attempts=3)
    with pytest.raises(Declined, match=finish_reason):
        ask(one, judge)
    assert len(got) == 1


def test_asking_sampling_of_the_configuration_is_used_and_attempts_still_differ(store, judge: Prompt[bool]) -> None:
    one, got = asker(store, UNREADABLE, YES, engine=EngineConfig(sampling={"temperature": 0.1, "top_p": 0.5}))
    assert ask(one, judge) is True
    assert [request.sampling["top_p"] for request in got] == [0.5, 0.5]
    assert got[0].sampling["temperature"] == 0.1
    assert got[0].digest != got[1].digest


def test_asking_what_is_kept_is_replayed_for_nothing(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, UNREADABLE, YES)
    assert ask(one, judge) is True
    one.kept.flush()

    again, got = asker(store)
    assert ask(again, judge, row="another") is True
    assert got == []
    assert (again.usage["judge"].requests, again.usage["judge"].replayed) == (0, 2)


def test_asking_another_model_sampling_or_question_is_another_request(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, YES)
    ask(one, judge)
    one.kept.flush()
    for other, question in (
        (asker(store, NO), "another question"),
        (asker(store, NO, engine=EngineConfig(sampling={"top_p": 0.5})), "q"),
    ):
        assert ask(other[0], judge, question) is False
    engine = ScriptedEngine(lambda request: NO, "another model")
    assert ask(Asker(engine, Kept(store, "stage", 0, AskingConfig()), AskingConfig()), judge) is False


def test_asking_shards_keep_their_completions_apart(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, YES)
    ask(one, judge)
    one.kept.flush()
    digest = one.engine.asked[0]  # type: ignore[attr-defined]
    assert Kept(store, "stage", 0, AskingConfig()).find(digest) is not None
    assert Kept(store, "stage", 1, AskingConfig()).find(digest) is None
    assert Kept(store, "stage", 10, AskingConfig()).find(digest) is None  # part-00001 is no beginning of part-00010


def test_asking_flushes_every_so_many_answers(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, *[YES] * 7, flush_completions=3)
    for number in range(7):
        ask(one, judge, str(number))
    assert len(store.names("stage/completions")) == 2
    kept = Kept(store, "stage", 0, AskingConfig())
    assert sum(kept.find(digest) is not None for digest in one.engine.asked) == 6  # type: ignore[attr-defined]


def test_asking_flushes_after_so_many_seconds(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, YES, flush_seconds=0)
    ask(one, judge)
    assert len(store.names("stage/completions")) == 1


def test_asking_two_workers_never_overwrite_each_others_segments(store: Store, judge: Prompt[bool]) -> None:
    one, _ = asker(store, YES)
    other, _ = asker(store, NO)
    ask(one, judge, "one's")
    ask(other, judge, "other's")
    one.kept.flush()
    other.kept.flush()
    kept = Kept(store, "stage", 0, AskingConfig())
    for worker in (one, other):
        assert kept.find(worker.engine.asked[0]) is not None  # type: ignore[attr-defined]


class Slow:
    """An engine that answers when it is told to."""

    identity: Mapping[str, str] = {"kind": "slow"}

    def __init__(self, answer: Callable[[Request, str], Awaitable[Completion]]) -> None:
        self.asked = 0
        self._answer = answer

    async def complete(self, request: Request, row: str) -> Completion:
        self.asked += 1
        return await self._answer(request, row)

    async def embed(self, texts: object) -> Any:
        raise NotImplementedError

    async def close(self) -> None: ...


def test_asking_rows_that_ask_the_same_at_once_share_one_request(store: Store, judge: Prompt[bool]) -> None:
    async def three() -> tuple[list[bool], int, Asker]:
        gate = asyncio.Event()

        async def answer(request: Request, row: str) -> Completion:
            await gate.wait()
            return cut(YES, "stop").model_copy(update={"id": request.digest, "row": row})

        engine = Slow(answer)
        one = Asker(engine, Kept(store, "stage", 0, AskingConfig()), AskingConfig())
        rows = [asyncio.create_task(one.for_row(f"row-{n}")(judge, QUESTION="q")) for n in range(3)]
        await asyncio.sleep(0.01)
        gate.set()
        return await asyncio.gather(*rows), engine.asked, one

    verdicts, asked, one = asyncio.run(three())
    assert (verdicts, asked) == ([True] * 3, 1)
    assert (one.usage["judge"].requests, one.usage["judge"].replayed) == (1, 2)


@pytest.mark.parametrize("error", [TransientError("the server is gone"), ContractError("wrong key")])
def test_asking_trouble_of_the_engine_reaches_all_who_wait_and_is_not_kept(error, store, judge: Prompt[bool]) -> None:
    async def three() -> list[Any]:
        async def answer(request: Request, row: str) -> Completion:
            await asyncio.sleep(0.01)
            raise error

        one = Asker(Slow(answer), Kept(store, "stage", 0, AskingConfig()), AskingConfig())
        rows = [one.for_row(f"row-{n}")(judge, QUESTION="q") for n in range(3)]
        said = await asyncio.gather(*rows, return_exceptions=True)
        one.kept.flush()
        return said

    assert asyncio.run(three()) == [error] * 3
    one, got = asker(store, YES)
    assert ask(one, judge) is True
    assert len(got) == 1


# --- the digest of a request: what was paid for yesterday is found by it tomorrow ----------------------------------


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "prompt": "judge",
        "parts": ("Is it so? ", Image(b"page"), " 2 ≠ 3"),
        "slots": {},
        "sampling": {"temperature": 0.0, "max_tokens": 50},
        "model": {"kind": "endpoint", "model": "m", "revision": ""},
    }
    return Request(**{**values, **changes})


def test_digest_is_the_one_it_has_always_been() -> None:
    assert request().digest == "2bdbe97b50e04d9e7d15a59d8c03c0a4"


def test_digest_is_blind_to_what_does_not_reach_the_model() -> None:
    same = [
        request(prompt="renamed"),
        request(slots={"QUESTION": "x"}),
        request(sampling={"max_tokens": 50, "temperature": 0.0}),
        request(model={"revision": "", "model": "m", "kind": "endpoint"}),
    ]
    assert {one.digest for one in same} == {request().digest}


def test_digest_changes_with_all_that_reaches_the_model() -> None:
    others = [
        request(parts=("Is it so? ", Image(b"page"), " 2 ≠ 4")),
        request(parts=("Is it so? ", Image(b"another"), " 2 ≠ 3")),
        request(parts=(Image(b"page"), "Is it so? ", " 2 ≠ 3")),
        request(sampling={"temperature": 0.1, "max_tokens": 50}),
        request(sampling={"temperature": 0.0, "max_tokens": 50, "seed": 1}),
        request(model={"kind": "endpoint", "model": "m", "revision": "2"}),
    ]
    assert len({one.digest for one in [request(), *others]}) == len(others) + 1


def test_digest_of_half_a_character_is_a_digest() -> None:
    assert len(request(parts=("torn \ud83d",)).digest) == 32


def test_asking_for_samples_gives_each_a_seed_and_a_completion_of_its_own(store: Store, judge: Prompt[bool]) -> None:
    one, got = asker(store, YES, NO, YES)

    async def sampled() -> list[bool]:
        return [await one.for_row("row")(judge, sample=sample, QUESTION="q") for sample in range(3)]

    assert asyncio.run(sampled()) == [True, False, True]
    assert [request.sampling.get("seed") for request in got] == [None, 1, 2]
    assert len({request.digest for request in got}) == 3
    assert asyncio.run(sampled()) == [True, False, True]
    assert len(got) == 3  # the second time, all were kept
