"""The words around a dataset: its card, and its registration for LLaMA-Factory."""

from __future__ import annotations

import json
from collections.abc import Sequence

from megascience_ops import funnel
from megascience_ops.contamination.measuring import in_words
from megascience_ops.receipts import Receipt

COLUMNS = {
    "question": "a self-contained question",
    "answer": "its answer, with reasoning where `has_cot` says so",
    "subject": "one of the seven subjects",
    "reference_answer": "the answer alone, for scoring; null where there is no short one",
    "id": "book / passage / pair: finds the row in every earlier stage",
    "book_id": "the first 16 hex digits of the book's sha256",
    "book_title": "its title",
    "licence": "its licence, as stated by whoever supplied it",
    "section": "chapter or section of the passage",
    "page_start": "first page of the question, counted from 1",
    "page_end": "last page",
    "standard": "`high` (several steps of reasoning) or `low`",
    "answer_source": "`refined` (the book's answer) or `distilled` (a model's, that reaches the book's answer)",
    "has_cot": "does the answer reason?",
    "decontaminated": "was the question compared with benchmarks, and every verdict readable?",
}


def readme(recipe: str, batch: str, found: Sequence[Receipt], parts: Sequence[str], licences: Sequence[str]) -> str:
    """The dataset card, in the form that the Hugging Face hub reads."""
    rows = found[-1].total("rows_out") if found else 0
    columns = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items())
    return f"""---
configs:
- config_name: default
  data_files: "*.parquet"
task_categories:
- question-answering
---

# {recipe}, batch {batch}

{rows:,} rows curated from textbooks by megascience_ops.

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="*.parquet", split="train")
```

## Contamination

{_contamination(found)}

## Licences of the books

{chr(10).join(f"- {licence}" for licence in licences) or "- no books"}

## Columns

| column | meaning |
|---|---|
{columns}

## Yield

At each stage, rows in = kept + aside; `rows out` is what the kept rows became.

{funnel.markdown(found)}

## Who answered

{chr(10).join(_answered(receipt) for receipt in found if receipt.prompts)}

Training with LLaMA-Factory: `dataset_info.json` beside this file registers {", ".join(parts) or "nothing"}.
"""


def dataset_info(recipe: str, batch: str, parts: Sequence[str]) -> str:
    """LLaMA-Factory's registration: an entry a file, with its columns."""
    columns = {"prompt": "question", "response": "answer"}
    entries = {
        name: {"file_name": file, "columns": columns}
        for name, file in zip(names(recipe, batch, parts), parts, strict=True)
    }
    return json.dumps(entries, indent=2) + "\n"


def names(recipe: str, batch: str, parts: Sequence[str]) -> list[str]:
    """The names under which the files of a batch are registered."""
    return [f"{recipe}_{batch}_{file.split('.')[0].removeprefix('part-')}" for file in parts]


def _contamination(found: Sequence[Receipt]) -> str:
    by_stage = {receipt.stage: receipt for receipt in found}
    searched, judged = by_stage.get("find_neighbours"), by_stage.get("judge_contamination")
    if searched is None or judged is None:
        return "**Not decontaminated**: no benchmark was searched."
    files = sorted(name.removeprefix("benchmarks/") for name in searched.reads if name.startswith("benchmarks/"))
    if not files:
        return "**Not decontaminated**: the run had no benchmark files, so no question was compared with any."
    removed = judged.counted("reasons").get("contaminated", 0)
    told = [f"Compared with {len(files)} benchmark files ({', '.join(files)}): {removed} questions removed."]
    told += [said] if (said := in_words(judged.measured)) else []
    return "\n\n".join(
        [*told, "`certificate.json` has it for each benchmark, with its checksum and what came nearest."]
    )


def _answered(receipt: Receipt) -> str:
    engine = " ".join(receipt.engine[name] for name in ("kind", "model", "revision") if receipt.engine.get(name))
    return f"- {receipt.stage}: {engine}"
