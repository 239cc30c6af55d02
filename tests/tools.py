"""The scripts in $MEGASCIENCE_TOOLS, which bring up real servers for the tests that want them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TOOLS = os.environ.get("MEGASCIENCE_TOOLS", "")


def tool(name: str, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What one of the scripts prints."""
    done = subprocess.run(
        [str(Path(TOOLS).absolute() / name), *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{name} {' '.join(arguments)} failed, see above"
    return done.stdout.strip()
