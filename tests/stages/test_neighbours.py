"""Vectors from words, and exact nearest neighbours whoever computes them."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from megascience_ops.contamination import search
from megascience_ops.contamination import vectors as lexical
from megascience_ops.contamination.search import Searcher
from megascience_ops.contamination.vectors import lexical_vectors

Vectors = npt.NDArray[np.float32]


def exact(queries: Vectors, base: Vectors, k: int) -> npt.NDArray[np.int64]:
    """Brute force in float64, equal similarities by index."""
    score = (queries.astype(np.float64)[:, None, :] * base.astype(np.float64)[None, :, :]).sum(axis=2)
    return np.argsort(-score.astype(np.float32), axis=1, kind="stable")[:, :k]


def random_vectors(count: int, dim: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def noisy_knn(queries: Vectors, base: Vectors, count: int, metric: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """FAISS as far as we use it; of equal ones it takes the last, and its float sums are its own."""
    score = queries[:, ::-1] @ base[:, ::-1].T
    order = score.shape[1] - 1 - np.argsort(-score[:, ::-1], axis=1, kind="stable")[:, :count]
    return np.take_along_axis(score, order, axis=1), order


class GpuIndex:
    """The index that FAISS makes of one for the CPU."""

    def __init__(self, dim: int) -> None:
        self.base = np.empty((0, dim), dtype=np.float32)

    def add(self, base: Vectors) -> None:
        self.base = base

    def search(self, queries: Vectors, count: int) -> tuple[Vectors, npt.NDArray[np.int64]]:
        return noisy_knn(queries, self.base, count, 0)


@pytest.fixture(params=["numpy", "faiss", "faiss on GPUs"])
def searcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("faiss")
    values = {"knn": noisy_knn, "METRIC_INNER_PRODUCT": 0, "get_num_gpus": lambda: int("GPU" in request.param)}
    values |= {"IndexFlatIP": GpuIndex, "index_cpu_to_all_gpus": lambda index: index}
    for name, value in values.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "faiss", None if request.param == "numpy" else module)
    return str(request.param)


def test_lexical_vectors_have_length_one_and_follow_the_words() -> None:
    vectors = lexical_vectors(
        [
            "What is the molar mass of sodium chloride?",
            "the molar mass of SODIUM chloride, what is it",
            "Prove that every bounded monotone sequence of real numbers converges.",
            "",
        ]
    )
    assert vectors.shape == (4, 1024)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0])
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.7
    assert abs(similarity[0, 2]) < 0.2


def test_lexical_vectors_stop_words_alone_make_nothing_alike() -> None:
    one, other, copy = lexical_vectors(
        [
            "Which of the following is true of the enzyme pepsin?",
            "Which of the following is true of the Carnot cycle?",
            "Pepsin, an enzyme: what is true of it?",
        ]
    )
    assert one @ other < one @ copy


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.lists(st.text(max_size=50), max_size=6), st.integers(1, 64))
def test_lexical_vectors_depend_on_the_text_alone(texts: list[str], dim: int) -> None:
    together = lexical_vectors(texts, dim)
    assert together.shape == (len(texts), dim)
    assert np.isfinite(together).all()
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, lexical_vectors([text], dim)[0])


def test_lexical_vectors_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"question {number} about entropy {number % 7}" for number in range(50)]
    whole = lexical_vectors(texts)
    monkeypatch.setattr(lexical, "BLOCK", 7)
    assert np.array_equal(whole, lexical_vectors(texts))


def test_lexical_vectors_are_the_same_in_another_process() -> None:
    code = (
        "import hashlib; from megascience_ops.contamination.vectors import lexical_vectors as v;"
        "import sys; sys.stdout.write(hashlib.sha256(v(['Why is the sky blue?']).tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.usefixtures("searcher")
@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(3)), elements=st.sampled_from([-1, 0, 0.5, 1])),
    hnp.arrays(np.float32, st.tuples(st.integers(0, 90), st.just(3)), elements=st.sampled_from([-1, 0, 0.5, 1])),
    st.integers(1, 8),
)
def test_searcher_equal_similarities_are_in_order_of_index(queries: Vectors, base: Vectors, k: int) -> None:
    indices, similarities = Searcher(base).top(queries, k)
    assert indices.shape == similarities.shape == (len(queries), min(k, len(base)))
    assert np.array_equal(indices, exact(queries, base, k))


def test_searcher_are_exact_whoever_searches(searcher: str) -> None:
    queries, base = random_vectors(40, 64, 1), random_vectors(3_000, 64, 2)
    base[2_000:2_300] = queries[0]  # more equal ones than are looked at
    indices, similarities = Searcher(base).top(queries, 5)
    assert np.array_equal(indices, exact(queries, base, 5)), searcher
    assert indices[0].tolist() == [2_000, 2_001, 2_002, 2_003, 2_004]
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert similarities[0] == pytest.approx(1.0)


@pytest.mark.usefixtures("searcher")
def test_searcher_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, base = random_vectors(30, 32, 3), random_vectors(500, 32, 4)
    whole = Searcher(base).top(queries, 5)
    monkeypatch.setattr(search, "QUERIES", 7)
    monkeypatch.setattr(search, "BLOCK", 33)
    indices, similarities = Searcher(base).top(queries, 5)
    assert np.array_equal(whole[0], indices)
    assert np.array_equal(whole[1], similarities)


def test_searcher_wrong_input_is_an_error() -> None:
    one = random_vectors(1, 3, 0)
    with pytest.raises(ValueError, match="equal width"):
        Searcher(random_vectors(1, 4, 0)).top(one, 1)
    with pytest.raises(ValueError, match="k must"):
        Searcher(one).top(one, 0)
    with pytest.raises(ValueError, match="finite"):
        Searcher(np.full((1, 3), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="finite"):
        Searcher(one).top(np.full((1, 3), np.inf, dtype=np.float32), 1)
