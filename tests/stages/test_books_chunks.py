"""How a book is cut: exercises apart from the text around them, overlap, section paths, and what counts the tokens."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from megascience_ops.books.apart import CONTEXT
from megascience_ops.books.blocks import find_blocks
from megascience_ops.books.chunks import Passage, chunk, page_of
from megascience_ops.books.exercises import join_answers
from megascience_ops.books.tokenizer import counter
from megascience_ops.books.tokens import Count, count_tokens, estimated
from megascience_ops.errors import ContractError, TransientError
from megascience_ops.rows import Page
from megascience_ops.stages.chunk_books import Config

PROSE = (
    "The gas presses on the walls of its vessel, since its molecules strike them without a pause and without a loss. "
)
BOOK = "\n\n".join(
    f"## {n} Gases, part {n}\n\n{PROSE * 12}\n\n{PROSE * 12}\n\n### Exercises\n\n"
    + "\n\n".join(f"{i}. How large is the pressure of {i} mol in a vessel of {n} litres? {PROSE}" for i in range(1, 7))
    for n in (1, 2)
)


def cut(
    text: str, limit: int, count: Count = estimated, overlap: int = 0, context: int | None = CONTEXT
) -> list[Passage]:
    pages = f"# Gases\n\n{text}".split("\f")
    blocks = find_blocks([Page(number=n, text=page, verdict="text") for n, page in enumerate(pages, 1)])
    return chunk(blocks, join_answers(blocks), limit, count, overlap, context)


def test_exercises_are_gathered_apart_from_the_text_between_them() -> None:
    found = cut(BOOK, 2000)
    assert [passage.region for passage in found] == ["body", "exercises", "body"]
    sets = found[1].text.split("\n\n[…]\n\n")
    assert len(sets) == 2
    assert all(part.startswith("### Exercises") and part.count("How large") == 6 for part in sets)
    assert all("How large" not in passage.text and "[…]" not in passage.text for passage in found[::2])


def test_text_and_exercises_stay_as_printed_without_context() -> None:
    found = cut(BOOK, 2000, context=None)
    assert [passage.text.count("### Exercises") for passage in found] == [2]
    whole = "".join("".join(passage.text.split()) for passage in found)
    assert whole == "".join(f"# Gases\n\n{BOOK}".split())


EXAMPLE = "Example {} A Vessel\n\nHow large is the pressure of the gas?\n\nSolution\n\nThe pressure is 41 Pa.\n\n"
FAR = "The molecules of a gas know nothing of each other as long as they are far apart. " * 20
NEAR = "The pressure is what the molecules of the gas give to a wall in a second: p = nkT. "


def test_example_keeps_the_paragraph_before_it_and_not_the_section() -> None:
    found = cut(f"## 2 Walls\n\n{FAR}\n\n{NEAR * 3}\n\n{EXAMPLE.format(2.1)}{FAR}\n\n{FAR}\n\n{NEAR * 3}", 2000)
    asking = [passage.text for passage in found if "How large" in passage.text]
    assert len(asking) == 1
    assert asking[0].startswith(NEAR * 2)
    assert "41 Pa" in asking[0]
    assert "far apart" not in asking[0]
    assert sum(passage.text.count("far apart") for passage in found) == 60


def test_example_keeps_its_context_where_a_passage_ends() -> None:
    parts = [f"## {n} Walls\n\n{FAR}\n\n{NEAR * 3}\n\n{EXAMPLE.format(f'{n}.1')}" for n in range(1, 9)]
    found = [passage.text for passage in cut("\n\n".join(parts), 400) if "How large" in passage.text]
    assert len(found) > 2
    assert all(text.count("How large") == text.count("41 Pa") == text.count("nkT") / 3 for text in found)


def test_example_too_long_has_its_solution_before_its_pictures() -> None:
    picture = f"![{'A gas in a vessel, drawn as dots. ' * 20}](vessel.jpg)"
    question, solution = EXAMPLE.format(2.1).split("\n\nSolution")
    found = [passage.text for passage in cut(f"{question}\n\n{picture}\n\nSolution{solution}", 120)]
    assert "How large" in found[0]
    assert "41 Pa" in found[0]
    assert "drawn as dots" in "".join(found[1:])


def test_blank_lines_count_as_the_tokenizer_counts_them() -> None:
    def by_words_and_line_ends(texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+|\n", text)) for text in texts]

    found = cut("\n\n".join(f"Gas {n} presses." for n in range(200)), 100, by_words_and_line_ends)
    assert len(found) > 9
    assert max(by_words_and_line_ends([passage.text for passage in found])) <= 100


def test_prose_passages_end_with_their_sections() -> None:
    found = cut(f"## 1 Gases\n\n{FAR}\n\n## 2 Walls\n\n{FAR}", 4096)
    assert [passage.section for passage in found] == ["Gases", "Gases > 2 Walls"]


def test_answer_in_a_footnote_goes_with_its_question() -> None:
    page = f"{FAR}\n\nGUIDED PRACTICE 2.4\nWhat presses on the wall?^{{1}}\n\n### Walls\n\n{FAR}"
    found = cut(f"{page}\n\n^{{1}}The molecules that strike it.\n\f{FAR}", 2000)
    assert [passage.text.count("strike it") for passage in found if "GUIDED" in passage.text] == [1]


def test_question_of_a_gathered_passage_names_its_page() -> None:
    book = "".join(f"## {n} Walls\n\n{FAR}\n\n\fExercises\n\n1. How large is gas {n}?\n\f" for n in range(1, 4))
    gathered = next(passage for passage in cut(book, 2000) if "How large" in passage.text)
    assert (gathered.page_start, gathered.page_end) == (2, 6)
    pages = [page_of(gathered.text, 2, gathered.page_starts, f"How large is gas {n}?") for n in (1, 2, 3)]
    assert pages == [2, 4, 6]


def test_text_too_short_to_matter_stays_with_its_exercises() -> None:
    text = f"## 1 Gases\n\n{PROSE * 5}\n\n### Exercises\n\n1. What is a gas?\n\n## 2 Fluids\n\n{PROSE * 5}"
    assert len(cut(text, 4096)) == 1


def test_headings_stay_with_what_they_head() -> None:
    parts = (f"# Part {n}\n\n## {n}.1 Gases\n\n### Walls\n\n{PROSE * 9}\n\n{PROSE * 9}" for n in range(1, 9))
    found = cut("\n\n".join(parts), 900)
    assert len(found) > 3
    assert not [passage.text[-40:] for passage in found if passage.text.rsplit("\n", 1)[-1].startswith("#")]


def test_example_whole_when_what_follows_it_does_not_fit() -> None:
    solved = "Solution\n\n" + "\n\n".join(f"Step {n}. " + PROSE for n in range(6)) + "\n\nThe pressure is 41 Pa."
    book = f"Example 2.1 A Vessel\n\nHow large is the pressure?\n\n{solved}\n\n" + f"{PROSE}\n\n" * 4
    limit = count_tokens(book) - 40
    assert any(
        "How large is" in passage.text and "41 Pa" in passage.text for passage in cut(f"{PROSE}\n\n" * 3 + book, limit)
    )


def test_passage_names_the_headings_it_stands_under() -> None:
    assert [passage.section for passage in cut(BOOK, 2000)] == [
        "Gases",
        "Gases > 1 Gases, part 1 > Exercises",
        "Gases > 2 Gases, part 2",
    ]


def test_overlap_repeats_whole_ends_and_is_told() -> None:
    plain, found = cut(BOOK, 400, context=None), cut(BOOK, 400, overlap=60, context=None)
    assert all(passage.overlap == 0 for passage in plain)
    assert max(passage.n_tokens for passage in found) <= 400
    assert sum(passage.overlap > 0 for passage in found) > len(found) / 3
    for before, passage in pairwise(found):
        assert before.text.endswith(passage.text[: passage.overlap].strip())
        assert count_tokens(passage.text[: passage.overlap]) <= 60
    joined = "".join(passage.text[passage.overlap :] for passage in found)
    assert "".join(joined.split()) == "".join(passage.text for passage in plain).replace("\n", "").replace(" ", "")


def test_overlap_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValidationError, match="overlap 300 is more than half of max_tokens 512"):
        Config(max_tokens=512, overlap=300)


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-pair vocabulary of our own, as a model's folder holds it."""
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator([BOOK], trainer)
    model.enable_truncation(10)
    file = tmp_path_factory.mktemp("model") / "tokenizer.json"
    model.save(str(file))
    return file


def test_tokenizer_of_a_model_decides_the_length(tokenizer_json: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer.from_file(str(tokenizer_json))
    model.no_truncation()
    found = cut(BOOK, 300, counter(str(tokenizer_json.parent)))
    assert len(found) != len(cut(BOOK, 300))
    for passage in found:
        length = len(model.encode(passage.text).ids)
        assert length <= 300
        assert passage.n_tokens == pytest.approx(length, rel=0.05)


def test_tokenizer_that_is_none_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"there is no .*nowhere; name a model's tokenizer.json"):
        counter(str(tmp_path / "nowhere"))
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ContractError, match=r"is no tokenizer.json"):
        counter(str(tmp_path))


@pytest.fixture
def vllm() -> Iterator[tuple[str, list[str]]]:
    """A server with vLLM's route: a token for each word. Keeps what it was asked, and refuses `broken` and `busy`."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(said["prompt"])
            status = {"broken": 404, "busy": 503}.get(said["prompt"], 200 if self.path == "/tokenize" else 404)
            count = len(said["prompt"].split())
            body = json.dumps({"count": count, "max_model_len": 4096, "tokens": list(range(count))}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # the counter knocks sixteen times at once

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    server.server_close()


def test_tokenizer_of_a_server_counts_what_it_is_sent(vllm: tuple[str, list[str]]) -> None:
    url, asked = vllm
    found = cut(BOOK, 600, counter(url))
    assert asked
    assert all(len(passage.text.split()) <= passage.n_tokens <= 600 for passage in found)


def test_tokenizer_server_without_the_route_or_the_time(vllm: tuple[str, list[str]]) -> None:
    count = counter(vllm[0])
    with pytest.raises(ContractError, match="answers HTTP 404; name a vLLM server"):
        count(["broken"])
    with pytest.raises(TransientError, match="HTTP 503"):
        count(["busy"])
    with pytest.raises(TransientError, match="refused"):
        counter("http://127.0.0.1:9/v1")(["gone"])
