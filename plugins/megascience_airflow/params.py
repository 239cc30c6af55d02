"""The trigger form of a recipe: what a person is asked before a run, with what is allowed in each field.

The fields in everyday use have no section, and so are the ones that the form opens with.
"""

from __future__ import annotations

import os

from airflow.sdk import Param

from megascience_ops.recipe import Recipe

BATCH = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
ADVANCED = "Advanced"


def trigger_form(recipe: Recipe) -> dict[str, Param]:
    """The params of a recipe's DAG. $MEGASCIENCE_TEXTBOOKS, _BATCH and _ROOT are the defaults of their fields."""
    stages = recipe.names
    some_stages = {
        "type": "array",
        "items": {"type": "string", "enum": stages},
        "examples": stages,
        "uniqueItems": True,
    }
    return {
        "textbooks": Param(
            os.environ.get("MEGASCIENCE_TEXTBOOKS"),
            title="Textbooks",
            description="Folder, or bucket and prefix (s3://...), with the PDF, Markdown, HTML, EPUB or text files. "
            "A textbooks.csv beside them may state licence, access, title and more.",
            type=["string", "null"],
        ),
        "batch": Param(
            os.environ.get("MEGASCIENCE_BATCH", "default"),
            title="Batch",
            description="Name under which these textbooks are curated: letters, digits, dot, hyphen, underscore. "
            "The same name again goes on where the last run ended.",
            type="string",
            pattern=BATCH,
        ),
        "engine": Param(
            "rules",
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
            None,
            title="Endpoint URL",
            description="Address of the server, up to and with /v1, where the engine is endpoint. Its key is never "
            "typed here: the workers take it from $OPENAI_API_KEY or from the connection megascience_endpoint.",
            type=["string", "null"],
            pattern=r"^(https?://\S+)?$",
        ),
        "model": Param(
            None,
            title="Model",
            description="Name of the model, as the server calls it; for vllm also a folder with its weights.",
            type=["string", "null"],
        ),
        "limit": Param(
            None,
            title="Limit",
            description="At most so many textbooks, the first by path; empty for all.",
            type=["integer", "null"],
            minimum=1,
        ),
        "root": Param(
            os.environ.get("MEGASCIENCE_ROOT", ""),
            title="Root",
            description="Folder, or bucket and prefix, that holds batches, receipts and datasets.",
            type="string",
            minLength=1,
            section=ADVANCED,
        ),
        "stages": Param(
            stages,
            title="Stages",
            description="The stages to run; the others are skipped and what they made before is used.",
            section=ADVANCED,
            minItems=1,
            **some_stages,
        ),
        "recompute": Param(
            [],
            title="Recompute",
            description="Stages to compute again although nothing changed. Kept completions are still used.",
            section=ADVANCED,
            **some_stages,
        ),
        "settings": Param(
            {},
            title="Settings",
            description='What single stages are told, by stage: {"refine_qa": {"max_unread": 0.05}}.',
            type="object",
            propertyNames={"enum": stages},
            additionalProperties={"type": "object"},
            section=ADVANCED,
        ),
    }
