"""The demo: textbooks in, dataset out, through Airflow, in one command. `make demo` runs this.

Reads $TEXTBOOKS, $BATCH and $ROOT; what is not set is taken from the examples. Ends with the exit code of the stage
that failed, if one did.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from local_airflow import REPOSITORY, STATE, environment, migrate, put_sample_data, running, say

DAG_ID = "textbook_reasoning"
AIRFLOW_HOME = STATE / "demo"  # apart from the UI's, which would go on with a run that was interrupted
LOG = STATE / "demo.log"
ROWS = 3

STARTED = "running "
DONE = re.compile(r"done: (\w+): (.*)")
FAILED = re.compile(r"(\w+) ended with exit code (-?\d+)")
ERROR = "error: "
TRY_AGAIN = 75
NOTHING = "nothing to compute"


def main() -> int:
    """Run the recipe and show what came of it; the exit code."""
    env = environment(AIRFLOW_HOME)
    migrate(env, AIRFLOW_HOME)
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
    computed, error, started = False, "", time.monotonic()
    env = {**env, "AIRFLOW__LOGGING__JSON_LOGS": "True"}
    with (
        LOG.open("w", encoding="utf-8") as log,
        running(["airflow", "dags", "test", DAG_ID], env, subprocess.PIPE, patience=5) as process,
    ):
        for line in lines(process):
            log.write(f"{line}\n")
            log.flush()
            if line.startswith(STARTED):
                started = time.monotonic()
            elif done := DONE.fullmatch(line):
                say(f"  {done[1]:<26}{time.monotonic() - started:5.1f} s  {done[2]}")
                computed = computed or not done[2].startswith(NOTHING)
            elif line.startswith(ERROR):
                error = line
            elif failed := FAILED.fullmatch(line):
                again = int(failed[2]) == TRY_AGAIN
                say(f"  {failed[1]:<26}{time.monotonic() - started:5.1f} s  failed{', and is tried again' * again}")
                if not again:
                    process.send_signal(signal.SIGINT)  # it would wait for the other tasks, and heeds no SIGTERM
                    return failure(int(failed[2]), error), computed
        code = process.wait()
    return (failure(code, error) if code else 0), computed


def failure(code: int, error: str) -> int:
    """Say why the run failed; the exit code for it (a command ended by a signal has none of its own)."""
    say(error or f"error: the run did not succeed, {relative(LOG)} says why")
    return code if code > 0 else 1


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What Airflow logs, line by line, as text."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            yield line.rstrip()
            continue
        yield str(said.get("event", "")).rstrip()
        for error in said.get("error_detail") or []:
            yield from (f"  {frame['filename']}:{frame['lineno']} {frame['name']}" for frame in error["frames"])
            yield f"  {error['exc_type']}: {error['exc_value']}"


def relative(path: object) -> str:
    """A path as it is seen from the repository."""
    return str(path).removeprefix(f"{REPOSITORY}/")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; what is done is kept, so the same command goes on from here")
