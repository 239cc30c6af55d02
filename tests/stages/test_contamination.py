"""Copies, alterations, planted questions, kept embeddings and neighbours: what finds a benchmark question again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from megascience_ops.contamination.alterations import ANOTHER, SAME, WORD_BY_WORD
from megascience_ops.contamination.benchmarks import BenchmarkQuestion, BenchmarkSet, load_benchmarks
from megascience_ops.contamination.copies import Copies
from megascience_ops.contamination.embeddings import KeptEmbeddings
from megascience_ops.contamination.floors import FLOORS, UNMEASURED, floor_of
from megascience_ops.contamination.measuring import measured, tally
from megascience_ops.contamination.neighbourhood import Neighbourhood
from megascience_ops.contamination.planting import plants
from megascience_ops.contamination.vectors import lexical_vectors
from megascience_ops.contamination.wording import respelled, without_options
from megascience_ops.errors import ContractError
from megascience_ops.rows import Planted
from megascience_ops.storage import Store

PHOTON = r"A photon of wavelength $408 \mathrm{~nm}$ leaves at $10^{\circ}$ with energy $\frac{1}{2} h\nu$. Find $h$."
BATCH = (
    "Janet has 12 hens. Each hen lays 3 eggs every day. How many eggs does Janet find in 7 days?",
    PHOTON,
    "What is the molar mass of sodium chloride, and how is it determined in a laboratory by precipitation?",
    "Mode is",
)
MUSCLE = {
    "question": "Which muscle turns the eye outward when the lateral gaze is tested?",
    **{"opa": "Superior oblique", "opb": "Lateral rectus", "opc": "Medial rectus", "opd": "Levator"},
}
LAW = "Which of the following is true about the second law?"


def as_lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.fixture
def benchmarks() -> BenchmarkSet:
    laws = [{"question": LAW, "opa": f"It forbids machine {n}", "opb": "Heat is work"} for n in range(12)]
    return load_benchmarks(
        {
            "gsm8k.jsonl": as_lines(*({"question": text} for text in BATCH)),
            "medmcqa.jsonl": as_lines(MUSCLE, *laws),
            "math500.jsonl": as_lines({"problem": PHOTON.replace("frac", "dfrac")}, {"problem": "What is $2+2$?"}),
            "math.jsonl": as_lines({"problem": "What is  $2 + 2$ ?"}),
        }
    )


class Counted:
    """Lexical vectors of any width, under any name, that counts the texts it was given."""

    def __init__(self, width: int = 64, **identity: str) -> None:
        self.width, self.given = width, list[str]()
        self.identity: Mapping[str, str] = {"kind": "model", "model": "m", "revision": "1", **identity}

    async def embed(self, texts: Sequence[str]) -> Any:
        self.given += texts
        return lexical_vectors(texts, self.width)


def kept(store: Store, engine: Any, texts: Sequence[str]) -> Any:
    return asyncio.run(KeptEmbeddings(store, engine).of(texts))


# --- wording ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (r"$\frac{1}{2}$ of $x^{2}$", r"\( \dfrac12 \) of x²", True),
        (r"at $10^{\circ}\,\mathrm{C}$", "at 10 °C", True),
        (r"$a \times b \leq \beta$", "a × b ≤ β", True),
        (r"1,000 m", r"$1{,}000 \mathrm{m}$", True),
        (r"12. How far?", "How far?", True),
        (r"$x^{2}$", r"$x^{3}$", False),
        (r"$a < b$", r"$a > b$", False),
        (r"\Delta", r"\delta", False),
        ("2 kg", "3 kg", False),
        ("alkane", "alkene", False),
        ("is true", "is not true", False),
    ],
)
def test_respelled_ignores_spelling_and_nothing_else(one: str, other: str, same: bool) -> None:
    assert (respelled(one) == respelled(other)) is same


@given(st.text())
@example("0:")
def test_respelled_twice_says_the_same_words(text: str) -> None:
    assert respelled(f"  {text}\n") == respelled(text)


def test_without_options_cuts_only_lettered_options_at_the_end() -> None:
    assert without_options("How far? (A) 2 m (B) 3 m") == "How far?"
    assert without_options("How far?\nA. 2 m\nB. 3 m") == "How far?"
    assert without_options("Let A. Smith and B. Jones meet. How far?") is not None  # two initials look the same
    assert without_options("How far does it go?") is None
    assert without_options("(A) 2 m (B) 3 m") is None


# --- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WORD_BY_WORD)
def test_copies_finds_every_word_by_word_alteration(kind: str, benchmarks: BenchmarkSet) -> None:
    copies = Copies(benchmarks.questions)
    altered = [(one, text) for one in benchmarks.questions if (text := SAME[kind](one))]
    assert altered
    for one, text in altered:
        found = [benchmarks.questions[place] for place, _ in copies.of(text)]
        assert respelled(one.whole) in {respelled(same.whole) for same in found}, text


@pytest.mark.parametrize("kind", ["other_numbers", "order", "synonyms", "names"])
def test_copies_takes_no_other_words_for_the_same(kind: str, benchmarks: BenchmarkSet) -> None:
    copies = Copies(benchmarks.questions)
    altered = [text for one in benchmarks.questions if (text := (SAME | ANOTHER)[kind](one))]
    assert altered
    assert not any(copies.of(text) for text in altered)


def test_copies_stem_that_needs_its_options_has_to_come_with_them(benchmarks: BenchmarkSet) -> None:
    copies = Copies(benchmarks.questions)
    assert copies.of(LAW) == []
    assert copies.of(f"{LAW} (A) It needs no machine (B) It is a law") == []
    (found,) = copies.of(f"{LAW}\n(A) It forbids machine 7\n(B) Heat is work")
    assert benchmarks.questions[found[0]].options[0] == "It forbids machine 7"
    assert [same for _, same in copies.of(MUSCLE["question"])] == ["words"]
    assert [same for _, same in copies.of(MUSCLE["question"] + " (A) Another (B) And another")] == ["words"]


def test_copies_whole_question_inside_ours_is_a_part() -> None:
    copies = Copies([BenchmarkQuestion("b/1", "b", BATCH[0]), BenchmarkQuestion("b/2", "b", "Mode is")])
    assert copies.of(f"Read with care. {BATCH[0]} Round to a dozen.") == [(0, "part")]
    assert copies.of(BATCH[0].rpartition(" ")[0]) == []  # the last word is missing
    assert copies.of("Mode is the value that occurs most often") == []  # too few words to be found inside


@pytest.mark.parametrize("text", ["", " ", "?", "光速是多少？", r"$\int_0^1 x\,dx$", "word " * 10_000, "\x00", "�"])
def test_copies_strange_text_is_itself_and_nothing_else(text: str, benchmarks: BenchmarkSet) -> None:
    assert Copies(benchmarks.questions).of(text) == []
    if text.strip():
        assert Copies([BenchmarkQuestion("b/1", "b", text)]).of(text) == [(0, "words")]


# --- planting --------------------------------------------------------------------------------------------------------


def test_plants_are_the_same_each_time_and_others_for_another_batch(benchmarks: BenchmarkSet) -> None:
    assert plants(benchmarks, 8, "first") == plants(benchmarks, 8, "first")
    assert plants(benchmarks, 8, "first") != plants(benchmarks, 8, "second")
    assert plants(benchmarks, 3, "first") == plants(benchmarks, 8, "first")[:3]


def test_plants_use_a_question_once_and_end_where_there_are_none_left(benchmarks: BenchmarkSet) -> None:
    found = plants(benchmarks, 10_000, "")
    assert len({plant.place for plant in found}) == len(found) <= len(benchmarks.questions)
    assert len({plant.id for plant in found}) == len(found)
    assert {plant.planted.family for plant in found} == {"GSM8K", "MedMCQA", "MATH"}
    assert plants(BenchmarkSet(), 5, "") == []


def test_measured_counts_unread_ones_as_not_caught() -> None:
    def planted(kind: str) -> Planted:
        return Planted(id="b/1", family="A/B", kind=kind, same=kind in SAME)

    tallies = {
        tally(planted("verbatim"), "caught"): 6,
        tally(planted("names"), "missed"): 1,
        tally(planted("names"), "unread"): 1,
        tally(planted("left_out"), "passed"): 3,
        tally(planted("left_out"), "accused"): 1,
        "contaminated/gsm8k": 5,
    }
    found = measured(tallies)
    assert (found["planted"], found["recall"], found["precision"]) == (12, 0.75, 0.75)
    assert found["by_kind"]["names"] == {"of": 2, "right": 0}
    assert found["by_family"] == {"A/B": {"of": 12, "right": 9}}
    assert measured({"contaminated/gsm8k": 5}) == {}


def test_other_numbers_changes_every_number_and_keeps_the_words() -> None:
    one = BenchmarkQuestion("b/1", "b", "A 2 kg block falls 30 m in 2.47 s. Name C2H6 and $x^2$.")
    text = ANOTHER["other_numbers"](one)
    assert text is not None
    assert not any(number in text.split() for number in ("2", "30", "2.47"))
    assert "C2H6 and $x^2$" in text


# --- embeddings ------------------------------------------------------------------------------------------------------


def test_embeddings_embed_no_text_twice(tmp_path: Any) -> None:
    store, engine = Store(str(tmp_path)), Counted()
    first = kept(store, engine, ["a b", "c", "a b"])
    assert engine.given == ["a b", "c"]
    again = kept(store, engine, ["c", "d e", "a b", ""])
    assert engine.given == ["a b", "c", "d e", ""]
    assert np.array_equal(again[[2, 0]], first[:2])
    assert np.array_equal(first[0], first[2])
    assert first.dtype == np.float16
    assert np.array_equal(first, lexical_vectors(["a b", "c", "a b"], 64).astype(np.float16))


def test_embeddings_of_another_model_are_its_own(tmp_path: Any) -> None:
    store, one, other = Store(str(tmp_path)), Counted(), Counted(width=32, revision="2")
    kept(store, one, ["a"])
    assert kept(store, other, ["a"]).shape == (1, 32)
    assert other.given == ["a"]


def test_embeddings_of_another_width_under_the_same_name_are_refused_in_one_line(tmp_path: Any) -> None:
    store = Store(str(tmp_path))
    kept(store, Counted(), ["a"])
    with pytest.raises(ContractError, match=r"vectors of 32 numbers.*have 64.*name its revision") as error:
        kept(store, Counted(width=32), ["a", "b"])
    assert "\n" not in str(error.value)


def test_embeddings_damaged_part_is_made_again(tmp_path: Any) -> None:
    store, engine = Store(str(tmp_path)), Counted()
    before = kept(store, engine, ["a", "b"])
    (entry,) = store.entries("index/embeddings")
    store.put(entry.path, store.get(entry.path)[:-20])
    assert np.array_equal(kept(store, engine, ["a", "b"]), before)
    assert engine.given == ["a", "b"] * 2


def test_embeddings_of_another_version_are_embedded_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from megascience_ops.contamination import embeddings

    store, engine = Store(str(tmp_path)), Counted()
    kept(store, engine, ["a"])
    monkeypatch.setattr(embeddings, "VERSION", "2")
    kept(store, engine, ["a"])
    assert engine.given == ["a", "a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [(np.ones((1, 4)), "shape"), (np.full((2, 4), np.nan), "NaN"), (np.full((2, 4), 1e9), "infinity")],
)
def test_embeddings_engine_that_gives_nonsense_is_named(given: Any, message: str, tmp_path: Any) -> None:
    engine = Counted()

    async def embed(texts: Sequence[str]) -> Any:
        return given

    engine.embed = embed  # type: ignore[method-assign]
    with pytest.raises(ContractError, match=f"embedder model m 1 gave .*{message}"):
        kept(Store(str(tmp_path)), engine, ["a", "b"])


# --- neighbours ------------------------------------------------------------------------------------------------------


def neighbours(benchmarks: BenchmarkSet, texts: list[str], k: int = 5, **more: Any) -> list[list[str]]:
    async def found() -> Any:
        near = Neighbourhood(benchmarks, KeptEmbeddings(Store("memory://near"), Counted(1024)), k)
        await near.settle()
        return await near.of(texts, **more)

    ids = [one.id for one in benchmarks.questions]
    return [[ids[place] for place in row if place >= 0] for row in asyncio.run(found()).places.tolist()]


def test_neighbours_question_of_two_benchmarks_takes_one_place(benchmarks: BenchmarkSet) -> None:
    (found,) = neighbours(benchmarks, [PHOTON])
    assert found[0] == "gsm8k/2"
    assert "math500/1" not in found
    assert len(found) == 5
    two = next(one for one in benchmarks.questions if one.id == "math/1")
    assert two.also == ("math500/2",)


def test_neighbours_stem_with_many_sets_of_options_takes_one_place_with_the_nearest(benchmarks: BenchmarkSet) -> None:
    (found,) = neighbours(benchmarks, [f"{LAW} (A) It forbids machine 9 (B) Heat is work"])
    assert found[0] == "medmcqa/11"
    assert sum(id.startswith("medmcqa") for id in found) == 2
    assert len(found) == 5


def test_neighbours_question_left_out_is_not_found_but_the_next_is(benchmarks: BenchmarkSet) -> None:
    place = [one.id for one in benchmarks.questions].index("gsm8k/2")
    assert neighbours(benchmarks, [PHOTON, PHOTON], left_out=[place, None])[0][0] != "gsm8k/2"


def test_neighbours_options_of_ours_hide_no_stem(benchmarks: BenchmarkSet) -> None:
    options = " (A) a very long option about ships and harbours (B) another about the price of corn in autumn"
    (found,) = neighbours(benchmarks, [BATCH[2] + options], k=1)
    assert found == ["gsm8k/3"]


def test_floor_belongs_to_the_model_that_made_the_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOORS, "a-model", 0.77)
    assert floor_of({"kind": "rules", "model": "rules"}) == FLOORS["lexical"]
    assert floor_of({"kind": "sentence_transformers", "model": "/models/a-model/"}) == 0.77
    assert floor_of({"kind": "model", "model": "maker/a-model"}) == 0.77
    assert floor_of({"kind": "model", "model": "unheard-of"}) == UNMEASURED
