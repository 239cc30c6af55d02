"""A small Kubernetes for tests: the part of its API that a KubernetesPodOperator uses, with pods as processes here.

The operator, its trigger and both Kubernetes clients are the real ones; the kubelet and the scheduler are this. It
runs in a thread, so that a test can do to a pod what the world does: take its node, its memory, its priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml
from aiohttp import web

from tests.airflow.fake_node import FakeNode, Pod, stamp

T = TypeVar("T")


class FakeKubernetes(FakeNode):
    """A cluster of one node. `calls` counts requests by method and kind of path."""

    def __init__(self, folder: Path, images: dict[str, Path], gpus: int = 0) -> None:
        super().__init__(folder, images, gpus)
        self.pods: dict[str, Pod] = {}
        self.created: list[dict[str, Any]] = []  # every pod that was ever asked for, as it was asked for
        self.calls: Counter[str] = Counter()
        self.forbids = ""  # with these words, to start a pod
        self._versions, self._port = itertools.count(1), 0
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    # --- what a test does ---

    def up(self) -> None:
        """Answer, at the same address as before."""
        self._do(self._up())

    def down(self) -> None:
        """Answer no more; the pods go on."""
        self._do(self._down())

    def close(self) -> None:
        for pod in list(self.pods.values()):
            self._do(self._delete(pod, grace=0))
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def write_kubeconfig(self, path: Path) -> None:
        """How to reach this cluster."""
        named = {"name": "fake"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{**named, "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
            "users": [{**named, "user": {"token": "fake"}}],
            "contexts": [{**named, "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")

    def delete(self, pod: Pod) -> None:
        self._do(self._delete(pod, grace=2))

    def preempt(self, pod: Pod) -> None:
        """A pod of higher priority takes its place: told it, and deleted."""
        pod.condition(
            "DisruptionTarget", "True", "PreemptionByScheduler", "preempting to accommodate a higher priority pod"
        )
        self.delete(pod)

    def lose_node(self, pod: Pod) -> None:
        """Its node is gone, with whatever ran there; the pod is left as failed."""

        async def lose() -> None:
            pod.end_process(signal.SIGKILL)
            await pod.over.wait()
            pod.condition(
                "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
            )
            pod.fail("NodeLost", "Node which was running pod is unresponsive")

        self._do(lose())

    def kill_for_memory(self, pod: Pod) -> None:
        pod.killed_for_memory = True
        self._loop.call_soon_threadsafe(pod.end_process, signal.SIGKILL)

    async def _delete(self, pod: Pod, grace: float) -> None:
        await self.end(pod, grace)
        self.pods.pop(pod.name, None)

    # --- what the API says ---

    async def _up(self) -> None:
        app = web.Application(middlewares=[self._count])
        pods, events = "/api/v1/namespaces/{namespace}/pods", "/api/v1/namespaces/{namespace}/events"
        app.add_routes(
            [
                web.post(pods, self._create),
                web.get(pods, self._list),
                web.get(pods + "/{name}", self._on_pod(self._get)),
                web.patch(pods + "/{name}", self._on_pod(self._patch)),
                web.delete(pods + "/{name}", self._on_pod(self._remove)),
                web.get(pods + "/{name}/log", self._on_pod(self._logs)),
                web.get(events, self._events),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _down(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        resource = request.match_info.route.resource
        kind = resource.canonical.rpartition("/")[2] if resource else request.path
        self.calls[f"{request.method} {kind.replace('{name}', 'pod')}"] += 1
        answer: web.StreamResponse = await handler(request)
        return answer

    def _on_pod(
        self, handler: Callable[[web.Request, Pod], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            name = request.match_info["name"]
            if name not in self.pods:
                return problem(404, "NotFound", f'pods "{name}" not found')
            return await handler(request, self.pods[name])

        return handle

    async def _create(self, request: web.Request) -> web.Response:
        if self.forbids:
            return problem(403, "Forbidden", self.forbids)
        told = await request.json()
        self.created.append(json.loads(json.dumps(told)))
        name = told["metadata"]["name"]
        if name in self.pods:
            return problem(409, "AlreadyExists", f'pods "{name}" already exists')
        told["metadata"] |= {"uid": f"uid-{name}", "creationTimestamp": stamp()}
        told["metadata"].setdefault("namespace", request.match_info["namespace"])
        pod = self.pods[name] = Pod(told)
        pod.life = asyncio.create_task(self.live(pod))
        return self._shown(pod, 201)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query.get("labelSelector", "")
        found = [pod.told for pod in self.pods.values() if selected(wanted, pod.told["metadata"].get("labels", {}))]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})

    async def _get(self, request: web.Request, pod: Pod) -> web.Response:
        return self._shown(pod)

    async def _patch(self, request: web.Request, pod: Pod) -> web.Response:
        change = await request.json()
        pod.told["metadata"].setdefault("labels", {}).update(change.get("metadata", {}).get("labels", {}))
        return self._shown(pod)

    async def _remove(self, request: web.Request, pod: Pod) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        said = request.query.get("gracePeriodSeconds") or (body or {}).get("gracePeriodSeconds")
        grace = float(said) if said is not None else pod.told["spec"].get("terminationGracePeriodSeconds", 30)
        pod.told["metadata"]["deletionTimestamp"] = stamp()
        self._deleting = asyncio.create_task(self._delete(pod, grace))
        return self._shown(pod)

    async def _logs(self, request: web.Request, pod: Pod) -> web.StreamResponse:
        since = datetime.now(UTC).timestamp() - float(request.query.get("sinceSeconds", "inf"))
        stamped, follow = (request.query.get(name, "").lower() == "true" for name in ("timestamps", "follow"))
        if pod.process is None:
            return problem(400, "BadRequest", f"container base in pod {pod.name} is waiting to start")
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        for number in itertools.count():
            while number >= len(pod.log) and follow and not pod.over.is_set():
                await asyncio.sleep(0.05)
            if number >= len(pod.log):
                return answer
            at, line = pod.log[number]
            if at.timestamp() >= since:
                await answer.write((f"{at:%Y-%m-%dT%H:%M:%S.%f000Z} ".encode() if stamped else b"") + line)
        raise AssertionError

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """There are none; a watch lasts as long as it was asked to."""
        if request.query.get("watch", "").lower() == "true":
            answer = web.StreamResponse()
            await answer.prepare(request)
            await asyncio.sleep(float(request.query.get("timeoutSeconds", 1)))
            return answer
        return web.json_response(
            {"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        )

    def _shown(self, pod: Pod, status: int = 200) -> web.Response:
        pod.told["metadata"]["resourceVersion"] = str(next(self._versions))
        return web.json_response(pod.told, status=status)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextlib.contextmanager
def fake_kubernetes(folder: Path, images: dict[str, Path], gpus: int = 0) -> Iterator[FakeKubernetes]:
    """A cluster for as long as the context lasts."""
    cluster = FakeKubernetes(folder, images, gpus)
    cluster.up()
    try:
        yield cluster
    finally:
        cluster.close()


def selected(selector: str, labels: dict[str, str]) -> bool:
    """Does a label selector, of the kinds a=b, a!=b and !a, hold?"""
    for term in filter(None, selector.split(",")):
        name, equals, value = term.partition("=")
        if not equals:
            holds = name[1:] not in labels if name.startswith("!") else name in labels
        elif name.endswith("!"):
            holds = labels.get(name[:-1]) != value
        else:
            holds = labels.get(name) == value.lstrip("=")
        if not holds:
            return False
    return True


def problem(code: int, reason: str, message: str) -> web.Response:
    said = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return web.json_response(said, status=code)
