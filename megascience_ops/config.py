"""Settings of a run: where it reads and writes, who answers, and what each stage is told.

Everything here is frozen and refuses keys it does not know. What changes the rows is part of a stage's fingerprint;
what only says where or how fast (marked `WHERE`) is not.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from megascience_ops.errors import ContractError
from megascience_ops.rows import Frozen
from megascience_ops.yaml_text import NotYaml, read_yaml

WHERE = "where"  # marks a setting that says where or how fast, and so bears no identity

M = TypeVar("M", bound=BaseModel)


class VllmConfig(Frozen):
    """The server that the vllm engine starts. What the model is, and what it can be asked, bears identity.

    `max_model_len`, in tokens, decides which prompts are too long. `extra_args` are arguments of `vllm serve` that
    bear on the answers, such as --chat-template or --hf-overrides; `tuning_args` are those that do not, such as
    --max-num-seqs or --enforce-eager. `runner`: `pooling` makes an embedding server of a model that also writes.
    `port` 0 takes a free one. `max_restarts`: how many crashes are mended; half an hour of serving forgives them.
    `log_file`: where the server's log goes and stays; a temporary file otherwise.
    """

    quantization: str | None = None
    dtype: str | None = None
    max_model_len: int | None = Field(default=None, ge=1)
    extra_args: list[str] = []
    tuning_args: Annotated[list[str], WHERE] = []
    tensor_parallel: Annotated[int, WHERE] = Field(default=1, ge=1)
    pipeline_parallel: Annotated[int, WHERE] = Field(default=1, ge=1)
    data_parallel: Annotated[int, WHERE] = Field(default=1, ge=1)
    gpu_memory_utilization: Annotated[float | None, WHERE] = Field(default=None, gt=0, le=1)
    runner: Annotated[Literal["auto", "generate", "pooling"], WHERE] = "auto"
    command: Annotated[list[str], WHERE] = Field(default=["vllm", "serve"], min_length=1)
    port: Annotated[int, WHERE] = Field(default=0, ge=0, le=65535)
    start_timeout_seconds: Annotated[float, WHERE] = Field(default=1800, gt=0)
    max_restarts: Annotated[int, WHERE] = Field(default=3, ge=0)
    log_file: Annotated[str | None, WHERE] = None


class EngineConfig(Frozen):
    """Who answers. `kind`, `url`, `key_env` and the limits say where; `model`, `revision` and `sampling` say who.

    The same model gives the same answers behind an endpoint and in a vLLM server of our own, so it is not paid again.

    `sampling` overrides what the prompt files ask for, by the names of the OpenAI API; it goes to the server as it
    stands, so `stop`, `seed`, `response_format` with a JSON schema, or vLLM's `structured_outputs` with a choice work
    where the server has them, and nothing is added. `url` may name several servers of the same model, separated by
    commas. `served_as` is the name under which the model answers, where it is another than the one to ask for.
    `concurrency` is the most that is under way over all servers: what each of them can take, it finds out.
    A request is given up after `timeout_seconds` a few times over, if the server answers others meanwhile; the stage,
    when nothing at all was answered for `patience_seconds`.
    """

    kind: Annotated[Literal["rules", "endpoint", "vllm", "sentence_transformers", "scripted"], WHERE] = "rules"
    model: str | None = None
    revision: str | None = None
    sampling: dict[str, Any] = {}
    url: Annotated[str | None, WHERE] = None
    served_as: Annotated[str | None, WHERE] = None
    key_env: Annotated[str, WHERE] = "OPENAI_API_KEY"
    script: Annotated[str | None, WHERE] = None
    concurrency: Annotated[int, WHERE] = Field(default=512, ge=1)
    timeout_seconds: Annotated[float, WHERE] = Field(default=600, gt=0)
    patience_seconds: Annotated[float, WHERE] = Field(default=900, ge=0)
    vllm: VllmConfig = VllmConfig()

    @property
    def reads_images(self) -> bool:
        """Can it be shown a page? Rules cannot, so nobody has to draw one for them."""
        return self.kind != "rules"


Share = Annotated[float, Field(ge=0, le=1)]
Gate = Annotated[
    Literal["warn", "stop", "off"],
    BeforeValidator(lambda said: "off" if said is False else said),  # YAML's way with a bare `off`
]


class StageConfig(Frozen):
    """What every stage can be told: how many of its rows are under way at once, and what it ought to keep of them.

    `band`: between which shares the rows kept should lie; what is known of such stages unless set (`gates.py`). Where
    they surely lie elsewhere, `gate` warns, or stops the run before the next stage.
    """

    rows_in_flight: Annotated[int, WHERE] = Field(default=512, ge=1)
    band: Annotated[tuple[Share, Share] | None, WHERE] = None
    gate: Annotated[Gate, WHERE] = "warn"


class AskingConfig(StageConfig):
    """What a stage that asks an engine can be told.

    `attempts`: how often an answer that cannot be read is asked for. `max_unread`: the share of rows that may end
    without an answer that can be read; above it `unread_gate` stops the stage, or only warns. Answers are put on
    storage after so many, or so long.
    """

    engine: EngineConfig = EngineConfig()
    attempts: int = Field(default=3, ge=1)
    max_unread: Annotated[float, WHERE] = Field(default=0.02, ge=0, le=1)
    unread_gate: Annotated[Gate, WHERE] = "stop"
    flush_completions: Annotated[int, WHERE] = Field(default=256, ge=1)
    flush_seconds: Annotated[float, WHERE] = Field(default=20, ge=0)


class EmbeddingConfig(StageConfig):
    """What a stage that compares by meaning can be told: who turns texts into vectors.

    That is rarely the model that answers prompts, so it is an engine apart; lexical vectors unless another is named.
    """

    embedder: EngineConfig = EngineConfig()


class JudgingConfig(AskingConfig):
    """What a stage that has verdicts given can be told.

    `decisions`: `reasoned` asks for an analysis before the verdict, `brief` for one sentence and the verdict as JSON,
    which costs a fraction of the tokens.
    """

    decisions: Literal["reasoned", "brief"] = "reasoned"


class Prices(Frozen):
    """Money for a million tokens, in any currency. `cached`: of prompts that the server remembers; else as `prompt`."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)

    def of(self, prompt_tokens: float, cached_tokens: float, completion_tokens: float) -> float:
        """What so many tokens cost; `cached_tokens` are among the `prompt_tokens`."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = prompt_tokens - cached_tokens
        return (fresh * self.prompt + cached_tokens * cached + completion_tokens * self.completion) / 1e6


class Settings(Frozen):
    """One run of a recipe. `stages` holds what differs from the defaults, by stage name.

    `engine`, `embedder`, `textbooks`, `limit` and `gate` reach every stage that has a setting of that name. `prices`
    put money into receipts and estimates.
    """

    root: str
    recipe: str = "textbook_reasoning"
    batch: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    textbooks: str | None = None
    engine: EngineConfig = EngineConfig()
    embedder: EngineConfig = EngineConfig()
    limit: int | None = Field(default=None, ge=1)
    gate: Gate | None = None
    prices: Prices | None = None
    stages: dict[str, dict[str, Any]] = {}

    def of(self, stage: str, config: type[M]) -> M:
        """The effective configuration of a stage. Raises ContractError on a setting it does not have."""
        own = dict(self.stages.get(stage, {}))
        engines = ("engine", "embedder")
        common: dict[str, Any] = {name: getattr(self, name).model_dump(exclude_unset=True) for name in engines}
        common |= {name: getattr(self, name) for name in ("textbooks", "limit", "gate")}
        values = {name: value for name, value in common.items() if name in config.model_fields and value is not None}
        for name in engines:
            if name in values and isinstance(own.get(name), dict):
                own[name] = merged(values[name], own[name])
        return validated(config, {**values, **own}, f"stages.{stage}")


def identity(config: BaseModel) -> dict[str, Any]:
    """The settings that change what comes out: everything but those marked WHERE."""
    kept: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        if WHERE not in field.metadata:
            value = getattr(config, name)
            kept[name] = identity(value) if isinstance(value, BaseModel) else value
    return kept


def validated(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as a `model`, or a ContractError that names the first wrong key, what is wrong, and the likely fix."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join([where, *(str(step) for step in first["loc"])]).strip(".")
        if first["type"] != "extra_forbidden":
            raise ContractError(f"{path}: {first['msg']} (it says {first['input']!r})") from None
        raise ContractError(f"{path}: no such setting{nearest(str(first['loc'][-1]), _names(model))}") from None


def nearest(word: str, words: list[str]) -> str:
    """`; did you mean ...?`, or what there is, as the end of an error message."""
    close = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(words))}"


def parse_setting(text: str) -> tuple[list[str], Any]:
    """`a.b=value` as path and value; the value is read as YAML. Raises ContractError."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ContractError(f"--set {text}: write it as name=value, for example refine_qa.max_unread=0.05")
    try:
        return path.strip().split("."), read_yaml(value)
    except NotYaml as error:
        raise ContractError(f"--set {text}: the value is not YAML: {error}") from None


def merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`common` with what `own` says otherwise, at every depth."""
    both = dict(common)
    for name, value in own.items():
        deeper = isinstance(value, Mapping) and isinstance(both.get(name), Mapping)
        both[name] = merged(both[name], value) if deeper else value
    return both


def _names(model: type[BaseModel]) -> list[str]:
    names: list[str] = list(model.model_fields)
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _names(field.annotation)
    return names
