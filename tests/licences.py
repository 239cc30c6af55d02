"""`python -m tests.licences`: the licences of all installed packages, and which of them the project may not stand on."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

REFUSED = re.compile(
    r"AGPL|Affero|SSPL|Server Side Public|BUSL|Business Source|Commons Clause|GPL|General Public", re.IGNORECASE
)
WEAKER = re.compile(r"LGPL|Lesser", re.IGNORECASE)  # what it asks for is asked of the library alone
CHOICE = re.compile(r"\bOR\b|;")  # one of several licences is enough
OURS = "megascience-ops"


def licence(package: Distribution) -> str:
    """What a package states: its licence expression, else its classifiers, else how its field or its file begins."""
    said = package.metadata
    classified = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or [] if one.startswith("License")]
    field = (said.get("License") or "").strip().partition("\n")[0]
    return said.get("License-Expression") or "; ".join(classified) or field or _title(package) or "none stated"


def _title(package: Distribution) -> str:
    """The first line of the file with its licence."""
    for name in package.metadata.get_all("License-File") or []:
        if text := package.read_text(f"licenses/{name}"):
            return text.strip().partition("\n")[0].strip()
    return ""


def refused(stated: str) -> bool:
    """Is there no licence among those stated that a permissive project may stand on?"""
    choices = [one.strip() for one in CHOICE.split(stated)]
    return all(REFUSED.search(one) and not WEAKER.search(one) for one in choices) or stated == "none stated"


def installed() -> Iterator[tuple[str, str]]:
    """Name and licence of every installed package but our own."""
    for package in distributions():
        if (name := package.metadata["Name"]) != OURS:
            yield name, licence(package)


def main() -> int:
    """The table by licence; the exit status is 1 where one is refused."""
    by_licence: dict[str, list[str]] = defaultdict(list)
    for name, stated in installed():
        by_licence[stated].append(name)
    for stated, names in sorted(by_licence.items()):
        sys.stdout.write(f"{stated}: {', '.join(sorted(names, key=str.lower))}\n")
    wrong = [f"{name} ({stated})" for stated, names in by_licence.items() if refused(stated) for name in names]
    sys.stdout.write(f"not to be used: {', '.join(wrong)}\n" if wrong else "all of them may be used\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
