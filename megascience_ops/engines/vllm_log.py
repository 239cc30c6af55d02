"""Reading vLLM's log: which line says why a server ended, and who has to act on it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

TAIL_LINES = 8

# Tag of the process, then level, time and place: "(EngineCore_DP0 pid=71) ERROR 09-28 15:47:24 [core.py:718] "
_PREFIX = re.compile(r"^(?:\([\w ]+ pid=\d+\) ?)?(?:([A-Z]+) [\d-]+ [\d:]+ \[[^]]*\] ?)?")
_QUIET = ("DEBUG", "INFO", "WARNING")
_SOURCE = "    "  # a traceback shows the code behind so much
_ERROR = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception)\b.*?: *\S|\berror: \S")
_ECHO = re.compile(r"Engine ?core initialization failed|Engine process failed|EngineDeadError|validation errors? for")

# What it says, and how a person can mend it; None: it may pass. The first that is found counts.
_KNOWN: tuple[tuple[str, str | None], ...] = (
    (
        r"offline mode is enabled|outgoing traffic has been disabled",
        "download the model first, or unset HF_HUB_OFFLINE",
    ),
    (r"address already in use", None),
    (r"Free memory on device", None),  # a server that has just been killed still holds it
    (r"couldn't connect to|Max retries exceeded|ReadTimeout|Temporary failure in name resolution", None),
    (r"unrecognized arguments|error: argument |expected one argument", "check engine.vllm.extra_args and tuning_args"),
    (r"gated repo|GatedRepoError|access to it and you must be authenticated", "accept the model's terms, set HF_TOKEN"),
    (r"RevisionNotFound|Revision Not Found|not a valid git identifier|Invalid rev id", "check engine.revision"),
    (
        r"Invalid repository ID|not a valid model identifier|Repository Not Found|RepositoryNotFound|Repo id must"
        r"|does not appear to have a file named|HFValidationError",
        "check engine.model: a name on the hub, or a folder that holds a model",
    ),
    (
        r"out of memory|OutOfMemoryError|No available memory for the cache|larger than the available KV cache"
        r"|larger than the maximum number of tokens that can be stored in KV cache|can't allocate memory",
        "lower engine.vllm.max_model_len, or raise gpu_memory_utilization or tensor_parallel",
    ),
    (r"User-specified max_model_len|greater than the derived max_model_len", "lower engine.vllm.max_model_len"),
    (
        r"larger than the number of available GPUs|divisible by tensor parallel|World size .* is larger",
        "check engine.vllm.tensor_parallel against the GPUs there are",
    ),
    (r"Failed to infer device type|No CUDA GPUs|NVIDIA driver", "the server sees no GPU: run it where one is"),
    (
        r"quantization method|Unknown quantization|[Qq]uantization .*(not supported|does not match)",
        "check engine.vllm.quantization",
    ),
    (
        r"`trust_remote_code=True`|`--trust-remote-code`",
        "the model brings code: if you trust it, add --trust-remote-code",
    ),
    (r"architectures? .* (are|is) not supported|Cannot find model module", "this vLLM does not know the model"),
    (r"No module named|PackageNotFoundError|cannot import name|undefined symbol", "mend the installation of vLLM"),
)


@dataclass(frozen=True)
class Ending:
    """Why a server ended. `line` tells most; `fix` is set where only a person can mend it; `tail`: the last lines."""

    line: str
    fix: str | None
    tail: str


def ending(log: str, exit_code: int) -> Ending:
    """What the log of a server that ended says about it; an exit code above 128 is a signal's number plus 128."""
    lines: list[str] = []
    told: list[str] = []  # what may be a complaint
    for raw in log.splitlines():
        prefix = _PREFIX.match(raw)
        line = raw[prefix.end() if prefix else 0 :]
        if line.strip():
            lines.append(line.strip())
            if not (prefix and prefix[1] in _QUIET) and not line.startswith(_SOURCE):
                told.append(line.strip())
    tail = "\n".join(lines[-TAIL_LINES:])
    for pattern, fix in _KNOWN:
        if found := _first(pattern, told):
            return Ending(found, fix, tail)
    errors = [line for line in told if _ERROR.search(line)]
    causes = [line for line in errors if not _ECHO.search(line)] or errors
    return Ending(causes[0][:300] if causes and exit_code < 128 else _exit(exit_code), None, tail)


def _first(pattern: str, lines: Iterable[str]) -> str | None:
    """The first line with the pattern, without the words that pydantic puts around it."""
    for line in lines:
        if re.search(pattern, line):
            said = re.sub(r"^Value error, | \[type=\w+, .*$", "", line)
            return textwrap.shorten(said, 250, placeholder=" [...]").rstrip(".")
    return None


def _exit(code: int) -> str:
    if code == 137:
        return "killed (SIGKILL), as happens where memory runs out"
    return f"ended by signal {code - 128}" if code > 128 else f"ended with exit code {code}"
