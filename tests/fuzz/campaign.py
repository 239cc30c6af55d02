"""`make fuzz`: each target of `targets.py` for a minute or more, led by what of the code an input reaches (atheris).

    python -m tests.fuzz.campaign [TARGET ...]

$MEGASCIENCE_FUZZ is how many seconds each target gets. Inputs that reached something new are kept under `.fuzz/` and are
where the next campaign begins. An input that breaks a promise ends its target, lies there too, and belongs as a line
into `FOUND` in `test_found.py`. Exit status 1: something was found.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

KEPT = Path(".fuzz")
SECONDS = int(os.environ.get("MEGASCIENCE_FUZZ", "60"))
SLOW = 20  # seconds that an input of 4 kB may take
LONGEST = 4096  # bytes of an input


def fuzz(name: str) -> None:
    """Feed one target until its time is over. Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["megascience_ops"]):
        from tests.fuzz.targets import TARGETS
    feed, words = TARGETS[name]
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    for word in words:
        (folder / hashlib.sha1(word).hexdigest()).write_bytes(word)
    listed = KEPT / f"{name}.words"
    quoted = ("".join(f"\\x{byte:02x}" for byte in word[:60]) for word in words)
    listed.write_text("".join(f'"{word}"\n' for word in quoted))
    limits = [f"-max_total_time={SECONDS}", f"-timeout={SLOW}", f"-max_len={LONGEST}", "-rss_limit_mb=4096"]
    where = [f"-dict={listed}", f"-artifact_prefix={KEPT}/{name}-", str(folder)]
    atheris.Setup([sys.argv[0], *limits, *where, "-verbosity=0", "-print_final_stats=1"], feed)
    atheris.Fuzz()


def main() -> int:
    """Each target in a process of its own; the exit status."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.stderr.write(
            f"error: atheris is not installed; it has wheels for Python 3.11 to 3.13, this is {sys.version}\n"
        )
        return 1
    from tests.fuzz.targets import TARGETS

    found = []
    for name in sys.argv[1:] or TARGETS:
        sys.stdout.write(f"{name}: {SECONDS} s\n")
        sys.stdout.flush()
        done = subprocess.run([sys.executable, "-m", "tests.fuzz.campaign", "--one", name], check=False)
        if done.returncode:
            found.append(name)
    sys.stdout.write(f"found: {', '.join(found)}; see {KEPT}/\n" if found else "nothing was found\n")
    return 1 if found else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2])
    else:
        sys.exit(main())
