"""Settings: what reaches which stage, what bears identity, and one line for each way to mistype."""

from __future__ import annotations

from typing import Any

import pytest

from megascience_ops.config import AskingConfig, EngineConfig, Settings, StageConfig, identity, parse_setting, validated
from megascience_ops.errors import ContractError
from megascience_ops.recipe import recipe
from megascience_ops.stages import chunk_books, discover_books, find_neighbours

FLOW = recipe("textbook_reasoning")


def settings(**values: Any) -> Settings:
    return validated(Settings, {"root": "r", **values}, "settings")


def test_config_defaults_make_a_run_that_needs_nothing() -> None:
    FLOW.check(settings())
    assert settings().of("refine_qa", AskingConfig).engine.kind == "rules"


def test_config_engine_reaches_every_stage_and_each_may_differ() -> None:
    said = settings(
        engine={"kind": "endpoint", "url": "http://a/v1", "model": "big"},
        stages={"refine_qa": {"engine": {"model": "bigger"}}, "judge_cot": {"attempts": 1}},
    )
    refine = said.of("refine_qa", AskingConfig).engine
    assert (refine.kind, refine.url, refine.model) == ("endpoint", "http://a/v1", "bigger")
    judge = said.of("judge_cot", AskingConfig)
    assert (judge.engine.model, judge.attempts) == ("big", 1)
    assert said.of("chunk_books", chunk_books.Config) == chunk_books.Config()


def test_config_embedder_is_apart_from_who_answers_and_needs_nothing_unless_told() -> None:
    answers = {"kind": "endpoint", "url": "http://a/v1", "model": "big"}
    assert settings(engine=answers).of("find_neighbours", find_neighbours.Config).embedder.kind == "rules"
    told = settings(engine=answers, embedder={"kind": "sentence_transformers", "model": "near"})
    assert told.of("find_neighbours", find_neighbours.Config).embedder.model == "near"


def test_config_textbooks_and_limit_reach_the_stages_that_have_them() -> None:
    said = settings(textbooks="books", limit=3, stages={"discover_books": {"excerpt_pages": 2}})
    config = said.of("discover_books", discover_books.Config)
    assert (config.textbooks, config.limit, config.excerpt_pages) == ("books", 3, 2)


def test_config_identity_leaves_out_where_and_how_fast() -> None:
    def of(**engine: Any) -> dict[str, Any]:
        return identity(AskingConfig(engine=EngineConfig(**engine)))

    here = of(kind="endpoint", model="m", url="http://a/v1", concurrency=2, timeout_seconds=5, key_env="A")
    there = of(kind="endpoint", model="m", url="http://b/v1", concurrency=9, patience_seconds=5, key_env="B")
    assert here == there
    assert of(kind="endpoint", model="m") != of(kind="endpoint", model="n")
    assert of(kind="endpoint", model="m") != of(kind="endpoint", model="m", revision="2")
    assert of(sampling={"top_p": 0.9}) != of()
    assert identity(AskingConfig(attempts=2)) != identity(AskingConfig())
    assert identity(AskingConfig(max_unread=1, rows_in_flight=1)) == identity(AskingConfig())
    assert identity(StageConfig(rows_in_flight=3)) == {}


MISTYPED = {
    "setting": ({"textboks": "x"}, "settings.textboks: no such setting; did you mean textbooks?"),
    "engine_setting": ({"engine": {"modle": "x"}}, "settings.engine.modle: no such setting; did you mean model?"),
    "engine_kind": ({"engine": {"kind": "ruels"}}, "settings.engine.kind: "),
    "stage": ({"stages": {"refien_qa": {}}}, "has no stage refien_qa; did you mean refine_qa?"),
    "stage_setting": (
        {"stages": {"chunk_books": {"max_token": 9}}},
        "stages.chunk_books.max_token: no such setting; did you mean max_tokens?",
    ),
    "stage_without_engine": (
        {"stages": {"chunk_books": {"engine": {"kind": "rules"}}}},
        "stages.chunk_books.engine: no such setting",
    ),
    "stage_engine_setting": (
        {"stages": {"refine_qa": {"engine": {"modle": "x"}}}},
        "stages.refine_qa.engine.modle: no such setting; did you mean model?",
    ),
    "range": ({"stages": {"chunk_books": {"max_tokens": 3}}}, "stages.chunk_books.max_tokens: "),
    "type": ({"limit": "few"}, "settings.limit: "),
    "batch": ({"batch": "a/b"}, "settings.batch: "),
}


@pytest.mark.parametrize("values, said", MISTYPED.values(), ids=MISTYPED)
def test_config_mistyped_is_named_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError) as error:
        FLOW.check(settings(**values))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, path, value",
    [
        ("limit=3", ["limit"], 3),
        ("refine_qa.max_unread=0.05", ["refine_qa", "max_unread"], 0.05),
        ("engine.model=org/name=x", ["engine", "model"], "org/name=x"),
        ("refine_qa.engine.sampling={top_p: 0.9}", ["refine_qa", "engine", "sampling"], {"top_p": 0.9}),
        ("screen_books.require_licence=true", ["screen_books", "require_licence"], True),
        ("textbooks=", ["textbooks"], None),
    ],
)
def test_config_setting_is_read_as_yaml(text: str, path: list[str], value: object) -> None:
    assert parse_setting(text) == (path, value)


@pytest.mark.parametrize("text", ["limit", "=3", " =3", "limit=[3", "limit={a: b: c}"])
def test_config_setting_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ContractError, match="--set") as error:
        parse_setting(text)
    assert text in str(error.value)
    assert "\n" not in str(error.value)
