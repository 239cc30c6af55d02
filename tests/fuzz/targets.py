"""What is fuzzed: each target takes any bytes, and raises where the project does what it must never do.

The same targets are fed by hypothesis, in `test_targets.py`, and by atheris, in `campaign.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from megascience_ops import flags, odd_names, parsing, receipts, strangers, tables
from megascience_ops.batch import Place
from megascience_ops.books import BookError, OpenBook, PageText, formats, markup
from megascience_ops.completions import Completion, Request
from megascience_ops.config import Settings, parse_setting, validated
from megascience_ops.engines import answers
from megascience_ops.engines.rules.engine import RulesEngine
from megascience_ops.engines.trouble import Trouble
from megascience_ops.errors import ContractError, Declined, TransientError, Unparsed
from megascience_ops.looking.text import shown
from megascience_ops.parsing import pages
from megascience_ops.recipe import recipe
from megascience_ops.rows import AsideRow, Page
from megascience_ops.stages import chunk_books, triage_chunks
from megascience_ops.stages.discover_books import Claim
from megascience_ops.storage import Store


class Target(NamedTuple):
    """`feed` takes any bytes; `words` are what its inputs are made of."""

    feed: Callable[[bytes], object]
    words: list[bytes]


PARSERS: list[Callable[[str], Any]] = [
    *(parsing.question_answers, parsing.refined, parsing.decision, parsing.filter_verdict, parsing.book_class),
    *(parsing.solution, parsing.reference_answer, parsing.boxed, parsing.brief_decision, parsing.brief_filter_verdict),
    *(parsing.decisions(3), parsing.brief_decisions(3), pages.transcription, pages.olmocr_page),
]


def text_of(data: bytes) -> str:
    """Any bytes as text; what is no UTF-8 becomes halves of characters."""
    return data.decode("utf-8", "surrogateescape")


def answers_are_read_or_refused(data: bytes) -> None:
    """Whatever a model says, each parser returns a value or raises Unparsed with a slug."""
    text = text_of(data)
    for parse in PARSERS:
        try:
            parse(text)
        except Unparsed as unread:
            assert unread.reason.replace("_", "").isalpha(), unread.reason
    half = len(text) // 2
    one, other = text[:half], text[half:]
    assert parsing.same_answer(one, other) is parsing.same_answer(other, one)
    assert parsing.same_answer(text, text) is not False


def own_verdict_counts(data: bytes) -> None:
    """What is quoted before the model's own verdict, at the beginning of a line or not, never changes it."""
    quoted = text_of(data)
    for keep in (True, False):
        own = f"Fault: {'NONE' if keep else 'NO_ANSWER'}\nDecision: {'YES' if keep else 'NO'}"
        with suppress(Unparsed):  # a mark of thinking in the quotation may leave nothing that was said
            assert parsing.decision(f"Analysis: {quoted}\n{own}") is keep
        with suppress(Unparsed):
            assert parsing.filter_verdict(f"Analysis: {quoted}\n{own}").keep is keep
        brief = {"because": strangers.whole(quoted), "decision": "YES" if keep else "NO"}
        assert parsing.brief_decision(json.dumps(brief)) is keep


def servers_bodies_are_answers_or_trouble(data: bytes) -> None:
    """Whatever a server sends, it is an answer that can be written as UTF-8, or Trouble."""
    for read in (answers.chat, lambda body: answers.embeddings(body, 2)):
        with suppress(Trouble):
            read(data)
    with suppress(Trouble):
        said = answers.chat(data)
        said.text.encode()
        answers.token_counts(said.usage)
    answers.refusal(400, data).text.encode("utf-8", "replace")


def text_book(data: bytes) -> None:
    """Markdown, LaTeX or plain text becomes pages, or a BookError; then passages, and pairs."""
    _read_on(lambda: formats.open_text(data, 2000))


def html_book(data: bytes) -> None:
    """A page of HTML becomes pages, or a BookError."""
    _read_on(lambda: markup.open_html(data, 2000))


def epub_book(data: bytes) -> None:
    """Any file as an EPUB; and an EPUB of three files, cut out of it at each `|||`."""
    for content in (data, _epub(data)):
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(content)
            if markup.is_epub(Path(file.name)):
                _read_on(lambda path=file.name: markup.open_epub(Path(path), 2000))  # type: ignore[misc]


def _epub(data: bytes) -> bytes:
    container, package, chapter = (data.split(b"|||") + [b"", b""])[:3]
    names = ["META-INF/container.xml", "a/p.opf", text_of(chapter[:20]).replace("\x00", "") or "c"]
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive, suppress(UnicodeEncodeError):
        for name, content in zip(names, (container or CONTAINER, package, chapter), strict=True):
            archive.writestr(name, content)
    return sink.getvalue()


CONTAINER = b'<c xmlns="u"><rootfile full-path="a/p.opf"/></c>'


def _read_on(open_book: Callable[[], OpenBook]) -> None:
    """All the way that a book goes by rules: pages, passages, triage, classes, pairs, refined."""
    try:
        book = open_book()
        read = [_page(page) for page in book.pages]
    except BookError as error:
        assert error.reason and error.detail
        return
    passages = chunk_books._passages(_Book(pages=read), chunk_books.Config())  # type: ignore[arg-type]
    for passage in passages[:20]:
        triage_chunks.verdict(passage.text, passage.answer_key, passage.region)
        _by_rules(DOCUMENT=passage.text, ANSWER_KEY=passage.answer_key, EXCERPT=passage.text, TITLE=book.title or "")


def _page(page: PageText) -> Page:
    return Page(number=page.number, text=strangers.whole(page.text), verdict=page.verdict)


class _Book(NamedTuple):
    pages: list[Page]


@cache
def _rules() -> tuple[RulesEngine, list[Any]]:
    flow = recipe("textbook_reasoning")
    return RulesEngine(), [one for stage in flow.stages for one in getattr(stage, "prompts", ())]


def rules_answer_in_their_format(data: bytes) -> None:
    """Whatever stands in a row, rules answer so that the parser reads it, or decline."""
    text = strangers.whole(text_of(data)).strip()
    half = len(text) // 2
    if not text[:half].strip() or not text[half:].strip():
        return  # no such row comes so far
    slots = dict.fromkeys(("QUESTION", "ANSWER", "SOLUTION", "REFERENCE", "CANDIDATE"), text[:half])
    _by_rules(**{**slots, "ANSWER": text[half:], "DOCUMENT": text, "ANSWER_KEY": "", "EXCERPT": text})


def _by_rules(**slots: str) -> None:
    engine, prompts = _rules()
    for prompt in prompts:
        if set(prompt.slots) <= slots.keys():
            request: Request = prompt.request({name: slots[name] for name in prompt.slots}, {}, engine.identity)
            completion = asyncio.run(engine.complete(request, "row"))
            with suppress(Declined):
                prompt.read(completion)


def names_stay_inside(data: bytes) -> None:
    """Whatever the name, it is an object below the root or a refusal in one line; nothing lies elsewhere."""
    path = text_of(data)
    with tempfile.TemporaryDirectory() as above:
        root = Path(above) / "in" / "root"
        for store in (Store(str(root)), Store("memory://fuzz")):
            for act in (
                store.get,
                store.find,
                store.size,
                partial(store.put, content=b"x"),
                partial(store.json, kind=Claim),
                store.delete,
            ):
                with _refused(FileNotFoundError):
                    act(path)
            with _refused(FileExistsError):
                store.create(path, b"y")
            with _refused():
                assert all(entry.path.isprintable() or store.find(entry.path) is not None for entry in store.entries())
        inside = [file for file in Path(above).rglob("*") if file.is_file()]
        assert all(file.is_relative_to(root) for file in inside), path
    shown = odd_names.shown(path)
    assert shown.isprintable() and ".." not in shown.split("/"), path


@contextlib.contextmanager
def _refused(*also: type[BaseException]) -> Any:
    """Nothing but refusals in one line."""
    try:
        yield
    except (ContractError, TransientError) as error:
        assert "\n" not in str(error), str(error)
    except also:
        pass


def addresses_are_opened_or_refused(data: bytes) -> None:
    """Whatever the kind of storage and the bucket are called."""
    name = text_of(data)
    with _refused():
        Store(f"s3://{name}")
    if name.partition("://")[0] not in ("file", "", name) and "://" in name:
        with _refused():
            Store(name)


def settings_are_taken_or_refused(data: bytes) -> None:
    """A file of settings, a `--set`, and a value at any place: one line, or settings that every stage takes."""
    text = text_of(data)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        with _refused():
            _checked(flags._config_file(Path(file.name)))
    with _refused():
        path, value = parse_setting(text)
        values: dict[str, Any] = {"root": "r"}
        flags._put(values, path if path[0] in Settings.model_fields else ["stages", *path], value)
        _checked(values)


def _checked(values: dict[str, Any]) -> None:
    found = validated(Settings, {"root": "r", **values}, "settings")
    recipe(found.recipe).check(found)


def receipts_are_read_or_named(data: bytes) -> None:
    """Whatever stands where a receipt, or another note of ours, should be."""
    store, folder = Store("memory://receipts"), "textbook_reasoning/batch=a/refine_qa"
    store.put(receipts.receipt_path(folder, 1), data)
    with _refused():
        receipts.current(store, folder)
    for kind in (Place, Claim, list[str]):
        with _refused():
            store.json(receipts.receipt_path(folder, 1), kind)
    with suppress(ContractError):
        store.put(f"{folder}/receipts/{text_of(data)[:40]}", b"")
        receipts.numbers(store, folder)


def tables_are_read_or_named(data: bytes) -> None:
    """A Parquet file with bytes changed: three bytes say where and how, again and again."""
    content = bytearray(_table())
    for start in range(0, len(data) - 2, 3):
        at = int.from_bytes(data[start : start + 2], "big") % len(content)
        content[at] ^= data[start + 2]
    for model in (Completion, AsideRow):
        with suppress(tables.Damaged):
            list(tables.decode(model, bytes(content)))  # type: ignore[type-var]
    tables.count(bytes(content))
    tables.stated(bytes(content))
    for read in (
        lambda: tables.count_about(bytes(content), bool),
        lambda: tables.without(bytes(content), lambda row: not row),
    ):
        with suppress(tables.Damaged):
            read()


@cache
def _table() -> bytes:
    rows = [
        Completion(id=f"{at:03}", row="r", prompt="p", text="Decision: YES\n" * at, finish_reason="stop", model="m")
        for at in range(30)
    ]
    return tables.encode(Completion, rows, {"part": 1})[0]


def text_of_strangers_is_harmless(data: bytes) -> None:
    """Nothing that a terminal or a chat template obeys is left, and it can be written."""
    text = text_of(data)
    shown, said, kept = strangers.visible(text), strangers.disarmed(text), strangers.whole(text)
    assert not any(code < 0x20 and code not in (9, 10) for code in map(ord, shown))
    assert "<|im_start|>" not in said and "<s>" not in said and "[INST]" not in said
    assert strangers.disarmed(said) == said
    kept.encode()


def texts_are_shown(data: bytes) -> None:
    """What a page or a report shows of any text is made of texts and known elements, without control characters."""
    said = json.dumps(shown(text_of(data)), ensure_ascii=False)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", said), said
    assert not re.search(r"\\u00[01]", said.replace("\\\\", "")), said


LABELS = [
    *(
        b"Question:",
        b"Answer:",
        b"**Refined Question:**",
        b"Refined Answer:",
        b"Decision: YES",
        b"Decision:",
        b"Fault: NONE",
    ),
    *(
        b"Subject: physics",
        b"Level: graduate",
        b"Reference Answer:",
        b"[NONE]",
        b"[NO QA]",
        b"<think>",
        b"</think>",
        b"Decision 2: NO",
    ),
    *(
        b"\\boxed{",
        b"}",
        b"{",
        b"$",
        b"\\",
        b"\n",
        b" ",
        b"*",
        b"1.",
        b'{"decision": "YES"}',
        b'{"verdicts": [',
        b"\x00",
        b"\xed\xa0\x80",
    ),
    *(
        b"---\nprimary_language: en\n",
        b"\xe2\x80\xa8",
        b"\xef\xbc\x9a",
        b"Note:",
        b"5 m/s^2",
        b"10^{8}",
        b"\\frac{1}{2}",
        b"(A)",
    ),
]
BOOK = [
    *(
        b"# Chapter 1\n\n",
        b"## Exercises\n\n",
        b"1. What is it?\n\n",
        b"Example 1.1 ",
        b"Solution. ",
        b"Answers\n\n1. 5 m\n",
        b"\n\n",
        b"\n",
    ),
    *(
        b"```\n",
        b"| a | b |\n",
        b"- ",
        b"> ",
        b"$$x$$",
        b"\\begin{exercise}",
        b"\\end{exercise}",
        b"\\section{",
        b"}",
        b"\\documentclass{book}",
    ),
    *(
        b"<div>",
        b"</div>",
        b"<ol start='9'>",
        b"<li>",
        b"<math><mfrac><mi>a</mi>",
        b"</math>",
        b"<script>",
        b"<sup>",
        b"<table><tr><td>",
        b"&#0;",
    ),
    *(
        b"&lt;",
        b"<!--",
        b"<![CDATA[",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\x0c",
        b"---\ntitle: a\n---\n",
        b"(a) ",
        b"Figure 1.2 ",
        b"[1] ",
    ),
]
TEX = [
    *(b"$", b"$$", b"\\(", b"\\)", b"\\[", b"\\]", b"\\frac", b"\\begin{matrix}", b"\\end{matrix}", b"&", b"\\\\"),
    *(
        b"^",
        b"_",
        b"{",
        b"}",
        b"\\text{<b>}",
        b"\\href{javascript:x}{y}",
        b"\\left(",
        b"\\right.",
        b"\\sqrt[",
        b"x",
        b"\\def",
    ),
]
PACKAGE = b'<p xmlns="u"><title>T</title><item id="a" href="c"/><itemref idref="a"/></p>'
PATHS = [
    b"..",
    b"/",
    b"\\",
    b"%2e",
    b"%2F",
    b"%00",
    b"\x00",
    b"\n",
    b"~",
    b"a",
    b" ",
    b".",
    b"\xf0\x9f\x92\xa9",
    b"x" * 300,
    b"\xff",
    b":",
    b"\xe2\x80\xae",
]
YAML = [
    *(
        b"engine: ",
        b"stages: ",
        b"refine_qa",
        b": ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"attempts",
        b"=",
        b".",
        b"max_unread",
        b"\n  ",
        b"1e999",
        b"null",
        b"&a ",
        b"*a",
    ),
    *(
        b"!!python/object:os.system ",
        b"!!binary ",
        b"<<: ",
        b"? ",
        b"kind: rules",
        b"batch: ",
        b"root",
        b"prices: ",
        b"band",
        b"-1",
        b"2026-13-45",
        b"0x",
        b"\x00",
    ),
]
JSON = [b"{", b"}", b"[", b"]", b'"choices":', b'"message":', b'"content":', b'"finish_reason":', b'"stop"', b"null", b"1e999", b'"\\ud800"', b",", b'"data":', b'"index":0', b'"embedding":', b'"AAAA"', b"NaN", b'"usage":', b'"parts":', b"9" * 5000]  # fmt: skip

TARGETS: dict[str, Target] = {
    one.__name__: Target(one, words)
    for one, words in (
        (answers_are_read_or_refused, LABELS),
        (own_verdict_counts, LABELS),
        (servers_bodies_are_answers_or_trouble, JSON),
        (text_book, BOOK),
        (html_book, BOOK),
        (epub_book, [*BOOK, CONTAINER, PACKAGE, b"|||", b"<!ENTITY ", b"../../c"]),
        (rules_answer_in_their_format, [*BOOK, *LABELS]),
        (names_stay_inside, PATHS),
        (addresses_are_opened_or_refused, [*PATHS, b"://", b"s3", b"gs", b"memory", b"?x=", b"@", b"#"]),
        (settings_are_taken_or_refused, YAML),
        (receipts_are_read_or_named, JSON),
        (tables_are_read_or_named, [bytes([at, 0, 1]) for at in range(0, 40, 3)]),
        (texts_are_shown, [*LABELS, *TEX]),
        (
            text_of_strangers_is_harmless,
            [*LABELS, b"<|im_start|>", b"<|", b"|>", b"<s>", b"[INST]", b"\x1b[2J", b"\xe2\x80\xae", b"<"],
        ),
    )
}
