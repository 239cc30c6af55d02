"""The demo: textbooks in, dataset out, through Airflow, in one command. `make demo` runs this.

Reads $TEXTBOOKS, $BATCH and $ROOT; what is not set is taken from the examples. Ends with the exit code of the stage
that failed, if one did.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from local_airflow import AIRFLOW_HOME, REPOSITORY, environment, migrate, put_sample_data, running, say

DAG_ID = "textbook_reasoning"
LOG = AIRFLOW_HOME / "demo.log"
ROWS = 3

STARTED = "running "
DONE = re.compile(r"done: (\w+): (.*)")
FAILED = re.compile(r"(\w+) ended with exit code (-?\d+)")
NOTHING = "nothing to compute"


def main() -> int:
    """Run the recipe and show what came of it; the exit code."""
    env = environment()
    migrate(env)
    put_sample_data(env)
    say(f"Curating {env['MEGASCIENCE_TEXTBOOKS']} as batch {env['MEGASCIENCE_BATCH']} (log: {relative(LOG)})")
    started = time.monotonic()
    code, computed = run_recipe(env)
    if code:
        return code
    where = [f"--root={env['MEGASCIENCE_ROOT']}", f"--batch={env['MEGASCIENCE_BATCH']}"]
    for command in (["funnel", *where], ["sample", *where, f"--rows={ROWS}"]):
        code = subprocess.run([sys.executable, "-m", "megascience_ops", *command], cwd=REPOSITORY).returncode
        if code:
            return code
    took = f"in {time.monotonic() - started:.0f} s"
    say(f"Done {took}." if computed else f"Done {took}: nothing was computed, every stage was up to date.")
    return 0


def run_recipe(env: dict[str, str]) -> tuple[int, bool]:
    """Run the DAG, a line on the terminal for each stage; the exit code, and whether anything was computed."""
    computed, code, error = False, 0, ""
    env = {**env, "AIRFLOW__LOGGING__JSON_LOGS": "True"}
    with (
        LOG.open("w", encoding="utf-8") as log,
        running(["airflow", "dags", "test", DAG_ID], env, subprocess.PIPE) as process,
    ):
        before = time.monotonic()
        for level, line in lines(process):
            log.write(f"{level:<8} {line}\n")
            log.flush()
            if line.startswith(STARTED):
                before = time.monotonic()
            elif done := DONE.fullmatch(line):
                say(f"  {done[1]:<26}{time.monotonic() - before:5.1f} s  {done[2]}")
                code = 0
                computed = computed or not done[2].startswith(NOTHING)
            elif line.startswith("error: ") and level == "error":
                error = line
            elif failed := FAILED.fullmatch(line):
                code = int(failed[2])
                say(f"  {failed[1]:<26}{'':>7}  failed with exit code {code}")
        ended = process.wait()
    if code or ended:
        say(error or f"error: the run did not succeed, {relative(LOG)} says why")
        return (code if code > 0 else 1), computed
    return 0, computed


def lines(process: subprocess.Popen[str]) -> Iterator[tuple[str, str]]:
    """Level and text of each line that Airflow logs."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict):
            yield str(said.get("level", "info")), str(said.get("event", "")).rstrip()
            if traceback := said.get("error_detail") or said.get("exception"):
                yield "error", json.dumps(traceback)
        elif line.strip():
            yield "info", line.rstrip()


def relative(path: object) -> str:
    """A path as it is seen from the repository."""
    return str(path).removeprefix(f"{REPOSITORY}/")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; what is done is kept, so the same command goes on from here")
