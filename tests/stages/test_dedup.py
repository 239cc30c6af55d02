"""Near-duplicates: what goes, what stays, and how much of what brute force finds is found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megascience_ops.dedup import columns
from megascience_ops.dedup.columns import by_spelling, mix, tokenized
from megascience_ops.dedup.comparing import similarities
from megascience_ops.dedup.confirming import confirmed
from megascience_ops.dedup.signatures import ROWS, bands_for, signatures
from megascience_ops.dedup.signed import File, Making, Signed, grams_of, write
from megascience_ops.dedup.survivors import Survival, survival
from megascience_ops.dedup.words import jaccard, shingles, skeleton, tokens
from megascience_ops.errors import ContractError

Question = tuple[str, str, int]  # id, text, rank

STEM = "a ball of {} kilograms falls from a tower of forty metres; how fast is it when it hits the ground"
ODD_TEXT = st.text(alphabet=st.sampled_from("aAbB19.,-−\\_ \n水ไใ١٣é²'’+=½ßΣİ́{}$"), max_size=14)
TEXT = st.one_of(ODD_TEXT, st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode()))


@dataclass(frozen=True)
class Outcome:
    """Who goes, with who stays for it and how similar the two are; and which of those that stay are variants."""

    removed: dict[str, tuple[str, float]]
    variants: set[str]


@pytest.fixture
def decided(tmp_path: Path) -> Callable[..., Outcome]:
    """Decides questions; each call signs files of its own."""
    numbers = iter(range(10**6))

    def signed(questions: Sequence[Question], making: Making) -> Path:
        file = tmp_path / f"{next(numbers)}.parquet"
        ids, texts, ranks = ([one[place] for one in questions] for place in range(3))
        columns = [pa.array(ids, pa.string()), pa.array(texts, pa.string()), pa.array(ranks, pa.int64())]
        write([pa.record_batch(columns, ["id", "question", "rank"])], file, making)
        return file

    def decide(
        *shards: Sequence[Question], settled: Sequence[Question] = (), threshold: float = 0.6, keep: bool = False
    ) -> Outcome:
        making = Making(3, bands_for(threshold))
        files = [File.beside(signed(shard, making)) for shard in shards]
        before = [File.beside(signed(settled, making))] if settled else []
        with Signed(files, making) as mine, Signed(before, making) as kept:
            found = survival(mine, kept, threshold, keep_variants=keep)
            told = zip(found.kept, found.jaccard.tolist(), strict=True)
            return Outcome(dict(zip(mine.ids_of(found.removed), told, strict=True)), set(mine.ids_of(found.variants)))

    return decide


def word(number: int) -> str:
    """A word of letters for a number below 26^5."""
    return "".join(chr(97 + number // 26**place % 26) for place in range(5))


def some_words(rng: random.Random, count: int) -> list[str]:
    return [word(rng.randrange(26**5)) for _ in range(count)]


def numbered(*texts: str) -> list[Question]:
    return [(f"q{number}", text, number) for number, text in enumerate(texts)]


def greedy(questions: Sequence[Question], threshold: float) -> dict[str, float]:
    """Brute force: every id that goes, with the largest similarity to one that stays."""
    kept: list[frozenset[tuple[str, ...]]] = []
    gone = {}
    for one, text, _ in sorted(questions, key=lambda question: (question[2], question[0])):
        own = shingles(text)
        nearest = max((jaccard(own, other) for other in kept), default=0.0)
        if nearest >= threshold:
            gone[one] = nearest
        else:
            kept.append(own)
    return gone


def synthetic(count: int, seed: int) -> list[Question]:
    """Half of them are an earlier one with a few words replaced: similarities around 0.6 and above, in chains."""
    rng = random.Random(seed)
    vocabulary = [f"w{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(676)]
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < 0.5:
            words = rng.choice(texts)[:]
            for _ in range(rng.randint(1, max(1, len(words) // 12))):
                words[rng.randrange(len(words))] = rng.choice(vocabulary)
            texts.append(words)
        else:
            texts.append(rng.choices(vocabulary, k=rng.randint(12, 60)))
    return [(f"q{n:05}", " ".join(text), rng.randint(0, 3)) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("A 2.50 kg mass, 1,000 times!", ["a", "2.50", "kg", "mass", "1,000", "times"]),
        (r"\Delta E = \frac12 \left( mv^2 \right)", [r"\Delta", "e", "=", r"\frac", "12", "mv", "^", "2"]),
        (r"5\,\mathrm{m/s}", ["5", "m", "/", "s"]),
        (
            "H2O at 10kg, 3.2e-4 or .5; x_1",
            ["h", "2", "o", "at", "10", "kg", "3.2", "e", "-", "4", "or", ".5", "x", "1"],
        ),
        (
            "Don’t ÉTUDIER a well-known x - y − 2",
            ["don", "t", "étudier", "a", "well", "known", "x", "-", "y", "-", "2"],
        ),
        ("水の中 ไทย", ["水", "の", "中", "ไ", "ท", "ย"]),
        (" … $$ { } ?!", []),
        ("", []),
    ],
)
def test_tokens_of_a_text_are_words_numbers_commands_and_signs(text: str, want: list[str]) -> None:
    assert tokens(text) == want


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_tokenized_columns_are_the_tokens_of_each_text(texts: list[str]) -> None:
    found = tokenized(pa.array(texts, pa.string()))
    there: dict[str, int] = {}
    back: dict[int, str] = {}
    for text, start, end in zip(texts, found.bounds[:-1], found.bounds[1:], strict=True):
        words, hashes = tokens(text), found.hashes[start:end].tolist()
        assert all(word.strip() for word in words)
        assert len(words) == len(hashes)
        for word, value in zip(words, hashes, strict=True):
            assert there.setdefault(word, value) == value
            assert back.setdefault(value, word) == word


def test_tokenized_columns_do_not_depend_on_their_neighbours() -> None:
    text = r"A counterrevolutionary x^2 + 1,000.5 \Delta \displaystyle \operatorname{arctanh} electroencephalographically ++"
    alone, beside = tokenized(pa.array([text])), tokenized(pa.array(["水é", text, "\U0001d4d0 ß"]))
    assert len(alone.hashes) == len(tokens(text)) > 10
    assert beside.hashes[slice(*beside.bounds[1:3])].tolist() == alone.hashes.tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=12), st.integers(0, 2))
def test_numbered_rows_have_one_number_for_each_row_even_where_hashes_collide(
    rows: list[tuple[int, int]], collisions: int
) -> None:
    hashes = iter([np.zeros(len(rows), dtype=np.uint64)] * 2 * collisions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "mix", lambda values: next(hashes, mix(values)))
        found = columns.numbered(*(np.array([row[place] for row in rows], dtype=np.uint64) for place in range(2)))
    pairs = set(zip(rows, found.tolist(), strict=True))
    assert len(pairs) == len(set(rows)) == len(set(found.tolist()))
    assert not rows or found.min() >= 1


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_by_spelling_columns_have_one_number_for_each_token(texts: list[str]) -> None:
    found = by_spelling(pa.array(texts, pa.string()))
    words = [tokens(text) for text in texts]
    assert np.diff(found.bounds).tolist() == [len(each) for each in words]
    pairs = set(zip(found.tokens.tolist(), [word for each in words for word in each], strict=True))
    assert len(pairs) == len({number for number, _ in pairs}) == len({word for _, word in pairs})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, st.booleans()), max_size=8), st.integers(1, 5))
def test_similarities_of_pairs_are_those_of_their_shingles(pairs: list[tuple[str, str, bool]], ngram: int) -> None:
    sides = [one for one, _, _ in pairs], [f"{one} {other}" if longer else other for one, other, longer in pairs]
    found = similarities(*(pa.array(side, pa.large_string()) for side in sides), ngram)
    assert found.tolist() == [jaccard(shingles(a, ngram), shingles(b, ngram)) for a, b in zip(*sides, strict=True)]


def test_similarities_of_long_and_many_pairs_do_not_depend_on_their_neighbours() -> None:
    rng = random.Random(6)
    lengths = [0, 1, 3, 12_000, *(rng.randint(10, 90) for _ in range(1_500)), 150_000, 40]
    ours = [" ".join(word(rng.randrange(26**4)) for _ in range(length)) for length in lengths]
    theirs = [text.replace(" a", " b", 2 + len(text) // 200) + (" é" if n % 3 else "") for n, text in enumerate(ours)]
    for ngram in (3, 6):  # six words of so many do not fit into one number
        found = similarities(pa.array(ours, pa.large_string()), pa.array(theirs, pa.large_string()), ngram)
        for number in (*range(0, 1_504, 50), 1, 2, 3, 1_504, 1_505):
            assert found[number] == jaccard(shingles(ours[number], ngram), shingles(theirs[number], ngram))


def test_similarities_bytes_that_are_not_utf8_count_as_the_replacement_character() -> None:
    broken = pa.array([b"\xff\xfe mass of it", b"what mass of \xc3"], pa.large_binary()).view(pa.large_string())
    mended = pa.array(["\ufffd\ufffd mass of it", "what mass of \ufffd"], pa.large_string())
    assert similarities(broken, mended, 2).tolist() == [1.0, 1.0]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 5))
def test_signatures_count_and_compare_as_the_shingles_do(texts: list[str], ngram: int) -> None:
    found = signatures(pa.array(texts, pa.string()), ngram, 2)
    sets = [set(found.grams[a:z].tolist()) for a, z in zip(found.bounds[:-1], found.bounds[1:], strict=True)]
    exact = [shingles(text, ngram) for text in texts]
    assert np.diff(found.bounds).tolist() == [len(each) for each in exact]
    for one, true in zip(sets, exact, strict=True):
        assert len(one & sets[0]) == len(true & exact[0])
    for place, text in enumerate(texts):
        assert (found.family[place] == 0) == (skeleton(text) is None)
        same = [tokens(text) == tokens(other) for other in texts]
        if tokens(text):
            assert (found.sequence == found.sequence[place]).tolist() == same


def test_signatures_long_and_many_texts_do_not_depend_on_their_neighbours() -> None:
    rng = random.Random(4)
    texts = [" ".join(f"w{rng.randrange(500)}" for _ in range(length)) for length in (0, 1, 2, 3, 10_000, 7, 30_000)]
    texts = [text + (" °" if number % 2 else "") for number, text in enumerate(texts * 200)]
    together = signatures(pa.array(texts), 3, 5)
    for number in (*range(7), 1_399):
        alone = signatures(pa.array([texts[number]]), 3, 5)
        assert np.array_equal(together.bands[:, number], alone.bands[:, 0])
        assert np.array_equal(together.grams[together.bounds[number] : together.bounds[number + 1]], alone.grams)


def test_signatures_bytes_that_are_not_utf8_count_as_the_replacement_character() -> None:
    broken = pa.array([b"what is \xff\xfe mass of it", b"plain"], pa.binary()).view(pa.string())
    mended = pa.array(["what is �� mass of it", "plain"])
    assert np.array_equal(signatures(broken, 3, 2).grams, signatures(mended, 3, 2).grams)


def test_signatures_bands_meet_as_often_as_datasketch_says() -> None:
    """A band is equal with probability J^4; datasketch's estimate of J from the same sets is the oracle."""
    from datasketch import MinHash

    rng = random.Random(2)
    texts, estimates = [], []
    for _ in range(300):
        words = some_words(rng, 60)
        other = words[:]
        for place in rng.sample(range(60), rng.choice([2, 4, 6, 8])):
            other[place] = word(rng.randrange(26**5))
        texts += [" ".join(words), " ".join(other)]
        sketches = [MinHash(num_perm=256), MinHash(num_perm=256)]
        for sketch, text in zip(sketches, texts[-2:], strict=True):
            sketch.update_batch([" ".join(one).encode() for one in shingles(text)])
        estimates.append(sketches[0].jaccard(sketches[1]))
    bands = signatures(pa.array(texts), 3, 100).bands
    met = (bands[:, ::2] == bands[:, 1::2]).mean(axis=0)
    assert np.corrcoef(met, np.array(estimates) ** ROWS)[0, 1] > 0.9
    assert met.mean() == pytest.approx((np.array(estimates) ** ROWS).mean(), rel=0.05)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.6, 0.8, 0.95, 1.0])
def test_bands_for_a_threshold_meet_the_recall(threshold: float) -> None:
    assert 1 - (1 - threshold**ROWS) ** bands_for(threshold) >= 0.99
    assert threshold != 0.6 or 1 - (1 - 0.7**ROWS) ** bands_for(threshold) >= 0.999


def test_survival_recall_against_brute_force_is_at_least_99_percent(decided: Callable[..., Outcome]) -> None:
    wanted = found = 0
    for seed in range(3):
        questions = synthetic(800, seed)
        exact = greedy(questions, 0.6)
        wanted += len(exact)
        found += len(exact.keys() & decided(questions).removed.keys())
    assert wanted > 600
    assert found / wanted >= 0.99


def test_survival_pairs_at_the_threshold_are_found_at_least_99_percent(decided: Callable[..., Outcome]) -> None:
    """Pairs of 0.60 to 0.65, the hardest ones, each on its own."""
    rng = random.Random(7)
    questions: list[Question] = []
    while len(questions) < 2_000:
        words = some_words(rng, rng.randint(20, 80))
        other = words[:]
        for place in rng.sample(range(len(words)), max(1, len(words) // 12)):
            other[place] = word(rng.randrange(26**5))
        a, b = " ".join(words), " ".join(other)
        if 0.6 <= jaccard(shingles(a), shingles(b)) < 0.65:
            questions += [(f"{len(questions)}a", a, 0), (f"{len(questions)}b", b, 1)]
    assert len(decided(questions).removed) / 1_000 >= 0.99


@pytest.mark.parametrize("seed", range(6))
def test_survival_each_removal_is_right_whatever_the_order_and_the_shards(
    seed: int, decided: Callable[..., Outcome]
) -> None:
    questions = synthetic(150, seed)
    found = decided(questions)
    shuffled = questions[:]
    random.Random(seed).shuffle(shuffled)
    assert decided(shuffled[:40], shuffled[40:41], [], shuffled[41:]) == found
    texts = {one: (rank, one, text) for one, text, rank in questions}
    for one, (kept, similarity) in found.removed.items():
        assert kept not in found.removed
        assert similarity == pytest.approx(jaccard(shingles(texts[one][2]), shingles(texts[kept][2])))
        assert similarity >= 0.6
        assert texts[kept][:2] < texts[one][:2]


def test_survival_chain_keeps_whoever_resembles_nobody_kept(decided: Callable[..., Outcome]) -> None:
    # b resembles a, c resembles b, but c does not resemble a: only b goes.
    words = [word(number) for number in range(60)]
    b = words[6:] + [f"other{word(number)}" for number in range(6)]
    c = words[18:] + [f"other{word(number)}" for number in range(18)]
    texts = [" ".join(text) for text in (words, b, c)]
    assert jaccard(shingles(texts[1]), shingles(texts[2])) >= 0.6
    assert {one: kept for one, (kept, _) in decided(numbered(*texts)).removed.items()} == {"q1": "q0"}


def test_survival_numeric_variants_are_kept_as_a_family_or_dropped(decided: Callable[..., Outcome]) -> None:
    questions = numbered(STEM.format("2.5"), STEM.format("2.6"), STEM.format("2.6") + "?")
    kept = decided(questions, keep=True)
    assert kept == Outcome({"q2": ("q1", 1.0)}, {"q1"})
    dropped = decided(questions)
    assert {one: kept for one, (kept, _) in dropped.removed.items()} == {"q1": "q0", "q2": "q0"}
    assert 0.6 <= dropped.removed["q1"][1] < 1
    later = decided([("new", STEM.format("9"), 0)], settled=questions[:1], keep=True)
    assert later == Outcome({}, {"new"})


def test_survival_signs_make_another_question(decided: Callable[..., Outcome]) -> None:
    pair = numbered("Solve x + y = z for x.", "Solve x - y = z for x.", r"Solve x $-$ y = z for \text{x}!")
    assert {one: kept for one, (kept, _) in decided(pair).removed.items()} == {"q2": "q1"}


def test_survival_short_and_empty_questions_go_only_for_the_same(decided: Callable[..., Outcome]) -> None:
    found = decided(
        numbered("Define entropy.", "define Entropy", "Define enthalpy.", "?", "!", "?", "", " ", "水", "水")
    )
    assert found.removed == {"q1": ("q0", 1.0), "q5": ("q3", 1.0), "q7": ("q6", 1.0), "q9": ("q8", 1.0)}


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        (
            r"$\int_0^1 \frac{x^2}{1+x} dx = \sum_{n=1}^\infty a_n \left( 1 - \epsilon \right)$",
            r"\int_0^1 \dfrac{x^2}{1+x} dx = \sum_{n=1}^\infty a_n ( 1 - \epsilon )",
            r"$\oint_1^2 \frac{y^3}{2-y} dy = \prod_{k=2}^\infty b_k \left( 2 + \delta \right)$",
        ),
        (
            "一个质量为二千克的物体从四十米高处自由下落求其落地速度",
            "一个质量为二千克的物体从四十米高处自由下落，求其落地时速度",
            "水的摩尔质量是多少为什么冰会浮在水面上",
        ),
    ],
)
def test_survival_only_latex_and_only_chinese_are_told_apart_as_words_are(
    text: str, near: str, far: str, decided: Callable[..., Outcome]
) -> None:
    found = decided(numbered(text, near, far))
    assert found.removed == {"q1": ("q0", pytest.approx(jaccard(shingles(text), shingles(near))))}


def test_survival_settled_come_first_and_stay(decided: Callable[..., Outcome]) -> None:
    text = "Why does the sky look blue at noon and red at dusk?"
    settled = [("old/1", text, 9), ("old/2", text, 9), ("old/3", "Something else entirely, is it not?", 9)]
    assert decided([("new/1", text, 0)], settled=settled).removed == {"new/1": ("old/1", 1.0)}


@pytest.mark.parametrize(
    "shape", ["the same", "one word differs", "only numbers differ", "empty", "below the threshold"]
)
def test_survival_of_many_alike_is_not_quadratic(shape: str, decided: Callable[..., Outcome]) -> None:
    """Four times as many take about four times as long; at worst REACH other questions a band are compared."""

    shapes: dict[str, Callable[[int], str]] = {
        "the same": lambda number: STEM,
        "one word differs": lambda number: STEM.format(word(number)),
        "only numbers differ": lambda number: STEM.format(number),
        "empty": lambda number: "",
        "below the threshold": lambda number: f"{STEM} {' '.join(word(number * 7 + k * 31) for k in range(13))}",
    }
    seconds = []
    for count in (2_000, 8_000):
        began = time.process_time()
        found = decided([(f"{number:06}", shapes[shape](number), 0) for number in range(count)], keep=True)
        seconds.append(time.process_time() - began)
    gone = {"only numbers differ": 0, "below the threshold": 0}.get(shape, count - 1)
    assert len(found.removed) == gone
    assert seconds[1] < 10 * seconds[0] + 0.5  # 16 times, were it quadratic


def test_survival_of_nothing_is_nothing(decided: Callable[..., Outcome]) -> None:
    assert decided() == decided([]) == decided([], settled=numbered("a b c")) == Outcome({}, set())


def test_signed_file_of_another_making_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    batch = pa.record_batch({"id": ["a"], "question": ["b"], "rank": [0]})
    write([batch], file, Making(2, 19))
    with pytest.raises(ContractError, match=r"not a signature file of v3-3grams-19x3; remove it, and it is made again"):
        Signed([File.beside(file)], Making(3, 19))
    file.write_bytes(b"no Parquet")
    with pytest.raises(ContractError, match=r"part.parquet: .*; remove it, and it is made again"):
        Signed([File.beside(file)], Making(3, 19))


def test_signed_ngrams_are_those_of_the_questions_asked_for_and_no_others(tmp_path: Path) -> None:
    texts = [" ".join(some_words(random.Random(number), 3 + number % 40)) for number in range(300)]
    file = tmp_path / "part.parquet"
    batch = pa.record_batch({"id": [str(number) for number in range(300)], "question": texts, "rank": [0] * 300})
    write([batch], file, Making(3, 2))
    kept = np.arange(300) % 3 > 0
    with Signed([File.beside(file, kept), File.beside(file)], Making(3, 2)) as both:
        wanted = np.array([0, 1, 7, 130, 199, 200, 201, 499])
        found = both.grams(wanted)
    texts = [text for text, stays in zip(texts, kept, strict=True) if stays] + texts
    alone = [signatures(pa.array([texts[number]]), 3, 2).grams for number in wanted]
    assert np.array_equal(found, np.concatenate(alone))


def test_signed_ngrams_that_are_cut_short_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    write([pa.record_batch({"id": ["a", "b"], "question": ["a b c d", "a b c e"], "rank": [0, 0]})], file, Making(3, 2))
    grams_of(file).write_bytes(grams_of(file).read_bytes()[:-3])
    with (
        Signed([File.beside(file)], Making(3, 2)) as signed,
        pytest.raises(ContractError, match=r"part.parquet: its n-grams are cut short; remove it, and it is made again"),
    ):
        signed.grams(np.array([0, 1]))


def test_confirmed_removals_are_those_whose_texts_are_alike_whatever_the_hashes_say() -> None:
    texts = ["a b c d e", "a b c d e", "v w x y z", "a b c d f", "a b c d e f"]
    claimed = Survival(
        removed=np.array([1, 2, 3, 4]),
        kept=["q0", "q0", "old", "q0"],
        kept_places=np.array([0, 0, -1, 0]),
        jaccard=np.array([1.0, 0.9, 0.8, 1.0]),
        variant=np.array([False, True, False, True]),
        variants=np.array([0]),
    )
    found = confirmed(claimed, lambda places: [pa.array([texts[place]]) for place in places], 0.6, 3)
    assert found.removed.tolist() == [1, 3, 4]
    assert found.kept == ["q0", "old", "q0"]
    assert found.jaccard.tolist() == [1.0, 0.8, 0.75]
    assert found.variant.tolist() == [False, False, True]
