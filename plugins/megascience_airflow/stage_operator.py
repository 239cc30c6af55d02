"""The one operator behind all stages: draws the arrow, checks that it fits, and runs the stage's command."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook, BaseOperator, TriggerRule
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from megascience_airflow.local import LocalCommand
from megascience_airflow.outcome import announce, nothing_came, skip_downstream
from megascience_airflow.run_settings import RunSettings, run_settings, stage_command
from megascience_airflow.telemetry import lineage, measure, progress
from megascience_ops.recipe import recipe
from megascience_ops.stage import DatasetStage, Stage

if TYPE_CHECKING:
    from airflow.sdk import Context

    from megascience_airflow.approval import ApproveOperator

KEY_VARIABLE = "OPENAI_API_KEY"
KEY_CONNECTION = "megascience_endpoint"


class StageOperator(BaseOperator):
    """Brings its stage up to date for the run's batch, and returns the summary of the receipt (at most 2 KB).

    `reads`: the operator whose rows this one takes in. `settings`: what this DAG tells the stage; what the trigger
    form says goes before it. A stage that the form leaves out is skipped, and those after it still run.
    """

    stage: ClassVar[Stage]
    template_fields: ClassVar[Sequence[str]] = ("settings",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json"}

    def __init__(
        self,
        *,
        reads: StageOperator | ApproveOperator | None = None,
        settings: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", TriggerRule.NONE_FAILED)
        kwargs.setdefault("doc_md", type(self).__doc__)
        super().__init__(task_id=task_id or self.stage.name, **kwargs)
        self.settings = dict(settings or {})
        self._command: LocalCommand | None = None
        self._ended: tuple[RunSettings, dict[str, Any]] | None = None
        self._check_fits(reads)
        if reads is not None:
            self.set_upstream(reads)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stage's command as a subprocess of the worker."""
        run = run_settings(context)
        if self.stage.name not in run.stages:
            raise AirflowSkipException(f"{self.stage.name} is not among the stages of this run")
        told = {**self.settings, **run.settings.get(self.stage.name, {})}
        command = stage_command(self.stage, run, told)
        self.log.info("running %s", shlex.join(command))
        self._command = LocalCommand(command, self._environment(run, told), self.log, self._tell(context))
        try:
            summary = self._command.run(self.stage.name)
        except AirflowSkipException:  # there is nothing new
            skip_downstream(self)
            raise
        return self.finish(context, run, summary)

    def finish(self, context: Context, run: RunSettings, summary: dict[str, Any]) -> dict[str, Any]:
        """What is done with a receipt's summary, whatever the runtime: log, asset events, and an early end."""
        self.log.info("done: %s: %s", self.stage.name, sentence(summary))
        self._ended = run, summary
        measure(run, summary)
        announce(context, self.outlets, run, summary)
        if nothing_came(self.stage, run, summary):
            self.log.info("no textbook here is new: the stages after this one are skipped")
            skip_downstream(self)
        return summary

    def on_kill(self) -> None:
        """End the command and all it started."""
        if self._command:
            self._command.stop()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage is told, where its provider is installed and switched on."""
        return lineage(recipe(self._ended[0].recipe), *self._ended) if self._ended else None

    def _tell(self, context: Context) -> Callable[[str], None]:
        """Keeps how far the stage is in the task's state, as its log lines say it."""

        def tell(line: str) -> None:
            if said := progress(line):
                context["task_state_store"].set("progress", said)

        return tell

    def _check_fits(self, reads: StageOperator | ApproveOperator | None) -> None:
        """Raises TypeError where what is upstream writes other rows than this stage reads."""
        wants, me = self.stage.reads.__name__, type(self).__name__
        if reads is None:
            if not (isinstance(self.stage, DatasetStage) and self.stage.source):
                raise TypeError(f"{me} reads {wants} rows: name the operator that writes them with reads=...")
        elif not issubclass(reads.stage.writes, self.stage.reads):
            gets = reads.stage.writes.__name__
            raise TypeError(f"{me} reads {wants} rows, but {type(reads).__name__} writes {gets} rows")

    def _environment(self, run: RunSettings, told: Mapping[str, Any]) -> dict[str, str]:
        """The worker's own environment, with the endpoint's key from its connection where the worker has none."""
        environment = dict(os.environ)
        engines = {run.engine, run.embedder.get("kind"), (told.get("engine") or {}).get("kind")}
        if KEY_VARIABLE not in environment and "endpoint" in engines:
            # a server of one's own may ask for no key, and then there is no connection either
            with contextlib.suppress(AirflowNotFoundException):
                environment[KEY_VARIABLE] = BaseHook.get_connection(KEY_CONNECTION).password or ""
        return environment


def sentence(summary: Mapping[str, Any]) -> str:
    """A receipt's summary for people, in one line."""
    if not summary["computed_parts"]:
        return f"nothing to compute, {summary['rows_out']} rows stand"
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary["reasons"].items())
    aside = f", {summary['rows_aside']} aside ({reasons})" if reasons else ""
    return f"{summary['rows_in']} rows in, {summary['rows_out']} out{aside}"
