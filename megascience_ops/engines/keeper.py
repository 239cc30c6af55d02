"""Keeps a command from outliving whoever started it. Run as a script, on the standard library alone:

    python keeper.py PARENT GRACE COMMAND...

Ends the command when asked to (SIGTERM) or when process PARENT is gone, however that died: SIGTERM first, after GRACE
seconds SIGKILL to its whole process group. When the command ends by itself, what is left of its group is killed too:
the workers of a server that crashed would go on holding the GPU's memory. Exits as the command did, or with
128 + the signal that ended it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

LOOK_SECONDS = 0.2  # between two looks at the command and at the parent
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def keep(parent: int, grace: float, command: list[str]) -> int:
    """Run the command to its end, to the end of `parent`, or until SIGTERM; its exit code."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, ask)
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=_dies_with_us())
    until = None
    while child.poll() is None:
        if until is None and (asked or os.getppid() != parent):
            child.terminate()
            until = time.monotonic() + grace
        if until is not None and time.monotonic() > until:
            break
        time.sleep(LOOK_SECONDS)
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS refuses where only the dead are
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _dies_with_us() -> Callable[[], object] | None:
    """On Linux the command dies even when this process is killed outright; nothing else is known to offer that."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(keep(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
