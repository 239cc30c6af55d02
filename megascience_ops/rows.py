"""The biography of a row, top to bottom: what each stage of textbook_reasoning reads and writes.

A row is in the present tense: `question` and `answer` are always the best that we have. What they were before lies
in the folder of the stage before, under the same id. Fields are carried as long as a later stage needs them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Subject = Literal["biology", "chemistry", "computer_science", "economics", "mathematics", "medicine", "physics"]
Level = Literal["below_university", "undergraduate", "graduate"]
Standard = Literal["high", "low"]
Verdict = Literal["text", "blank", "scan", "garbage", "lossy", "ocr_layer", "ocr"]


class Frozen(BaseModel):
    """A value: cannot be changed, and refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(Frozen):
    """Anything that flows through a recipe. `id` is content-derived, and stays the same for good."""

    id: str


class AsideRow(Row):
    """A row, or a part of one, that goes no further. `id` is the row's, with a suffix where it is a part of it.

    `detail` is for people; `part` is what the part said; `said` is the model's answer where it could not be read.
    """

    row: str
    reason: str
    detail: str
    part: str | None
    said: str | None


# --- books ----------------------------------------------------------------------------------------------------------


class SourceFile(Row):
    """A file in the landing zone, with what textbooks.csv says of it. `id` is its path below the landing zone."""

    bytes: int
    version: str
    title: str | None = None
    authors: str | None = None
    licence: str | None = None
    access: str | None = None
    level: Level | None = None
    subject: Subject | None = None
    language: str | None = None


class BookFacts(Row):
    """What stays true of a book to the end. `id` is the first 16 hex digits of its sha256."""

    path: str
    sha256: str
    format: str
    n_pages: int
    title: str
    authors: str | None
    licence: str | None
    language: str | None


class Book(BookFacts):
    """A book taken in by this batch; `level` and `subject` are what its metadata claims, `excerpt` its first pages."""

    access: str | None
    level: Level | None
    subject: Subject | None
    excerpt: str


class ClassifiedBook(BookFacts):
    """A university-level book of one of the seven subjects."""

    subject: Subject
    level: Level


class Page(Frozen):
    """One page as read: `number` counts from 1, `verdict` says what kind of text layer it had."""

    number: int
    text: str
    verdict: Verdict


class DigitizedBook(ClassifiedBook):
    """A book as text. `unread_pages` names the pages of which no usable text could be had."""

    pages: list[Page]
    unread_pages: list[int]


# --- passages and pairs ---------------------------------------------------------------------------------------------


class Source(Frozen):
    """Where a row comes from: enough to open the book at the page. `section` is the path of headings above it."""

    book_id: str
    title: str
    licence: str | None
    section: str
    page_start: int
    page_end: int


class Chunk(Row):
    """A passage that fits one prompt. `answer_key`: the book's answers to its exercises, printed elsewhere in the book.

    `page_starts` are the offsets in `text` (code points) at which the pages from `source.page_start` on begin, and
    `overlap` is the offset at which what the passage before does not have begins. `region` is the part of the book that
    most of it belongs to: body, exercises, answer_key, front_matter, index, bibliography. `n_tokens` counts text and
    key, by what `tokenizer` names.
    """

    source: Source
    subject: Subject
    text: str
    answer_key: str
    region: str
    n_tokens: int
    tokenizer: str
    page_starts: list[int]
    overlap: int


class Pair(Row):
    """A question and an answer as extracted, with the passage they stand in (`document`).

    `family` is shared by questions that differ in their numbers and signs alone; set by deduplication, and null for a
    question without a number.
    """

    source: Source
    subject: Subject
    standard: Standard
    question: str
    answer: str
    document: str
    family: str | None = None


class QA(Row):
    """A self-contained question and an answer verified against its passage.

    `family` is that of the extracted pair, or of this question where refined ones were deduplicated.
    """

    source: Source
    subject: Subject
    standard: Standard
    question: str
    answer: str
    family: str | None = None


class JudgedQA(QA):
    """`has_cot`: the answer reasons, rather than only stating a result."""

    has_cot: bool


class SolvedQA(JudgedQA):
    """`answer_source` says whose reasoning `answer` is; `cot_note` says why none could be added where there is none."""

    answer_source: Literal["refined", "distilled"]
    cot_note: str | None


class Neighbour(Frozen):
    """A benchmark question near a question of ours; `similarity` is the cosine of their embeddings.

    `question` comes with its options. `same`: it needs no model to be known as ours, as it says the same `words`, or
    stands in ours as a `part`.
    """

    benchmark: str
    id: str
    question: str
    similarity: float
    same: Literal["words", "part"] | None


class Planted(Frozen):
    """A row that is none: a benchmark question, altered by `kind`, that travels along to see whether it is caught.

    `same`: it is still that question, so it has to be caught; otherwise it is another one, and has to pass.
    """

    id: str
    family: str
    kind: str
    same: bool


class NeighbouredQA(SolvedQA):
    """`neighbours`: copies first, then the nearest; nobody is asked about those below `floor` that are no copies.

    `n_benchmarks`: how many benchmarks were searched (0: none were to be had).
    """

    neighbours: list[Neighbour]
    n_benchmarks: int
    floor: float
    planted: Planted | None


class ClearedQA(SolvedQA):
    """`decontaminated` is true only where benchmarks were searched and every judgement could be read."""

    decontaminated: bool


class AnsweredQA(ClearedQA):
    """`reference_answer`: the answer alone, for scoring; null where the answer is not a short one."""

    reference_answer: str | None


# --- any other dataset ----------------------------------------------------------------------------------------------


class Slice(Row):
    """So many rows of a dataset's file, the first of them `first`, counted from 0. `version`: of the file.

    `offset`: at which byte they begin, in a file of lines.
    """

    file: str
    first: int
    rows: int
    offset: int
    version: str


class Question(Row):
    """A question of a dataset that is not ours. `id`: its file, and its row in it, counted from 0."""

    question: str


class NeighbouredQuestion(Question):
    """As `NeighbouredQA`."""

    neighbours: list[Neighbour]
    n_benchmarks: int
    floor: float
    planted: Planted | None


class ClearedQuestion(Question):
    """As `ClearedQA`."""

    decontaminated: bool


# --- the product ----------------------------------------------------------------------------------------------------


class Example(Row):
    """A row of the published dataset: the four columns to train on, then its lineage."""

    question: str
    answer: str
    subject: Subject
    reference_answer: str | None
    book_id: str
    book_title: str
    licence: str | None
    section: str
    page_start: int
    page_end: int
    standard: Standard
    answer_source: Literal["refined", "distilled"]
    has_cot: bool
    decontaminated: bool
    family: str | None = None
