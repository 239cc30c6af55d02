"""The kubernetes runtime: a stage's command in a pod, watched without a worker, and what it means how the pod ends.

Imported by a task that starts a pod, and by nothing else: Kubernetes' client is slow to import.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import TRANSIENT_STATUS_CODES
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodNotFoundException
from airflow.sdk.exceptions import AirflowException
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from megascience_airflow.endings import StageFailed, StageInterrupted, StageOutOfMemory, StageRefused, ending
from megascience_airflow.pod_settings import BASE, PODS, PodKind, PodSettings
from megascience_airflow.pod_trigger import StagePodTrigger

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
    from airflow.sdk import Context
    from kubernetes.client.models import V1Pod

IMAGE_TROUBLE = ("InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff")


class StagePod(KubernetesPodOperator):
    """The pod of one stage's command. It is deferred at once: no worker waits for it, the triggerer looks at it.

    A pod that is there from an earlier try goes on. None outlives the task, however it ends.
    """

    def __init__(self, *, stage: str, command: Sequence[str], pods: PodSettings, kind: PodKind, **kwargs: Any) -> None:
        super().__init__(
            task_id=stage,
            name=f"megascience-{stage}",
            namespace=pods.namespace,
            kubernetes_conn_id=pods.connection,
            service_account_name=pods.service_account,
            image=kind.image or pods.image,
            cmds=list(command),
            pod_template_dict=kind.manifest(),
            labels={"megascience.io/stage": stage},
            active_deadline_seconds=int(kind.deadline_hours * 3600),
            schedule_timeout_seconds=int(kind.schedule_minutes * 60),
            startup_timeout_seconds=int(kind.startup_minutes * 60),
            startup_check_interval_seconds=max(1, min(5, round(pods.poll_seconds))),  # Kubernetes refuses fractions
            deferrable=True,
            poll_interval=pods.poll_seconds,
            logging_interval=pods.logging_seconds,
            termination_message_policy="FallbackToLogsOnError",  # so that the last line is in the pod's status
            do_xcom_push=False,  # no sidecar: the receipt is on storage
            log_pod_spec_on_failure=False,
            log_events_on_failure=True,
            **kwargs,
        )
        self._stage, self._kind = stage, kind
        self._context: Context | None = None

    def start(self, context: Context, shards: int) -> None:
        """Start the pod, or find the one that is there, and wait for it. Raises TaskDeferred, unless it has ended.

        `shards` comes back in the event with which the task resumes.
        """
        self._context = context
        self.name = self._set_name(self.name)
        self.trigger_kwargs = {"shards": shards}
        with self._cluster_answers():
            self.execute_async(context)

    def defer(self, *, trigger: KubernetesPodTrigger, **kwargs: Any) -> NoReturn:
        """Wait for the pod by a trigger of ours. Raises TaskDeferred."""
        super().defer(trigger=StagePodTrigger(**trigger.serialize()[1]), **kwargs)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Take up after the trigger. Raises TaskDeferred where the pod goes on, and what its end means otherwise."""
        self._context = context
        self.trigger_kwargs = {"shards": event["shards"]}
        try:
            with self._cluster_answers():
                super().trigger_reentry(context, event)
        except PodNotFoundException as error:
            raise gone(self._stage, event["name"]) from error
        except (StageFailed, StageRefused):
            raise
        except AirflowException as error:
            if self.pod is None:
                raise gone(self._stage, event["name"]) from error
            raise meaning(self._stage, self.pod, self._kind, str(event.get("message"))) from error

    def clear_away(self, context: Context) -> None:
        """Delete the pods that earlier tries of this task have left."""
        self._context = context
        if context["ti"].try_number > 1:
            with self._cluster_answers():
                self._delete_all()

    def on_kill(self) -> None:
        """Delete the pod, also one whose creation was interrupted."""
        super().on_kill()
        if self._context:  # else none was started, and without it the labels would be those of all lanes and runs
            self._delete_all()

    def _delete_all(self) -> None:
        namespace = self.namespace or self.hook.get_namespace() or self._incluster_namespace or "default"
        selector = self._build_find_pod_label_selector(self._context, exclude_checked=False)
        for pod in self.client.list_namespaced_pod(namespace, label_selector=selector).items:
            self.log.info("deleting pod %s", pod.metadata.name)
            try:
                self.client.delete_namespaced_pod(pod.metadata.name, namespace)
            except ApiException as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise

    @contextlib.contextmanager
    def _cluster_answers(self) -> Iterator[None]:
        """Raises StageFailed where the cluster does not answer, StageRefused where it refuses."""
        try:
            yield
        except HTTPError as error:
            raise StageFailed(
                f"{self._stage}: the cluster does not answer ({error}); a pod that runs goes on, and is taken up"
            ) from error
        except ApiException as error:
            if error.status in TRANSIENT_STATUS_CODES:
                raise StageFailed(f"{self._stage}: the cluster answers {error.status} {error.reason}") from error
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                error.reason = json.loads(error.body)["message"]
            raise StageRefused(
                f"{self._stage}: the cluster refuses: {error.reason}; mend ${PODS}, or the rights of the account that "
                f"starts pods"
            ) from error


def gone(stage: str, pod: str) -> AirflowException:
    """What it means that a pod is not there any more."""
    return StageInterrupted(f"{stage}: its pod {pod} is gone, deleted or lost with its node")


def meaning(stage: str, pod: V1Pod, kind: PodKind, message: str) -> AirflowException:
    """What it means that a pod did not end well: by its status, or by the trigger's message where that says less."""
    status = pod.status
    container = next((one for one in status.container_statuses or [] if one.name == BASE), None)
    waiting, ended = (container.state.waiting, container.state.terminated) if container else (None, None)
    conditions = {one.type: one for one in status.conditions or []}
    if container and waiting and waiting.reason in IMAGE_TROUBLE:
        why = waiting.message or "no more is said"
        return StageRefused(
            f"{stage}: image {container.image} cannot be pulled ({waiting.reason}: {why}); "
            f"mend `image` in ${PODS}, or give the nodes access to it"
        )
    if ended and ended.reason == "OOMKilled":
        return StageOutOfMemory(
            f"{stage}: its pod was killed for its memory; tried again it goes on from what it has; where that happens "
            f"again, raise `memory` of its kind in ${PODS}"
        )
    if status.reason == "DeadlineExceeded":
        return StageFailed(
            f"{stage}: its pod ran for {kind.deadline_hours:g} hours; what it did is kept; where that is not enough, "
            f"raise `deadline_hours` of its kind in ${PODS}"
        )
    disruption = conditions.get("DisruptionTarget")
    if status.reason or (disruption and disruption.status == "True"):
        why = status.message or (disruption.message if disruption else "") or "no more is said"
        return StageInterrupted(
            f"{stage}: its pod was ended from outside ({status.reason or disruption.reason}: {why})"
        )
    if ended and ended.exit_code:
        last = ((ended.message or "").strip().splitlines() or [""])[-1]
        return ending(stage, ended.exit_code, last)
    scheduled = conditions.get("PodScheduled")
    if status.phase == "Pending" and not (scheduled and scheduled.status == "True"):
        why = scheduled.message if scheduled and scheduled.message else message
        return StageRefused(
            f"{stage}: no node took its pod for {kind.schedule_minutes:g} minutes ({why}); add nodes, or mend what its "
            f"kind asks for in ${PODS}: {kind.gpus} GPUs, node selector {kind.node_selector or 'none'}"
        )
    if status.phase == "Pending":
        return StageFailed(
            f"{stage}: its pod did not start within {kind.startup_minutes:g} minutes: is its image very large, or a "
            f"volume missing? `kubectl describe pod` says; `startup_minutes` of its kind in ${PODS} may be raised"
        )
    return StageFailed(f"{stage}: its pod ended as {status.phase}: {message}")
