"""The Curation page as a server: who gets in, what it tells, and what strangers' text and addresses cannot do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from megascience_ops.completions import Completion
from megascience_ops.progress import teller
from megascience_ops.rows import Example
from megascience_ops.stage import Aside
from megascience_ops.storage import Store
from megascience_ops.tables import encode

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.conftest import River

DAG = "textbook_reasoning"
Get = Callable[..., Any]


@pytest.fixture(scope="module")
def whole_ui() -> Any:
    """Airflow's own application with the page mounted in it, as the API server serves it."""
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb

    initdb()
    return create_app(apps="core")


@pytest.fixture
def stranger(whole_ui: Any) -> TestClient:
    from fastapi.testclient import TestClient

    return TestClient(whole_ui)


@pytest.fixture
def client(whole_ui: Any, monkeypatch: pytest.MonkeyPatch, finished_river: River) -> Iterator[TestClient]:
    """Somebody who may see the DAG, on an API server whose configuration names the river's root."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    monkeypatch.setenv("MEGASCIENCE_ROOT", finished_river.root)
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="vera", role="viewer"))
    with TestClient(whole_ui, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.fixture
def get(client: TestClient, finished_river: River) -> Get:
    """JSON about the river's batch."""
    from megascience_airflow.curation.places import key

    def asked(path: str, status: int = 200, **parameters: Any) -> Any:
        told = {"root": key(finished_river.root), "batch": "first", **parameters}
        response = client.get(f"/curation/api/{DAG}/{path}", params=told)
        assert response.status_code == status, response.text
        return response.json()

    return asked


# --- who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["", "curation.js", "look.css", "no-such-file", f"api/{DAG}/places", f"api/{DAG}/row?root=x&batch=y&row=z"],
)
def test_page_without_a_token_is_refused(path: str, stranger: TestClient) -> None:
    assert stranger.get(f"/curation/{path}").status_code == 401
    assert stranger.get(f"/curation/{path}", headers={"Authorization": "Bearer nonsense"}).status_code in (401, 403)


def test_page_of_a_dag_that_one_may_not_see_is_refused(client: TestClient) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    with mock.patch.object(SimpleAuthManager, "is_authorized_dag", return_value=False):
        assert client.get(f"/curation/api/{DAG}/places").status_code == 403


def test_page_has_a_strict_policy_and_no_script_of_others(client: TestClient) -> None:
    for name in ("", "curation.js", "dom.js", "look.css"):
        response = client.get(f"/curation/{name}")
        assert response.status_code == 200
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy and "http" not in policy.replace("https", "http").split(";")[0]
        assert "http://" not in response.text.replace("http://www.w3.org/1998/Math/MathML", "")
        assert "innerHTML" not in response.text


@pytest.mark.parametrize("name", ["..%2fapp.py", "%2e%2e/places.py", "app.py", "index.html%00"])
def test_page_serves_its_own_files_only(name: str, client: TestClient) -> None:
    assert client.get(f"/curation/{name}").status_code == 404


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_places_name_the_configured_root_and_its_batches(client: TestClient, finished_river: River) -> None:
    told = client.get(f"/curation/api/{DAG}/places").json()
    (place,) = told["places"]
    assert (place["address"], place["batches"]) == (finished_river.root, ["first"])
    assert told["stages"] == finished_river.recipe.names
    assert finished_river.root not in place["root"]


def test_funnel_of_a_batch_is_that_of_its_receipts(get: Get, finished_river: River) -> None:
    lines = get("funnel")["lines"]
    assert [line["stage"] for line in lines] == finished_river.recipe.names
    assert lines[-1]["rows_out"] == 3
    (extract,) = [line for line in lines if line["stage"] == "extract_qa"]
    assert extract["parts_aside"] == {"no_answer": 1}


def test_stage_tells_samples_asides_and_history(get: Get, finished_river: River) -> None:
    told = get("stage/dedup_questions")
    assert told["asides"] == {"duplicate": 1}
    assert told["before"] == "extract_qa"
    assert [line["receipt"] for line in told["history"]] == [1]
    (one,) = get("stage/dedup_questions/asides", reason="duplicate")
    assert one["before"]["id"] == one["aside"]["row"]
    assert get("stage/dedup_questions/asides", reason="no such") == []
    for sample in get("stage/refine_qa/samples"):
        assert sample["before"]["id"] == sample["after"]["id"]


def test_row_tells_its_pages_its_prompts_and_its_formulas(get: Get, finished_river: River) -> None:
    row = next(row for row in finished_river.rows("publish") if "\\(" in row.answer)
    told = get("row", row=row.id)
    stages = [moment["stage"] for moment in told["moments"]]
    assert stages == finished_river.recipe.names
    passage = told["moments"][stages.index("chunk_books")]["rows"][-1]
    assert [page["page"] for page in passage["text"]][0] == passage["source"]["page_start"]
    answer = told["moments"][-1]["rows"][-1]["answer"]
    formulas = [piece for piece in answer["pieces"] if not isinstance(piece, str)]
    assert formulas and all(node[0] == "math" for _, node in formulas)
    words = get("row/words", row=row.id, stage="filter_qa")
    assert json.dumps(row.question)[1:40] in json.dumps(words[0]["words"]) or words[0]["words"]
    assert words[0]["completion"]["prompt"] == "filter_qa"


def test_words_of_a_prompt_that_was_changed_since_are_not_made_up(
    get: Get, finished_river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prompt, *_) = finished_river.recipe.stage("filter_qa").prompts
    front, text = prompt._file
    monkeypatch.setitem(vars(prompt), "_file", (front, f"Another beginning. {text}"))
    assert get("row/words", row=finished_river.rows("publish")[0].id, stage="filter_qa") == []


def test_row_aside_as_a_duplicate_names_the_kept_one(get: Get, finished_river: River) -> None:
    (aside,) = finished_river.asides("dedup_questions")
    told = get("row", row=aside.id)
    assert told["alike"]["kept"] in {row.id for row in finished_river.rows("dedup_questions")}
    assert get("row", row=told["alike"]["kept"])["alike"] == told["alike"]


def test_search_finds_words_and_the_beginnings_of_ids(get: Get, finished_river: River) -> None:
    row = next(row for row in finished_river.rows("publish") if "sodium" in row.question)
    assert [hit["id"] for hit in get("search", stage="publish", words="SODIUM")["hits"]] == [row.id]
    assert row.id in [hit["id"] for hit in get("search", stage="refine_qa", words=row.book_id)["hits"]]
    assert get("search", stage="publish", words="%' OR 1=1")["hits"] == []


def test_diff_of_two_receipts(get: Get, finished_river: River, change_stage: Callable[..., None]) -> None:
    async def against_all(qa: Any, ask: Any, config: Any) -> Any:
        return Aside("missing_context")

    change_stage("filter_qa", run=against_all, version=99)
    asyncio.run(finished_river.stage("filter_qa"))
    told = get("stage/filter_qa/diff", before=1, after=2)
    assert told["made_by"] == {"version": [1, 99]}
    assert told["rows"]["newly aside"] == finished_river.receipt("filter_qa").total("rows_in") - 1
    assert get("stage/filter_qa/diff", status=404, before=1, after=9)["detail"].endswith("there are 1, 2")


def test_run_half_done_is_told_as_far_as_it_is(get: Get, finished_river: River) -> None:
    store = finished_river.store
    names = finished_river.recipe.names
    before = names[names.index("judge_cot") - 1]
    for name in names[names.index("judge_cot") :]:
        for path in finished_river.objects(finished_river.folder(name)):
            store.delete(path)
    teller(store, finished_river.folder("judge_cot"), "f", 0, 1)(2, 6, False)
    lines = {line["stage"]: line for line in get("funnel")["lines"]}
    assert lines["judge_cot"]["state"] == "running"
    assert (lines["judge_cot"]["underway"]["done"], lines["judge_cot"]["underway"]["total"]) == (2, 6)
    assert lines["publish"]["state"] == "waiting"
    assert get("row", row=finished_river.rows("refine_qa")[0].id)["moments"][-1]["stage"] == before
    assert "has not finished" in get("stage/publish", status=404)["detail"]
    assert get("batches")[0]["batch"] == "first"


def test_file_that_is_gone_is_named(get: Get, finished_river: River) -> None:
    for facts in finished_river.receipt("refine_qa").parts:
        finished_river.store.delete(facts.path)
    assert "it is gone" in get("stage/refine_qa/samples", status=404)["detail"]


def test_file_that_is_damaged_is_named(get: Get, finished_river: River) -> None:
    for facts in finished_river.receipt("refine_qa").parts:
        finished_river.store.put(facts.path, b"PAR1 and nothing else")
    assert "is not as it was written" in get("stage/refine_qa/samples", status=404)["detail"]


# --- what strangers cannot do ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, wrong",
    [
        ("funnel", {"root": "/etc"}),
        ("funnel", {"root": "../.."}),
        ("funnel", {"batch": "../first"}),
        ("funnel", {"batch": "first/../first"}),
        ("funnel", {"batch": ""}),
        ("stage/..%2f..%2fdatasets", {}),
        ("stage/refine_qa%00", {}),
        ("row", {"row": "../../../etc/passwd"}),
        ("row", {"row": "/etc/passwd"}),
        ("row/words", {"row": "../x", "stage": "refine_qa"}),
        ("row/words", {"row": "x", "stage": "../refine_qa"}),
        ("search", {"stage": "../publish", "words": "water"}),
    ],
)
def test_address_that_names_something_else_finds_nothing(path: str, wrong: dict[str, str], get: Get) -> None:
    told = get(path, status=404, **wrong)
    assert "passwd" not in json.dumps(told) or "no row" in told["detail"]


@pytest.mark.parametrize(
    "path, wrong",
    [
        ("row", {"row": "x" * 501}),
        ("stage/refine_qa/diff", {"before": -1, "after": 1}),
        ("stage/refine_qa/diff", {"before": "1;", "after": 1}),
        ("stage/refine_qa/samples", {"skip": -5}),
        ("search", {"stage": "publish", "words": "x"}),
        ("search", {"stage": "publish", "words": "water", "after": "../.."}),
    ],
)
def test_address_that_makes_no_sense_is_refused(path: str, wrong: dict[str, Any], get: Get) -> None:
    get(path, status=422, **wrong)


def test_dag_without_a_recipe_has_no_page(client: TestClient) -> None:
    response = client.get("/curation/api/other_dag/places")
    assert response.status_code == 404
    assert "no DAG of a recipe" in response.json()["detail"]


HOSTILE = "<script>alert(1)</script>\x00\x1b[2J\u202egnp \\(\\href{javascript:alert(1)}{x}\\) $\\text{<img src=x onerror=alert(1)>}$"


def test_text_of_a_hostile_book_is_told_as_text(get: Get, finished_river: River) -> None:
    facts = next(facts for facts in finished_river.receipt("publish").parts if facts.rows_out)
    row = finished_river.rows("publish")[0].model_copy(update={"question": HOSTILE, "id": f"{'0' * 16}/a/b"})
    content, _ = encode(Example, [row], {})
    finished_river.store.put(facts.path, content)
    told = get("search", stage="publish", words="script")["hits"][0]["text"]
    flat = json.dumps(told)
    assert "javascript" not in json.dumps([piece[1] for piece in told["pieces"] if not isinstance(piece, str)])
    assert "href" not in json.dumps([piece[1] for piece in told["pieces"] if not isinstance(piece, str)])
    assert "\x00" not in flat and "\\u0000" not in flat and "\\u202e" not in flat and "\\u001b" not in flat
    assert told["pieces"][0].startswith("<script>")  # as text, which the browser shows and does not run


def test_completion_of_a_stranger_is_told_as_text(get: Get, finished_river: River) -> None:
    row = finished_river.rows("publish")[0]
    part = next(facts.part for facts in finished_river.receipt("filter_qa").parts if facts.rows_in)
    said = Completion(id="f" * 32, row=row.id, prompt="filter_qa", text=HOSTILE, finish_reason="stop", model="m")
    for one in range(8):  # whichever shard it lies in
        content, _ = encode(Completion, [said], {"part": one})
        finished_river.store.create(
            f"{finished_river.folder('filter_qa')}/completions/part-{one:05}.99999.parquet", content
        )
    assert part is not None
    (moment,) = [one for one in get("row", row=row.id)["moments"] if one["stage"] == "filter_qa"]
    assert any("<script>" in json.dumps(asked["text"]) for asked in moment["asked"])


def test_root_of_a_run_may_be_looked_into_and_its_batch_is_found(
    client: TestClient, finished_river: River, tmp_path: Path
) -> None:
    from megascience_airflow.curation import places

    other = tmp_path / "other"
    Store(str(other)).put(f"index/{DAG}/batches/000001.json", b'{"batch": "elsewhere"}')
    with mock.patch.object(places, "roots", return_value={places.key(str(other)): str(other)}):
        told = client.get(f"/curation/api/{DAG}/places").json()
    assert told["places"][0]["batches"] == ["elsewhere"]
    assert client.get(f"/curation/api/{DAG}/places", params={"run": "no-such-run"}).status_code == 404
