"""Near-duplicates: what goes, what stays, and how much of what brute force finds is found."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megascience_ops.dedup import (
    SEED,
    Candidate,
    Removed,
    _fingerprints,
    _Sets,
    _signatures,
    bands_and_rows,
    jaccard,
    near_duplicates,
    shingles,
    tokens,
)


def candidates(*questions: str) -> list[Candidate]:
    return [Candidate(f"q{number}", question, (number,)) for number, question in enumerate(questions)]


def greedy(questions: list[Candidate], threshold: float) -> dict[str, float]:
    """Brute force: every id that goes, with the largest similarity to one that stays."""
    kept: list[frozenset[tuple[str, ...]]] = []
    gone = {}
    for candidate in sorted(questions, key=lambda candidate: (candidate.rank, candidate.id)):
        own = shingles(candidate.question)
        nearest = max((jaccard(own, other) for other in kept), default=0.0)
        if nearest >= threshold:
            gone[candidate.id] = nearest
        else:
            kept.append(own)
    return gone


def edited(rng: random.Random, words: list[str], vocabulary: list[str]) -> list[str]:
    """The words with a few of them replaced: similarities around 0.6 and above."""
    words = words[:]
    for _ in range(rng.randint(1, max(1, len(words) // 12))):
        words[rng.randrange(len(words))] = rng.choice(vocabulary)
    return words


def synthetic(count: int, seed: int) -> list[Candidate]:
    rng = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(800)]
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < 0.5:
            texts.append(edited(rng, rng.choice(texts), vocabulary))
        else:
            texts.append(rng.choices(vocabulary, k=rng.randint(12, 60)))
    return [Candidate(f"q{n:05}", " ".join(text), (rng.randint(0, 3),)) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("A 2.50 kg mass, 1,000 times!", ["a", "2.50", "kg", "mass", "1,000", "times"]),
        (r"\Delta E = \frac{1}{2}mv^2", [r"\Delta", "e", r"\frac", "1", "2", "mv", "2"]),
        ("H2O at 10kg, 3.2e-4 or .5 — x_1", ["h2o", "at", "10", "kg", "3.2e-4", "or", ".5", "x", "1"]),
        ("Don’t ÉTUDIER 水", ["don't", "étudier", "水"]),
        ("Step 3.2.1 of 1,2,3.", ["step", "3.2", "1", "of", "1", "2", "3"]),
        (" … $$ { } ", []),
        ("", []),
    ],
)
def test_tokens_of_a_text_are_words_numbers_and_commands(text: str, want: list[str]) -> None:
    assert tokens(text) == want


@given(st.text())
def test_tokens_of_any_text_are_never_empty(text: str) -> None:
    assert all(token.strip() for token in tokens(text))


def test_shingles_short_text_is_its_whole_token_tuple() -> None:
    assert shingles("Mode is:") == {("mode", "is")}
    assert shingles("□ ≥ △") != shingles("???")
    assert len(shingles("one two three four")) == 2


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8), st.integers(1, 5))
def test_fingerprints_count_and_compare_as_the_shingles_do(texts: list[str], ngram: int) -> None:
    sets = _Sets()
    sets.extend(*_fingerprints(texts, ngram, {}))
    exact = [shingles(text, ngram) for text in texts]
    assert [len(each) for each in sets._sets] == [len(each) for each in exact]
    for number in range(1, len(texts)):
        found = sets.most_similar(number, [0], 1e-9)
        assert (found[1] if found else 0.0) == pytest.approx(jaccard(exact[0], exact[number]))


def test_signatures_are_those_of_datasketch() -> None:
    from datasketch import MinHash

    questions = candidates("What is the mass of the moon in kilograms?", "Mode is", "")
    hashes, offsets = _fingerprints([question.question for question in questions], 3, {})
    for number, signature in enumerate(_signatures(questions, 3, 66, _Sets())):
        sketch = MinHash(num_perm=66, seed=SEED, scheme="affine64", hashfunc=int)
        sketch.update_batch(hashes[offsets[number] : offsets[number + 1]].tolist())
        assert np.array_equal(sketch.hashvalues, signature)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.8, 0.95, 1.0])
def test_bands_and_rows_meet_the_recall(threshold: float) -> None:
    bands, rows = bands_and_rows(threshold, 128)
    assert bands * rows <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.99


def test_bands_and_rows_too_few_permutations_is_an_error() -> None:
    with pytest.raises(ValueError, match="raise num_perm"):
        bands_and_rows(0.2, 8)


def test_near_duplicates_recall_against_brute_force_is_at_least_99_percent() -> None:
    wanted = found = 0
    for seed in range(3):
        questions = synthetic(1_500, seed)
        exact = greedy(questions, 0.6)
        removed = near_duplicates(questions)
        wanted += len(exact)
        found += sum(1 for row in removed if row.id in exact)
    assert wanted > 1_000
    assert found / wanted >= 0.99


def test_near_duplicates_pairs_at_the_threshold_are_found_at_least_99_percent() -> None:
    """Pairs of 0.60 to 0.65, the hardest ones, each on its own."""
    rng = random.Random(7)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 1_500:
        words = [f"w{rng.randrange(10**6)}" for _ in range(rng.randint(20, 80))]
        other = words[:]
        for place in rng.sample(range(len(words)), max(1, len(words) // 12)):
            other[place] = f"w{rng.randrange(10**6)}"
        a, b = " ".join(words), " ".join(other)
        if 0.6 <= jaccard(shingles(a), shingles(b)) < 0.65:
            pairs.append((a, b))
    questions = [Candidate(f"{n}{side}", text, (n,)) for n, pair in enumerate(pairs) for side, text in enumerate(pair)]
    assert len(near_duplicates(questions)) / len(pairs) >= 0.99


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_near_duplicates_each_removal_is_right_and_the_input_order_is_nothing(seed: int, order: random.Random) -> None:
    questions = synthetic(60, seed)
    removed = near_duplicates(questions)
    shuffled = questions[:]
    order.shuffle(shuffled)
    assert near_duplicates(shuffled) == removed
    by_id = {candidate.id: candidate for candidate in questions}
    gone = {row.id for row in removed}
    for row in removed:
        assert row.kept_id not in gone
        one, other = by_id[row.id], by_id[row.kept_id]
        assert row.jaccard == pytest.approx(jaccard(shingles(one.question), shingles(other.question)))
        assert row.jaccard >= 0.6
        assert (other.rank, other.id) < (one.rank, one.id)


def test_near_duplicates_chain_keeps_whoever_resembles_nobody_kept() -> None:
    # b resembles a, c resembles b, but c does not resemble a: only b goes.
    words = [f"w{number}" for number in range(60)]
    b = words[6:] + [f"x{number}" for number in range(6)]
    c = words[18:] + [f"x{number}" for number in range(18)]
    rows = candidates(*(" ".join(text) for text in (words, b, c)))
    assert jaccard(shingles(rows[1].question), shingles(rows[2].question)) >= 0.6
    assert [(row.id, row.kept_id) for row in near_duplicates(rows)] == [("q1", "q0")]


def test_near_duplicates_numeric_variant_above_the_threshold_goes() -> None:
    stem = "a ball of {} kilograms falls from a tower of forty metres; how fast is it when it hits the ground"
    removed = near_duplicates(candidates(stem.format("2.5"), stem.format("2.6")))
    assert [row.id for row in removed] == ["q1"]
    assert 0.6 <= removed[0].jaccard < 1


def test_near_duplicates_short_questions_go_only_for_the_same_words() -> None:
    removed = near_duplicates(candidates("Define entropy.", "define Entropy", "Define enthalpy.", "?", "!", "?"))
    assert removed == [Removed("q1", "q0", 1.0), Removed("q5", "q3", 1.0)]


def test_near_duplicates_settled_come_first_and_stay() -> None:
    text = "Why does the sky look blue at noon and red at dusk?"
    settled = [Candidate("old/1", text, (9,)), Candidate("old/2", text, (9,))]
    removed = near_duplicates([Candidate("new/1", text, (0,))], settled=settled)
    assert removed == [Removed("new/1", "old/1", 1.0)]


def test_near_duplicates_most_similar_kept_question_is_named() -> None:
    words = [f"w{number}" for number in range(40)]
    far = Candidate("far", " ".join(words[:32] + ["x"] * 8), (0,))
    near = Candidate("near", " ".join([*words[4:], *(f"y{number}" for number in range(4))]), (1,))
    new = Candidate("new", " ".join(words), (2,))
    removed = near_duplicates([far, near, new], threshold=0.65)
    assert [(row.id, row.kept_id) for row in removed] == [("new", "near")]


def test_near_duplicates_wrong_input_is_an_error() -> None:
    twice = [Candidate("a", "x", (0,)), Candidate("a", "y", (1,))]
    with pytest.raises(ValueError, match="question a occurs twice"):
        near_duplicates(twice)
    with pytest.raises(ValueError, match="question a occurs twice"):
        near_duplicates(twice[:1], settled=twice[1:])
    with pytest.raises(ValueError, match="threshold"):
        near_duplicates([], threshold=0)


def test_near_duplicates_nothing_gives_nothing() -> None:
    assert near_duplicates([]) == []
    assert near_duplicates([], settled=candidates("a b c")) == []
