"""What can go wrong, sorted by who has to act.

`Unparsed` and `Declined` concern one answer and end as that row's aside. `TransientError` and `ContractError` end
the stage; in a pod or a subprocess they are its exit code. `NothingNew` ends it too, and nothing is wrong.
"""

from __future__ import annotations

EXIT_CONTRACT = 65  # a person has to change something; never retried (sysexits: EX_DATAERR)
EXIT_TRANSIENT = 75  # nobody has to act; try again (sysexits: EX_TEMPFAIL)
EXIT_NOTHING_NEW = 99  # there is nothing to do; the code that Airflow's own operators take for "skip"


class AnswerError(Exception):
    """An answer that gives no value: `reason` is a slug for the funnel, `detail` a sentence for people.

    `said` is what the model said, where whoever raises or passes on the error knows it.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.said: str | None = None


class Unparsed(AnswerError):
    """The model answered, but not in the form that was asked for: asked again, then the row is aside."""


class Declined(AnswerError):
    """The engine cannot do this honestly, and says so: asking it again would not help."""


class _OneLine(Exception):
    """Said in one line, whatever it quotes."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split("\n"))


class TransientError(_OneLine):
    """A server, a network or a disk failed for now: the same command may succeed later (exit code 75)."""


class ContractError(_OneLine):
    """Something only a person can mend, named in one line together with the fix (exit code 65)."""


class NothingNew(Exception):
    """A batch of what is new, and nothing is: it leaves no trace on storage (exit code 99)."""
