"""Three people in front of Airflow: one triggers a run, one asks what became of a row, one redoes a stage.

And a fourth who is elsewhere, and is told by a chat. REFRESH_IMAGES=1 writes what the others see into docs/images.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.browser.conftest import BATCH, DAG, REPOSITORY, Ui

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

IMAGES = REPOSITORY / "docs" / "images"
LARGEST = 150_000  # bytes of a picture in the repository
RUN = 600_000  # milliseconds that a run may take on a busy machine


def picture(page: Page, name: str) -> None:
    """What is seen, as a small PNG; kept where the pictures of the docs are to be made anew."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        seen.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    assert len(content.getvalue()) < LARGEST
    if os.environ.get("REFRESH_IMAGES"):
        (IMAGES / f"{name}.png").write_bytes(content.getvalue())


def curation(page: Page, url: str) -> FrameLocator:
    """The page inside Airflow's own, as a tab."""
    page.goto(url)
    return page.frame_locator("iframe")


def test_browser_from_the_form_to_a_row_and_a_stage_redone(ui: Ui, page: Page) -> None:
    # the form: a batch on the sample books
    page.goto(f"{ui.url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.locator("[role=dialog][data-state=open]")
    form.locator("#element_batch").fill(BATCH)
    page.wait_for_timeout(1000)  # until the form has unfolded
    picture(page, "trigger")
    form.get_by_role("button", name="Trigger", exact=True).last.click()
    form.wait_for(state="hidden")
    run = f"{ui.url}/dags/{DAG}/runs/{ui.newest_run()['dag_run_id']}"

    # the run: its tab shows a stage at work, then all of them done
    page.goto(run)
    page.get_by_role("link", name="Curation").last.click()
    frame = page.frame_locator("iframe")
    frame.locator("tr[data-stage=publish]").wait_for()
    with ui.held_at_work() as stage:
        frame.locator("html").evaluate("dispatchEvent(new Event('hashchange'))")  # which has the page look at once
        at_work = frame.locator(f"tr[data-stage={stage}].running")
        at_work.wait_for()
        assert re.search(r"\d+ of \d+ rows", at_work.inner_text())
        picture(page, "running")
    published = frame.locator("tr[data-stage=publish].done")
    published.wait_for(timeout=RUN)
    ui.wait(ui.newest_run()["dag_run_id"])
    page.reload()
    rows = sum(part["rows_out"] for part in ui.receipt("publish")["parts"])
    assert rows > 100
    assert f"{rows}\nrows in the dataset" in frame.locator(".tiles").inner_text()
    picture(page, "funnel")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    frame.locator("tr[data-stage=publish].done").wait_for()
    assert frame.locator("html").get_attribute("data-theme") == "dark"
    picture(page, "funnel-dark")
    page.evaluate("localStorage.setItem('theme', 'light')")
    page.reload()

    # an aside row: from the reason in the funnel to the row itself
    frame.locator("tr[data-stage=filter_qa] .chip", has_text="missing_context").click()
    aside = frame.locator("article.aside").first
    assert "missing_context" in aside.inner_text()
    question = (
        aside.locator("tr", has=frame.locator("th", has_text=re.compile("^question$"))).locator("td").inner_text()
    )
    aside.locator("header a").click()
    frame.locator("h2", has_text="The life of").wait_for()
    ending = frame.locator(".card").first
    assert "at filter_qa: missing_context" in ending.inner_text()
    assert question in ending.inner_text()

    # a kept row: found by a word, followed to its page of the book and to the words it was asked in
    frame.locator("#head").get_by_role("link", name="Rows").click()
    frame.get_by_role("searchbox").fill("blood pressure")
    frame.get_by_role("button", name="Find").click()
    frame.locator(".hits a").first.click()
    here = frame.locator(".page.here").first
    here.wait_for()
    asked = frame.locator(".question").inner_text()
    assert asked.split("?")[0][:40] in " ".join(here.inner_text().split())
    frame.locator("li[data-stage=filter_qa] button").click()
    words = frame.locator("li[data-stage=filter_qa] .words")
    words.wait_for()
    assert asked[:60] in words.inner_text()
    frame.locator("li[data-stage=chunk_books]").scroll_into_view_if_needed()
    picture(page, "row")

    # the prompt is changed and the stage redone, with what follows it
    receipts = {name: ui.receipt(name) for name in ("distill_cot", "filter_qa", "find_neighbours", "finalize")}
    prompt = ui.prompts / "filter_qa.md"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\nBe strict.\n", encoding="utf-8")
    page.goto(f"{run}/tasks/filter_qa")
    page.get_by_role("button", name="clear").first.click()
    dialog = page.locator("[role=dialog][data-state=open]")
    dialog.get_by_text("find_neighbours").wait_for()
    picture(page, "clear")
    dialog.get_by_role("button", name="Confirm").click()
    dialog.wait_for(state="hidden")
    page.wait_for_timeout(3000)  # until the scheduler has seen it
    ui.wait(ui.newest_run()["dag_run_id"])

    # only what had to was computed: the stage itself; its rows came out the same, so what follows stands
    again = ui.receipt("filter_qa")
    assert (again["number"], again["computed_parts"]) == (2, len(again["parts"]))
    asked_again = sum(use["requests"] + use["replayed"] for use in again["effort"]["usage"].values())
    assert asked_again == sum(part["rows_in"] for part in again["parts"])
    for name in ("distill_cot", "find_neighbours", "finalize"):
        assert ui.receipt(name) == receipts[name]
    frame = curation(page, f"{run}/tasks/filter_qa/plugin/curation-task-instance")
    frame.get_by_role("link", name="compare with 1").click()
    made = frame.locator("table.compared").first
    made.wait_for()
    assert "prompts.filter_qa" in made.inner_text()
    assert "No row differs." in frame.locator("main").inner_text()
    picture(page, "compare")

    # and the batches side by side, from the navigation
    page.goto(f"{ui.url}/plugin/curation")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="Batches").click()
    frame.locator("table.yields a", has_text=BATCH).wait_for()


def test_browser_chat_is_told_of_a_run_that_is_late_and_of_its_failure(ui: Ui) -> None:
    dag = f"{DAG}_arrivals"
    ui.api(f"dags/{dag}", {"is_paused": False}, "PATCH")
    conf = {"textbooks": "/no/such/folder", "root": str(ui.root)}
    run = ui.api(f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"]
    expected = [{"text": f"{dag} {run} is late, and goes on"}, {"text": f"{dag} {run} has failed"}]
    until = time.monotonic() + RUN / 1000
    while not all(one in ui.alerts for one in expected):
        assert time.monotonic() < until, f"told: {ui.alerts}"
        time.sleep(1)
    ui.api(f"dags/{dag}", {"is_paused": True}, "PATCH")


HOSTILE = r"""# A Hostile Book

<script>window.pwned = 1</script>

Problem 1. Explain why water boils at 100 degrees <img src=x onerror="window.pwned = 2"> and what \(\href{javascript:window.pwned=3}{pressure}\) does to its boiling point at height.

Answer: At height the pressure is lower, so water boils below 100 degrees </td></table><script>window.pwned = 4</script> \(\text{<img src=x onerror=window.pwned=5>}\) because its vapour reaches the pressure of the air sooner. """


def test_browser_text_of_a_hostile_book_does_nothing(ui: Ui, page: Page, tmp_path: Path) -> None:
    (tmp_path / "hostile.md").write_text(HOSTILE + "\u202egnp.exe\n", encoding="utf-8")
    (tmp_path / "textbooks.csv").write_text(
        "path,title,level,subject,licence\nhostile.md,<b onclick=alert(1)>A Book</b>,undergraduate,physics,CC0-1.0\n"
    )
    done = subprocess.run(
        [*(sys.executable, "-m", "megascience_ops", "run"), "--root", str(ui.root), "--batch", "hostile"]
        + ["--textbooks", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page.goto(f"{ui.url}/curation/?dag={DAG}#/funnel")
    page.get_by_label("Batch").select_option(label="hostile")
    page.locator("tr[data-stage=extract_qa].done").wait_for()
    for stage in ("discover_books", "chunk_books", "extract_qa", "publish"):
        page.goto(f"{ui.url}/curation/?dag={DAG}&batch=hostile#/stage/{stage}")
        page.reload()
        page.locator("h2", has_text=stage).wait_for()
        page.wait_for_timeout(500)
    page.goto(f"{ui.url}/curation/?dag={DAG}&batch=hostile#/search/chunk_books/boils")
    page.reload()
    page.locator(".hits a").first.click()
    page.locator("li[data-stage=chunk_books]").wait_for()
    said = page.locator("main").inner_text()
    assert "<script>window.pwned = 1</script>" in said
    assert "\u202e" not in said and "⟨U+202E⟩" in said
    assert page.evaluate("window.pwned") is None
    assert page.locator("main script, main img, main iframe, main a[href^=javascript]").count() == 0
    report = ui.root / DAG / "batch=hostile" / "report.html"
    page.goto(report.as_uri())
    assert "A Book</b>" in page.locator("main").inner_text()
    assert page.evaluate("window.pwned") is None
