"""The trigger form of a recipe: what a person is asked before a run, with what is allowed in each field.

The fields in everyday use have no section, and so are the ones that the form opens with.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import Param

from megascience_ops.config import AskingConfig
from megascience_ops.errors import ContractError
from megascience_ops.recipe import Recipe

BATCH = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
URL = r"^(https?://\S+)?$"
MODEL_AT_URL = r"^(\S+( @ https?://\S+)?)?$"
STANDARDS = ("high", "low")
EMBEDDERS = ("rules", "sentence_transformers", "endpoint", "vllm")

STAGES, MODELS, QUALITY, ADVANCED = "Stages", "Models", "Quality", "Advanced"

LANES = "MEGASCIENCE_LANES"
MODEL_FIELD = "model_"  # before the name of a stage: the field of its model


def trigger_form(recipe: Recipe, *, by_hand: bool = True) -> dict[str, Param]:
    """The params of a recipe's DAG. $MEGASCIENCE_TEXTBOOKS and its like are the defaults of their fields.

    `by_hand`: for a DAG that people trigger. Where Airflow starts the runs, a batch is named after its run, takes the
    books that are new, and has all lanes there are.
    """
    return {
        "recipe": Param(recipe.name, const=recipe.name),  # const: not shown, and not to be changed
        **_everyday(by_hand),
        **_stages(recipe),
        **_models(recipe),
        **_quality(),
        **_advanced(recipe, by_hand),
    }


def most_lanes() -> int:
    """How many lanes a run can have: $MEGASCIENCE_LANES, or 1. Raises ContractError where that is no number."""
    said = os.environ.get(LANES, "").strip() or "1"
    if not said.isdigit() or int(said) < 1:
        raise ContractError(f"${LANES} is {said!r}: set it to the most lanes that a run can have, such as 4")
    return int(said)


def asking(recipe: Recipe) -> list[str]:
    """The stages that ask a model."""
    return [stage.name for stage in recipe.stages if issubclass(stage.config, AskingConfig)]


def _everyday(by_hand: bool) -> dict[str, Param]:
    return {
        "textbooks": Param(
            os.environ.get("MEGASCIENCE_TEXTBOOKS"),
            title="Textbooks",
            description="Folder, or bucket and prefix (s3://...), with the PDF, Markdown, HTML, EPUB or text files. "
            "A textbooks.csv beside them may state licence, access, title and more.",
            type=["string", "null"],
        ),
        "batch": Param(
            os.environ.get("MEGASCIENCE_BATCH", "default") if by_hand else None,
            title="Batch",
            description="Name under which these textbooks are curated: letters, digits, dot, hyphen, underscore. "
            "The same name again goes on where the last run ended. Empty: the partition key, or the run's time.",
            type=["string", "null"],
            pattern=BATCH,
        ),
        "engine": Param(
            os.environ.get("MEGASCIENCE_ENGINE", "rules"),
            title="Engine",
            description="Who answers the prompts.",
            type="string",
            enum=["rules", "endpoint", "vllm"],
            values_display={
                "rules": "rules: deterministic, no GPU, no key, no network",
                "endpoint": "endpoint: any OpenAI-compatible server",
                "vllm": "vllm: a server of our own, on the worker's GPUs",
            },
        ),
        "url": Param(
            os.environ.get("MEGASCIENCE_URL"),
            title="Endpoint URL",
            description="Address of the server, up to and with /v1, where the engine is endpoint. Its key is never "
            "typed here: the workers take it from $OPENAI_API_KEY or from the connection megascience_endpoint.",
            type=["string", "null"],
            pattern=URL,
        ),
        "model": Param(
            os.environ.get("MEGASCIENCE_MODEL"),
            title="Model",
            description="Name of the model, as the server calls it; for vllm also a folder with its weights. Single "
            "stages may have another one: see Models.",
            type=["string", "null"],
        ),
        "limit": Param(
            None,
            title="Limit",
            description="At most so many textbooks, the first by path, to try it out; empty for all.",
            type=["integer", "null"],
            minimum=1,
        ),
        "lanes": Param(
            1 if by_hand else most_lanes(),
            title="Lanes",
            description="Workers, or pods, at once on each stage that asks a model; as many as $MEGASCIENCE_LANES "
            "allows.",
            type="integer",
            minimum=1,
            maximum=most_lanes(),
        ),
    }


def _stages(recipe: Recipe) -> dict[str, Param]:
    some: dict[str, Any] = {
        "type": "array",
        "items": {"type": "string", "enum": recipe.names},
        "examples": recipe.names,
        "uniqueItems": True,
        "section": STAGES,
    }
    return {
        "stages": Param(
            recipe.names,
            title="Stages to run",
            description="The others are skipped, and what they made before is used.",
            minItems=1,
            **some,
        ),
        "recompute": Param(
            [],
            title="Recompute",
            description="Stages to compute again although nothing changed. Kept completions are still used.",
            **some,
        ),
    }


def _models(recipe: Recipe) -> dict[str, Param]:
    fields = {
        f"{MODEL_FIELD}{name}": Param(
            None,
            title=f"Model for {name}",
            description="A model of its own for this stage, as `name`, or as `name @ http://server/v1` where another "
            "server has it; empty for the one above.",
            type=["string", "null"],
            pattern=MODEL_AT_URL,
            section=MODELS,
        )
        for name in asking(recipe)
    }
    return {
        **fields,
        "embedder": Param(
            "rules",
            title="Embedder",
            description="Who turns questions into vectors, to find benchmark questions near them.",
            type="string",
            enum=list(EMBEDDERS),
            values_display={"rules": "rules: lexical vectors", "vllm": "vllm: a server of our own"},
            section=MODELS,
        ),
        "embedding_model": Param(
            None,
            title="Embedding model",
            description="As `name`, or as `name @ http://server/v1`; needed by every embedder but rules.",
            type=["string", "null"],
            pattern=MODEL_AT_URL,
            section=MODELS,
        ),
    }


def _quality() -> dict[str, Param]:
    return {
        "standards": Param(
            list(STANDARDS),
            title="Standards of extraction",
            description="high: questions that take several steps of reasoning. low: every question that stands on its "
            "own. Each passage is read once for each.",
            type="array",
            items={"type": "string", "enum": list(STANDARDS)},
            examples=list(STANDARDS),
            uniqueItems=True,
            minItems=1,
            section=QUALITY,
        ),
        "gate": Param(
            "warn",
            title="Gates",
            description="What happens where a stage keeps a share of its rows that such stages never keep.",
            type="string",
            enum=["warn", "stop", "off"],
            values_display={
                "warn": "warn: in the log, the receipt and the funnel",
                "stop": "stop: the run fails before the next stage",
                "off": "off",
            },
            section=QUALITY,
        ),
        "approve": Param(
            os.environ.get("MEGASCIENCE_APPROVE", "").lower() in ("1", "true", "yes"),
            title="Approve before publishing",
            description="Wait for a person who has seen the funnel and some rows (Required Actions).",
            type="boolean",
            section=QUALITY,
        ),
    }


def _advanced(recipe: Recipe, by_hand: bool) -> dict[str, Param]:
    return {
        "root": Param(
            os.environ.get("MEGASCIENCE_ROOT", ""),
            title="Root",
            description="Folder, or bucket and prefix, that holds batches, receipts and datasets.",
            type="string",
            minLength=int(by_hand),  # a schedule has to be able to start, and its first task says what is missing
            section=ADVANCED,
        ),
        "only_new": Param(
            not by_hand,
            title="Only new textbooks",
            description="Leave out files that another batch has looked at; where none is left, the run is skipped.",
            type="boolean",
            section=ADVANCED,
        ),
        "settings": Param(
            {},
            title="Settings",
            description='What single stages are told, by stage: {"refine_qa": {"max_unread": 0.05}}. Goes before the '
            "other fields.",
            type="object",
            propertyNames={"enum": recipe.names},
            additionalProperties={"type": "object"},
            section=ADVANCED,
        ),
    }
