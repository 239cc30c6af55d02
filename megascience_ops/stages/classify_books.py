"""classify_books: subject and academic level of a book; one of another subject, or below university, is aside."""

from __future__ import annotations

from megascience_ops import parsing
from megascience_ops.config import AskingConfig
from megascience_ops.prompts import prompt
from megascience_ops.rows import Book, ClassifiedBook
from megascience_ops.stage import Aside, Ask, Outcome, RowStage

CLASSIFY = prompt("classify_books", parsing.book_class, "METADATA", "EXCERPT")

_STATED = ("title", "authors", "subject", "level", "language")


class Config(AskingConfig):
    """Nothing beyond what every asking stage has."""


async def run(book: Book, ask: Ask, config: Config) -> Outcome:
    """The book with its subject and level."""
    found = await ask(CLASSIFY, METADATA=metadata(book), EXCERPT=book.excerpt)
    if found.subject == "other":
        return Aside("other_subject", f"{book.title}: none of the seven subjects")
    if found.level == "below_university":
        return Aside("below_university", f"{book.title}: {found.subject}, below university level")
    facts = book.model_dump(exclude={"access", "excerpt", "level", "subject"})
    return ClassifiedBook(**facts, subject=found.subject, level=found.level)


def metadata(book: Book) -> str:
    """What is stated about a book, a line each."""
    return "\n".join(f"{name}: {value}" for name in _STATED if (value := getattr(book, name)))


STAGE = RowStage("classify_books", Book, ClassifiedBook, run, Config, (CLASSIFY,))
