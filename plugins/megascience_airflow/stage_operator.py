"""The one operator behind all stages: draws the arrow, checks that it fits, and runs the stage's command.

The command runs in the worker or in a pod: `pod_settings.py` says which stage runs where, and nothing else differs.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook, BaseOperator, TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from megascience_airflow.endings import RETRIES, StageRefused
from megascience_airflow.local import LocalCommand
from megascience_airflow.outcome import announce, skip_downstream, skip_what_is_left_out, why_last
from megascience_airflow.params import most_lanes
from megascience_airflow.pod_settings import IN_THE_POD, PodKind, pod_settings
from megascience_airflow.run_settings import RunSettings, run_settings, stage_command, told
from megascience_airflow.telemetry import lineage, measure, progress
from megascience_ops.config import AskingConfig, EmbeddingConfig
from megascience_ops.recipe import recipe
from megascience_ops.stage import DatasetStage, Stage

if TYPE_CHECKING:
    from airflow.sdk import Context

    from megascience_airflow.approval import ApproveOperator
    from megascience_airflow.stage_pod import StagePod

KEY_VARIABLE = "OPENAI_API_KEY"
KEY_CONNECTION = "megascience_endpoint"
LANE_LABEL = "lane {{ task.lane + 1 }}/{{ params.lanes }}"


class StageOperator(BaseOperator):
    """Brings its stage up to date for the run's batch, and returns the summary of the receipt (at most 2 KB).

    `reads`: the operator whose rows this one takes in. `settings`: what this DAG tells the stage; what the trigger
    form says goes before it. A stage that the form leaves out is skipped, and those after it still run. `lane`: which
    of the run's lanes this is; see `in_lanes`.
    """

    stage: ClassVar[Stage]
    template_fields: ClassVar[Sequence[str]] = ("settings",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json"}

    def __init__(
        self,
        *,
        reads: StageOperator | MappedOperator | ApproveOperator | None = None,
        settings: Mapping[str, Any] | None = None,
        lane: int | None = None,
        task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(task_id=task_id or self.stage.name, **{**self._defaults(), **kwargs})
        self.settings = dict(settings or {})
        self.lane = lane
        self._command: LocalCommand | None = None
        self._pod: StagePod | None = None
        self._ended: tuple[RunSettings, dict[str, Any]] | None = None
        if lane is None:  # the arrow to a lane is drawn by `in_lanes`
            self._check_fits(reads)
            if reads is not None:
                self.set_upstream(reads)

    @classmethod
    def in_lanes(cls, *, reads: StageOperator | MappedOperator, **kwargs: Any) -> StageOperator | MappedOperator:
        """The stage as mapped tasks, as many as a run can have lanes; as one task where that is one.

        A run uses as many of them as its form says, and skips the others.
        """
        if most_lanes() == 1:
            return cls(reads=reads, **kwargs)
        cls._check_fits(reads)
        kwargs = {"task_id": cls.stage.name, "map_index_template": LANE_LABEL, **cls._defaults(), **kwargs}
        lanes = cls.partial(**kwargs).expand(lane=list(range(most_lanes())))
        lanes.set_upstream(reads)
        return lanes

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stage's command, as a subprocess of the worker or in a pod."""
        run, kind = run_settings(context), self._pod_kind()
        if not self.upstream_task_ids:
            skip_what_is_left_out(self, run)
        if self.stage.name not in run.stages:
            raise AirflowSkipException(f"{self.stage.name} is not among the stages of this run")
        if (self.lane or 0) >= run.lanes:
            raise AirflowSkipException(f"this run has {run.lanes} of the lanes that there can be")
        with self._nothing_new_ends_the_run():
            if kind:
                summary = self._in_pod(context, run, kind)
            else:
                command = self._stage_command(run)
                self.log.info("running %s", shlex.join(command))
                summary = self._run(command, run, self._tell(context))
        return self.finish(context, run, summary)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take up where the pod has ended, or its trigger has something to say."""
        run, kind = run_settings(context), self._pod_kind()
        if kind is None:
            raise StageRefused(f"{self.stage.name} runs in a pod that the worker's $MEGASCIENCE_PODS does not know")
        self._pod = self._new_pod(run, kind)
        with self._nothing_new_ends_the_run():
            self._pod.trigger_reentry(context, event)
        return self.finish(context, run, self._ended_well(run, event["shards"]))

    def finish(self, context: Context, run: RunSettings, summary: dict[str, Any]) -> dict[str, Any]:
        """What is done with a receipt's summary, whatever the runtime: log, asset events, and an early end."""
        self.log.info("done: %s: %s", self.stage.name, sentence(summary))
        if "receipt" not in summary:  # the last lane to finish has it
            return summary
        self._ended = run, summary
        measure(run, summary)
        announce(context, self.outlets, run, summary)
        if why := why_last(self.stage, run, summary):
            self.log.info("%s: what comes after it is skipped", why)
            skip_downstream(self)
        return summary

    def on_kill(self) -> None:
        """End the command and all it started, the pod too."""
        if self._command:
            self._command.stop()
        if self._pod:
            self._pod.on_kill()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage is told, where its provider is installed and switched on."""
        return lineage(recipe(self._ended[0].recipe), *self._ended) if self._ended else None

    def _tell(self, context: Context) -> Callable[[str], None]:
        """Keeps how far the stage is in the task's state, as its log lines say it."""

        def tell(line: str) -> None:
            if said := progress(line):
                context["task_state_store"].set("progress", said)

        return tell

    def _in_pod(self, context: Context, run: RunSettings, kind: PodKind) -> dict[str, Any]:
        """Leave the command to a pod, unless nothing is left to compute. Raises TaskDeferred until it has ended."""
        self._pod = self._new_pod(run, kind)
        found = self._run([*self._stage_command(run), "--no-compute"], run)
        if not (shards := found.get("to_compute")):
            self._pod.clear_away(context)
            return found
        self._pod.start(context, shards)
        return self._ended_well(run, shards)

    def _ended_well(self, run: RunSettings, shards: int) -> dict[str, Any]:
        """What storage says after a pod that ended well: its receipt, never what it wrote to a log."""
        run = replace(run, recompute=())  # that was for the pod
        found = self._run([*self._stage_command(run), "--no-compute"], run)
        if left := found.get("to_compute"):
            raise StageRefused(
                f"{self.stage.name}: its pod ended well, but {left} of its shards are not in {run.root}: pods and "
                f"workers have to see the same root, and run the same version of megascience_ops"
            )
        return {**found, "computed_parts": shards} if "receipt" in found else found

    def _run(
        self, command: list[str], run: RunSettings, tell: Callable[[str], None] = lambda line: None
    ) -> dict[str, Any]:
        self._command = LocalCommand(command, self._environment(run), self.log, tell)
        return self._command.run(self.stage.name)

    @contextlib.contextmanager
    def _nothing_new_ends_the_run(self) -> Iterator[None]:
        try:
            yield
        except AirflowSkipException:
            skip_downstream(self)
            raise

    def _stage_command(self, run: RunSettings, **python: str) -> list[str]:
        """The stage's command, the same wherever it runs but for the name of its Python."""
        lanes = run.lanes if self.lane is not None else 1
        return stage_command(self.stage, run, told(self.stage, self.settings, run), self.lane or 0, lanes, **python)

    @classmethod
    def _pod_kind(cls) -> PodKind | None:
        pods = pod_settings()
        return pods.kind(cls.stage.name) if pods else None

    def _new_pod(self, run: RunSettings, kind: PodKind) -> StagePod:
        from megascience_airflow.stage_pod import StagePod

        pods = pod_settings()
        assert pods is not None
        if self._engine(run) not in IN_THE_POD:
            kind = kind.without_gpus()
        return StagePod(stage=self.stage.name, command=self._stage_command(run, python="python"), pods=pods, kind=kind)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """What a task of this stage is told unless the DAG says otherwise."""
        defaults: dict[str, Any] = {
            "trigger_rule": TriggerRule.NONE_FAILED,
            "doc_md": cls.__doc__,
            "retry_policy": RETRIES,
        }
        if kind := cls._pod_kind():
            defaults |= {name: value for name, value in {"pool": kind.pool, "retries": kind.retries}.items() if value}
            if kind.pool and kind.gpus:
                defaults["pool_slots"] = kind.gpus
        return defaults

    @classmethod
    def _check_fits(cls, reads: StageOperator | MappedOperator | ApproveOperator | None) -> None:
        """Raises TypeError where what is upstream writes other rows than this stage reads."""
        wants, me = cls.stage.reads.__name__, cls.__name__
        if reads is None:
            if not (isinstance(cls.stage, DatasetStage) and cls.stage.source):
                raise TypeError(f"{me} reads {wants} rows: name the operator that writes them with reads=...")
            return
        writer: Any = reads.operator_class if isinstance(reads, MappedOperator) else reads
        if not issubclass(writer.stage.writes, cls.stage.reads):
            gets = writer.stage.writes.__name__
            raise TypeError(f"{me} reads {wants} rows, but {reads.task_type} writes {gets} rows")

    def _environment(self, run: RunSettings) -> dict[str, str]:
        """The worker's own environment, with the endpoint's key from its connection where the worker has none."""
        environment = dict(os.environ)
        if KEY_VARIABLE not in environment and self._engine(run) == "endpoint":
            # a server of one's own may ask for no key, and then there is no connection either
            with contextlib.suppress(AirflowNotFoundException):
                environment[KEY_VARIABLE] = BaseHook.get_connection(KEY_CONNECTION).password or ""
        return environment

    def _engine(self, run: RunSettings) -> str | None:
        """The kind of engine that the stage asks, if it asks any."""
        own = told(self.stage, self.settings, run)[self.stage.name]
        if issubclass(self.stage.config, AskingConfig):
            return str(own.get("engine", {}).get("kind", run.engine))
        if issubclass(self.stage.config, EmbeddingConfig):
            return str(own.get("embedder", {}).get("kind", run.embedder["kind"]))
        return None


def sentence(summary: Mapping[str, Any]) -> str:
    """A receipt's summary for people, in one line."""
    if waiting_for := summary.get("waiting_for"):
        return f"its share is done, waiting for {waiting_for}"
    if not summary["computed_parts"]:
        return f"nothing to compute, {summary['rows_out']} rows stand"
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary["reasons"].items())
    aside = f", {summary['rows_aside']} aside ({reasons})" if reasons else ""
    return f"{summary['rows_in']} rows in, {summary['rows_out']} out{aside}"
