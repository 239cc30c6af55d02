"""The node of the small Kubernetes: pods as processes of this machine, with GPUs that are a number."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

GPU = "nvidia.com/gpu"
MESSAGE_BYTES = 2048  # of a log that become the termination message


class Pod:
    """A pod as the API shows it (`told`), and the process that it is."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.name = told, told["metadata"]["name"]
        self.log: list[tuple[datetime, bytes]] = []
        self.process: asyncio.subprocess.Process | None = None
        self.life: asyncio.Task[None] | None = None
        self.over = asyncio.Event()
        self.killed_for_memory = False
        told["status"] = {"phase": "Pending", "conditions": [], "startTime": None}

    @property
    def container(self) -> dict[str, Any]:
        return dict(self.told["spec"]["containers"][0])

    @property
    def phase(self) -> str:
        return str(self.told["status"]["phase"])

    @property
    def gpus(self) -> int:
        return int(self.container.get("resources", {}).get("limits", {}).get(GPU, 0))

    def condition(self, kind: str, value: str, reason: str = "", message: str = "") -> None:
        others = [one for one in self.told["status"]["conditions"] if one["type"] != kind]
        self.told["status"]["conditions"] = [
            *others,
            {"type": kind, "status": value, "reason": reason, "message": message},
        ]

    def state(self, state: dict[str, Any]) -> None:
        name, image = self.container["name"], self.container["image"]
        one = {"name": name, "image": image, "imageID": "", "ready": "running" in state, "restartCount": 0}
        self.told["status"]["containerStatuses"] = [{**one, "state": state}]

    def fail(self, reason: str | None = None, message: str = "") -> None:
        """The pod has failed; a container that ran is left as its process ended."""
        self.told["status"].update(phase="Failed", **({"reason": reason, "message": message} if reason else {}))

    def end_process(self, number: int) -> None:
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class FakeNode:
    """A node with so many GPUs. `images`: what can be pulled, each with the folder of its programs.

    `secrets` and `config_maps` hold environments by name.
    """

    def __init__(self, folder: Path, images: dict[str, Path], gpus: int) -> None:
        self.folder, self.images, self.gpus = folder, images, gpus
        self.secrets: dict[str, dict[str, str]] = {}
        self.config_maps: dict[str, dict[str, str]] = {}

    async def live(self, pod: Pod) -> None:
        told = pod.told
        try:
            while pod.gpus > self.gpus:
                why = f"0/1 nodes are available: 1 Insufficient {GPU}."
                pod.condition("PodScheduled", "False", "Unschedulable", why)
                await asyncio.sleep(0.05)
            self.gpus -= pod.gpus
        except asyncio.CancelledError:
            return
        try:
            pod.condition("PodScheduled", "True")
            if pod.container["image"] not in self.images:
                why = f"failed to pull and unpack image {pod.container['image']}: not found"
                pod.state({"waiting": {"reason": "ErrImagePull", "message": why}})
                await asyncio.Event().wait()
            pod.state({"waiting": {"reason": "ContainerCreating"}})
            code = await asyncio.wait_for(self._run(pod), told["spec"].get("activeDeadlineSeconds"))
            if code:
                pod.fail()
            else:
                told["status"]["phase"] = "Succeeded"
        except TimeoutError:
            pod.fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
        finally:
            pod.end_process(signal.SIGKILL)
            self.gpus += pod.gpus
            pod.over.set()

    async def _run(self, pod: Pod) -> int:
        container = pod.container
        pod.process = await asyncio.create_subprocess_exec(
            *container.get("command", []),
            *container.get("args", []),
            env=self._environment(pod),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        pod.state({"running": {"startedAt": stamp()}})
        pod.told["status"]["phase"] = "Running"
        assert pod.process.stdout is not None
        async for line in pod.process.stdout:
            pod.log.append((datetime.now(UTC), line))
        code = await pod.process.wait()
        code = 128 - code if code < 0 else code
        reason = "OOMKilled" if pod.killed_for_memory else "Error" if code else "Completed"
        ended: dict[str, Any] = {"exitCode": code, "reason": reason, "finishedAt": stamp()}
        if code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            ended["message"] = b"".join(line for _, line in pod.log)[-MESSAGE_BYTES:].decode("utf-8", "replace")
        pod.state({"terminated": ended})
        return code

    def _environment(self, pod: Pod) -> dict[str, str]:
        """What the image and the manifest say; a path in a mounted volume is one in a folder of the pod."""
        container, env = pod.container, {}
        for source in container.get("envFrom", []):
            for kind, named in (("secretRef", self.secrets), ("configMapRef", self.config_maps)):
                env |= named.get(source.get(kind, {}).get("name", ""), {})
        env |= {one["name"]: str(one["value"]) for one in container.get("env", []) if "value" in one}
        for mount in container.get("volumeMounts", []):
            path = mount["mountPath"]
            local = self.folder / pod.name / path.strip("/")
            local.mkdir(parents=True, exist_ok=True)
            env = {name: re.sub(f"^{path}(?=/|$)", str(local), value) for name, value in env.items()}
        return {**env, "PATH": f"{self.images[container['image']]}{os.pathsep}{os.environ['PATH']}"}

    async def end(self, pod: Pod, grace: float) -> None:
        """As Kubernetes does: asks the process to end, and after some seconds ends it."""
        pod.told["metadata"]["deletionTimestamp"] = stamp()
        pod.end_process(signal.SIGTERM)
        if pod.process:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pod.over.wait(), grace)
        pod.end_process(signal.SIGKILL)
        assert pod.life is not None
        pod.life.cancel()
        await asyncio.wait([pod.life])


def stamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
