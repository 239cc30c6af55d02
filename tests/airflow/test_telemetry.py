"""Telemetry: the gauges of a stage, how far it is, and what OpenLineage is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk._shared.observability.metrics import stats as backend
from airflow.sdk.observability import stats

from megascience_airflow.telemetry import lineage, measure, progress
from megascience_ops.progress import RowProgress
from megascience_ops.recipes import TEXTBOOK_REASONING
from tests.airflow.test_operators import SUMMARY, settings

if TYPE_CHECKING:
    from tests.conftest import River


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """What a metrics server would have received."""
    seen: dict[str, float] = {}

    class Logger:
        def gauge(self, stat: str, value: float, **rest: Any) -> None:
            seen[stat] = value

    for name in ("_factory", "_backend"):
        monkeypatch.setattr(backend, name, getattr(backend, name))
    stats.initialize(factory=Logger, export_legacy_names=False)  # type: ignore[arg-type,return-value]
    yield seen


def test_gauges_say_what_the_receipt_says(gauges: dict[str, float], finished_river: River) -> None:
    receipt = finished_river.receipt("refine_qa")
    measure(settings(), receipt.summary("somewhere"))
    assert gauges["megascience.refine_qa.rows_in"] == receipt.total("rows_in")
    assert gauges["megascience.refine_qa.rows_aside"] == receipt.total("rows_aside")
    assert gauges["megascience.refine_qa.requests"] == sum(one.requests for one in receipt.effort.usage.values()) > 0
    assert gauges["megascience.refine_qa.warnings"] == 0
    assert {"prompt_tokens", "completion_tokens", "tokens_per_second"} <= {name.split(".")[2] for name in gauges}


def test_progress_is_read_from_the_line_that_the_command_logs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("megascience_ops.progress.LOG_SECONDS", 0.0)
    with caplog.at_level("INFO"), RowProgress("refine_qa", 4, lambda *_: None) as rows:
        rows.row_done()
    (line,) = caplog.messages
    assert progress(line) == {"rows_done": 1, "rows": 4, "seconds_left": 0}
    assert progress("refine_qa: shard 3, 20 rows in, 20 kept, 0 aside, 20 out, 0.2 s") is None


def test_lineage_is_none_without_the_provider_and_names_both_ends_with_it() -> None:
    told = lineage(TEXTBOOK_REASONING, settings(root="s3://bucket/data"), SUMMARY)
    try:
        import airflow.providers.openlineage  # noqa: F401
    except ImportError:
        assert told is None
        return
    (read,), (written,) = told.inputs, told.outputs
    assert (read.namespace, read.name) == ("s3://bucket", "data/textbook_reasoning/batch=b/dedup_questions")
    assert (written.namespace, written.name) == ("s3://bucket", "data/textbook_reasoning/batch=b/refine_qa")
    assert written.outputFacets["outputStatistics"].rowCount == SUMMARY["rows_out"]
    first = {**SUMMARY, "stage": "discover_books"}
    (books,) = lineage(TEXTBOOK_REASONING, settings(textbooks="/books/here"), first).inputs
    assert (books.namespace, books.name) == ("file", "/books/here")
    last = {**SUMMARY, "stage": "publish"}
    (dataset,) = lineage(TEXTBOOK_REASONING, settings(), last).outputs
    assert (dataset.namespace, dataset.name) == ("file", "/data/datasets/textbook_reasoning/batch=b")
