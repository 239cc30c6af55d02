"""A person's word before a batch is published, where the trigger form asks for one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from megascience_airflow.run_settings import RunSettings, run_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from megascience_airflow.stage_operator import StageOperator

ROWS = 3
LONG = 1500  # characters of a column that are shown


class ApproveOperator(ApprovalOperator):
    """Shows the funnel and a few rows, and waits for Approve or Reject under Required Actions.

    Skipped unless the run asks for approval, and publishing goes on; where it is rejected, publishing is skipped.
    """

    def __init__(self, *, reads: StageOperator, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.NONE_FAILED)
        kwargs.setdefault("doc_md", type(self).__doc__)
        super().__init__(task_id="approve", subject="Publish this batch?", **kwargs)
        self.stage = reads.stage  # whose rows it lets pass
        self.set_upstream(reads)

    def execute(self, context: Context) -> Any:
        """Put the question, or skip it."""
        if not context["params"]["approve"]:
            raise AirflowSkipException("this run asks for no approval")
        run = run_settings(context)
        if "publish" not in run.stages:
            raise AirflowSkipException("this run publishes nothing")
        self.subject, self.body = f"Publish batch {run.batch}?", question(run, self.stage.name)
        return super().execute(context)


def question(run: RunSettings, last: str) -> str:
    """What is to be decided, in Markdown: the funnel up to the stage `last`, its gates' warnings, some of its rows.

    Raises AirflowSkipException where that stage has not finished: then there is nothing to publish either.
    """
    from megascience_ops import funnel
    from megascience_ops.looking.samples import samples
    from megascience_ops.recipe import recipe
    from megascience_ops.storage import Store

    store, flow = Store(run.root), recipe(run.recipe)
    found = [receipt for receipt in funnel.finished(store, flow, run.batch) if receipt.stage != "publish"]
    if not found or found[-1].stage != last:
        raise AirflowSkipException(f"{last} of batch {run.batch} has not finished: there is nothing to publish")
    warnings = [f"- {sentence}" for receipt in found for sentence in receipt.warnings]
    count = found[-1].total("rows_out")
    rows = [sample.after for sample in samples(store, None, found[-1], ROWS)]
    return "\n\n".join(
        [
            f"Ready in {run.root}: **{count:,} row{'s' * (count != 1)}**.",
            funnel.markdown(found),
            *(["**What the gates say**", "\n".join(warnings)] if warnings else []),
            *(f"**{row['id']}**\n\n{verbatim(_shown(row))}" for row in rows),
        ]
    )


def verbatim(text: str) -> str:
    """Text of a book as Markdown that shows it and does nothing: in a fence that is longer than any in it."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall(r"`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _shown(row: dict[str, Any]) -> str:
    columns = [f"{name}: {row.get(name)}" for name in ("subject", "question", "answer", "reference_answer")]
    return "\n\n".join(text if len(text) <= LONG else f"{text[:LONG]} ..." for text in columns)
