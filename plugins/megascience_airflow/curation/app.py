"""What serves the Curation page: three files, and JSON about a batch. Every address needs a user of Airflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from megascience_airflow.curation import places
from megascience_airflow.curation.places import Place
from megascience_ops import batch as batches
from megascience_ops import funnel, receipts
from megascience_ops.errors import ContractError, TransientError
from megascience_ops.looking.alike import alike
from megascience_ops.looking.differences import compare
from megascience_ops.looking.life import by_page, is_known, life
from megascience_ops.looking.report import STYLE
from megascience_ops.looking.samples import asides, counted, samples
from megascience_ops.looking.searching import search
from megascience_ops.looking.text import shown
from megascience_ops.looking.wording import worded
from megascience_ops.receipts import Receipt

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
FILES = {path.name: path for path in (*PAGE.iterdir(), STYLE) if path.suffix in TYPES}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
FEW = 6  # samples at a time
PAGE_OF = 10  # asides at a time
HISTORY = 20  # batches, and receipts of a stage: the newest
PATIENCE = 0.7  # seconds that a comparison or a search may take

Name = Annotated[str, Query(max_length=100)]


class Told(JSONResponse):
    """JSON in which texts of books are ready to show."""

    def render(self, content: Any) -> bytes:
        return super().render(shown(content))


app = FastAPI(title="Curation", dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)
api = APIRouter(
    prefix="/api/{dag_id}",
    dependencies=[Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN))],
    default_response_class=Told,
)


@app.middleware("http")
async def strict(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Nothing but what is served here is run, shown or asked; nobody else may frame the page."""
    response = await answer(request)
    response.headers.update(
        {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
    )
    return response


@app.exception_handler(ContractError)
def cannot(request: Request, error: ContractError) -> Response:
    """What a person has to mend, in one line."""
    return Told({"detail": str(error)}, status_code=404)


@app.exception_handler(TransientError)
def may_pass(request: Request, error: TransientError) -> Response:
    """What may pass."""
    return Told({"detail": f"{error}; it may pass, so try again"}, status_code=503)


@app.exception_handler(FileNotFoundError)
def gone(request: Request, error: FileNotFoundError) -> Response:
    """A file that a receipt lists and that is not there."""
    return Told({"detail": f"{error}: a receipt lists this file, and it is gone; run the stage again"}, status_code=404)


@app.get("/")
@app.get("/{name}")
def page(name: str = "index.html") -> Response:
    """The page, its scripts and its style."""
    if name not in FILES:
        raise ContractError(f"there is no {name}")
    return FileResponse(FILES[name], media_type=TYPES[FILES[name].suffix])


def chosen(dag_id: str, session: SessionDep, root: Name, batch: Name) -> Place:
    """The batch that an address names."""
    return places.place(session, dag_id, root, batch)


Chosen = Annotated[Place, Depends(chosen)]


@api.get("/places")
def known_places(dag_id: str, session: SessionDep, run: Annotated[str, Query(max_length=300)] = "") -> Any:
    """The roots and their batches; with a run, which of them are its own."""
    flow, current = places.recipe_of(session, dag_id), None
    if run:
        root, batch = places.of_run(session, dag_id, run)
        current = {"root": places.key(root), "batch": batch}
    found = [
        {"root": name, "address": root, "batches": _batches(root, flow.name)}
        for name, root in places.roots(session, dag_id).items()
    ]
    return {"recipe": flow.name, "stages": flow.names, "places": found, "current": current}


@api.get("/funnel")
def the_funnel(at: Chosen) -> Any:
    """The batch, stage by stage."""
    lines = funnel.lines(at.store, at.recipe, at.batch)
    dataset = at.store.address(f"datasets/{at.recipe.name}/batch={at.batch}")
    return {"lines": [line.model_dump(mode="json") for line in lines], "dataset": dataset}


@api.get("/batches")
def the_batches(dag_id: str, session: SessionDep, root: Name) -> Any:
    """The newest batches under a root, each stage by stage."""
    there = places.roots(session, dag_id)
    if root not in there:
        raise ContractError(f"no run of {dag_id} names a root {root}")
    flow, store = places.recipe_of(session, dag_id), places.opened(there[root])
    return [
        {"batch": batch, "lines": [line.model_dump(mode="json") for line in funnel.lines(store, flow, batch)]}
        for batch in batches.batches(store, flow.name)[-HISTORY:]
    ]


@api.get("/stage/{name}")
def a_stage(at: Chosen, name: str) -> Any:
    """A stage: its current receipt but for the shards, its asides by reason, and the receipts there were."""
    receipt, folder = _receipt(at, name), funnel.folder(at.recipe, at.batch, name)
    history = [receipts.numbered(at.store, folder, one) for one in receipts.numbers(at.store, folder)[-HISTORY:]]
    told = receipt.model_dump(mode="json", exclude={"parts"})
    before = at.recipe.before(name)
    return {
        "before": before.name if before else None,
        "receipt": told,
        "line": funnel.line(at.recipe.stage(name), receipt).model_dump(mode="json"),
        "asides": counted(receipt),
        "history": [funnel.line(at.recipe.stage(name), one).model_dump(mode="json") for one in reversed(history)],
    }


@api.get("/stage/{name}/samples")
def some_samples(at: Chosen, name: str, skip: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Any:
    """A few rows before and after a stage; `skip` gives others."""
    found = samples(at.store, _before(at, name), _receipt(at, name), FEW, skip)
    return [sample.model_dump(mode="json") for sample in found]


@api.get("/stage/{name}/asides")
def some_asides(at: Chosen, name: str, reason: Name = "", skip: Annotated[int, Query(ge=0)] = 0) -> Any:
    """A page of asides, of one reason or of all."""
    found = asides(at.store, _before(at, name), _receipt(at, name), reason or None, skip, PAGE_OF)
    return [one.model_dump(mode="json") for one in found]


@api.get("/stage/{name}/diff")
def a_difference(at: Chosen, name: str, before: Annotated[int, Query(ge=1)], after: Annotated[int, Query(ge=1)]) -> Any:
    """Two receipts of a stage side by side."""
    folder = funnel.folder(at.recipe, at.batch, at.recipe.stage(name).name)
    two = [receipts.numbered(at.store, folder, number) for number in (before, after)]
    return compare(at.store, *two, seconds=PATIENCE).model_dump(mode="json")


@api.get("/row")
def a_life(at: Chosen, row: Annotated[str, Query(max_length=500)]) -> Any:
    """A row's life, and the questions that say the same."""
    found = funnel.finished(at.store, at.recipe, at.batch)
    moments = life(at.store, at.recipe, found, row)
    if not is_known(moments, row):
        raise ContractError(f"no row {row} in batch {at.batch}")
    same = alike(at.store, found, row)
    return {
        "moments": [by_page(moment.model_dump(mode="json")) for moment in moments],
        "alike": same.model_dump(mode="json") if same else None,
    }


@api.get("/row/words")
def the_words(at: Chosen, row: Annotated[str, Query(max_length=500)], stage: Name) -> Any:
    """The prompts about a row in their very words, as far as they still say what they said."""
    found = funnel.finished(at.store, at.recipe, at.batch)
    return [one.model_dump(mode="json") for one in worded(at.store, at.recipe, found, stage, row)]


@api.get("/search")
def found_rows(
    at: Chosen,
    stage: Name,
    words: Annotated[str, Query(min_length=2, max_length=200)],
    after: Annotated[str, Query(pattern=r"^(\d{1,9}\.\d{1,9})?$")] = "",
) -> Any:
    """Rows of a stage that have these words."""
    return search(at.store, _receipt(at, stage), words, after=after, seconds=PATIENCE).model_dump(mode="json")


app.include_router(api)


def _receipt(at: Place, name: str) -> Receipt:
    folder = funnel.folder(at.recipe, at.batch, at.recipe.stage(name).name)
    receipt = receipts.current(at.store, folder)
    if receipt is None:
        raise ContractError(f"{name} of batch {at.batch} has not finished")
    return receipt


def _before(at: Place, name: str) -> Receipt | None:
    before = at.recipe.before(name)
    return receipts.current(at.store, funnel.folder(at.recipe, at.batch, before.name)) if before else None


def _batches(root: str, recipe: str) -> list[str]:
    """The batches under a root, newest first; none where it cannot be opened, or nothing has run there."""
    try:
        return batches.batches(places.opened(root), recipe)[::-1]
    except ContractError:
        return []
