"""What a stage's command loads: it is started at every task, so it should not load what it has no use for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import River

HEAVY = ("pyarrow", "numpy", "rich", "aiohttp", "pypdfium2", "megascience_ops.planning", "megascience_ops.looking")


def test_stage_that_stands_loads_no_library_for_rows_tables_or_servers(finished_river: River) -> None:
    where = [
        f"--root={finished_river.root}",
        f"--batch={finished_river.batch}",
        f"--textbooks={finished_river.textbooks}",
    ]
    code = f"""
import sys
from megascience_ops.cli import main
ended = main({["stage", "finalize", *where]!r})
print(ended, *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nothing to compute" in done.stderr
    assert done.stderr.splitlines()[-1] == "0"
