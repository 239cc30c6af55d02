"""The command line: what a person gets who mistypes, and what the commands that look at a batch show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from megascience_ops.cli import main

if TYPE_CHECKING:
    from tests.conftest import River


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    folder = tmp_path / "zone"
    folder.mkdir()
    (folder / "book.md").write_text("# Motion\n\nA force changes the motion of a mass.\n")
    return folder


def files(folder: Path) -> list[str]:
    """What lies in a root, but for the batch's place in the order of batches."""
    found = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    return [file for file in found if not file.startswith("index/textbook_reasoning/batches/")]


# What is typed, and what the one line has to name: the thing, and the fix.
MISTYPED = {
    "no_textbooks": ([], ["no textbooks named", "--textbooks FOLDER"]),
    "missing_folder": (["--textbooks", "/no/such/folder"], ["/no/such/folder: no such folder"]),
    "engine": (["--textbooks", "ZONE", "--engine", "ruels"], ["engine.kind", "'ruels'", "'rules'"]),
    "setting": (
        ["--textbooks", "ZONE", "--set", "refine_qa.atempts=5"],
        ["refine_qa.atempts", "did you mean attempts?"],
    ),
    "setting_of_an_engine": (
        ["--textbooks", "ZONE", "--set", "engine.modle=x"],
        ["engine.modle", "did you mean model?"],
    ),
    "setting_without_value": (["--textbooks", "ZONE", "--set", "refine_qa.attempts"], ["--set", "name=value"]),
    "setting_of_a_stage_mistyped": (
        ["--textbooks", "ZONE", "--set", "refien_qa.attempts=5"],
        ["refien_qa", "did you mean refine_qa?"],
    ),
    "setting_below_a_value": (["--textbooks", "ZONE", "--set", "batch.name=x"], ["batch", "has no place in it"]),
    "setting_not_yaml": (["--textbooks", "ZONE", "--set", "refine_qa.attempts=[5"], ["refine_qa.attempts", "not YAML"]),
    "setting_out_of_range": (["--textbooks", "ZONE", "--set", "refine_qa.attempts=0"], ["refine_qa.attempts", "0"]),
    "setting_not_a_number": (["--textbooks", "ZONE", "--set", "refine_qa.attempts=many"], ["attempts", "'many'"]),
    "negative_limit": (["--textbooks", "ZONE", "--limit", "-1"], ["limit", "-1"]),
    "batch": (["--textbooks", "ZONE", "--batch", "../elsewhere"], ["batch", "'../elsewhere'"]),
    "recipe": (["--textbooks", "ZONE", "--recipe", "textbook_reasonning"], ["did you mean textbook_reasoning?"]),
    "storage": (["--textbooks", "gs://bucket/books"], ["gs://", "s3://"]),
}


@pytest.mark.parametrize("arguments, named", MISTYPED.values(), ids=MISTYPED)
def test_cli_bad_arguments_end_in_one_line_and_write_nothing(
    arguments, named, call, zone: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    given = [str(zone) if argument == "ZONE" else argument for argument in arguments]

    code, out, err = call("run", "--root", str(root), *given)

    assert code == 65
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for name in named:
        assert name in err
    assert out == ""
    assert files(root) == []


CONFIGS = {
    "not_yaml": (b"engine: [\n", "not YAML"),
    "not_a_mapping": (b"- rules\n", "a mapping of settings is expected"),
    "empty": (b"", "a mapping of settings is expected"),
    "not_text": (b"\xff\xfe\x00\x01", "not a text file"),
    "engine_not_a_mapping": (b"engine: rules\n", "engine"),
    "stages_not_a_mapping": (b"stages: 3\n", "stages"),
    "mistyped": (b"textboks: x\n", "did you mean textbooks?"),
    "mistyped_stage": (b"stages: {refien_qa: {attempts: 3}}\n", "did you mean refine_qa?"),
    "key_not_a_string": (b"1: 2\n", "1"),
}


@pytest.mark.parametrize("content, named", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(
    "besides", [[], ["--engine", "rules", "--set", "refine_qa.attempts=2"]], ids=["alone", "flags"]
)
def test_cli_bad_config_file_ends_in_one_line(content, named, besides, call, zone: Path, tmp_path: Path) -> None:
    config, root = tmp_path / "settings.yaml", tmp_path / "root"
    config.write_bytes(content)

    code, _, err = call("run", "--root", str(root), "--textbooks", str(zone), "--config", str(config), *besides)

    assert (code, err.count("\n")) == (65, 1)
    assert err.startswith("error: ")
    assert named in err
    assert files(root) == []


def test_cli_config_that_is_a_folder_or_missing_is_named(call, zone: Path, tmp_path: Path) -> None:
    for config in (tmp_path, tmp_path / "missing.yaml"):
        code, _, err = call("run", "--root", str(tmp_path / "r"), "--textbooks", str(zone), "--config", str(config))
        assert (code, err.count("\n")) == (65, 1)
        assert str(config) in err


def test_cli_mistyped_stage_names_the_likely_one(call, zone: Path, tmp_path: Path) -> None:
    code, _, err = call("stage", "refien_qa", "--root", str(tmp_path / "root"), "--textbooks", str(zone))
    assert (code, err) == (65, "error: textbook_reasoning has no stage refien_qa; did you mean refine_qa?\n")
    assert files(tmp_path / "root") == []


def test_cli_stage_before_its_turn_names_the_one_to_run(call, zone: Path, tmp_path: Path) -> None:
    code, _, err = call("stage", "screen_books", "--root", str(tmp_path / "root"), "--textbooks", str(zone))
    assert code == 65
    assert "discover_books, which has not finished: run it first" in err
    assert files(tmp_path / "root") == []


def test_cli_empty_landing_zone_says_what_to_put_into_it(call, tmp_path: Path) -> None:
    (tmp_path / "zone").mkdir()
    (tmp_path / "zone" / ".hidden").write_text("not a book")
    code, _, err = call("run", "--root", str(tmp_path / "root"), "--textbooks", str(tmp_path / "zone"))
    assert code == 65
    assert "no textbooks there; put PDF" in err
    assert files(tmp_path / "root") == []


MANIFESTS = {
    "unknown_column": ("path,titel\nbook.md,Motion\n", "titel"),
    "no_path": ("title\nMotion\n", "path"),
    "unknown_level": ("path,level\nbook.md,postgraduate\n", "'postgraduate'"),
    "unknown_subject": ("path,subject\nbook.md,history\n", "'history'"),
    "not_utf8": ("path,title\nbook.md,Füsik\n".encode("utf-16"), "not a UTF-8 CSV file"),
}


@pytest.mark.parametrize("content, named", MANIFESTS.values(), ids=MANIFESTS)
def test_cli_bad_manifest_is_named_with_what_is_wrong(content, named, call, zone: Path, tmp_path: Path) -> None:
    (zone / "textbooks.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = call("run", "--root", str(tmp_path / "root"), "--textbooks", str(zone))
    assert (code, err.count("\n")) == (65, 1)
    assert "textbooks.csv" in err
    assert named in err
    assert files(tmp_path / "root") == []


@pytest.mark.parametrize(
    "name, content",
    [
        ("mmlu.json", b"[{]"),
        ("mine.jsonl", b'{"question": "Why?"}\n{"question"\n'),
        ("gsm8k.jsonl", b'{"problem": "x"}'),
    ],
)
def test_cli_unreadable_benchmark_is_named_and_nothing_is_published(name, content, call, zone, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "benchmarks").mkdir(parents=True)
    (root / "benchmarks" / name).write_bytes(content)

    code, _, err = call("run", "--root", str(root), "--textbooks", str(zone))

    assert (code, err.count("\n")) == (65, 1)
    assert name in err
    assert not (root / "datasets").exists()


def test_cli_batch_that_never_ran_is_named_and_its_root_is_not_made(call, tmp_path: Path) -> None:
    for command in (["funnel"], ["sample"], ["show", "an-id"]):
        code, _, err = call(*command, "--root", str(tmp_path / "nowhere"))
        assert (code, err.count("\n")) == (65, 1)
        assert "nowhere" in err
    assert not (tmp_path / "nowhere").exists()


def test_cli_in_a_process_says_it_in_the_last_line_and_the_exit_code(cli, zone: Path, tmp_path: Path) -> None:
    done = cli("run", "--root", str(tmp_path / "root"), "--textbooks", str(zone), "--engine", "endpoint")
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1].startswith("error: engine endpoint: no server named; set --url")
    assert "Traceback" not in done.stderr


def test_cli_prompt_without_its_slot_is_named(cli, zone: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    for file in (Path(__file__).parents[2] / "prompts").glob("*.md"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("<ANSWER>", "the answer") if file.name == "filter_qa.md" else text
        (tmp_path / "prompts" / file.name).write_text(text, encoding="utf-8")

    done = cli(
        *("run", "--root", str(tmp_path / "root"), "--textbooks", str(zone)),
        env={"MEGASCIENCE_PROMPTS": str(tmp_path / "prompts")},
    )

    assert (done.returncode, done.stderr) == (65, "error: prompts/filter_qa.md has no <ANSWER>: put the slot back\n")
    assert files(tmp_path / "root") == []


# --- looking at a batch --------------------------------------------------------------------------------------------


def test_cli_stages_lists_the_recipe_in_order(call, finished_river: River) -> None:
    code, out, _ = call("stages")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == finished_river.recipe.names


def test_cli_funnel_as_json_has_a_balanced_account_of_each_stage(call, finished_river: River) -> None:
    code, out, _ = call("funnel", "--json", "--root", finished_river.root, "--batch", "first")
    assert code == 0
    said = json.loads(out)
    assert [one["stage"] for one in said] == finished_river.recipe.names
    for one in said:
        assert one["rows_in"] == one["rows_kept"] + one["rows_aside"]
        assert sum(one["reasons"].values()) == one["rows_aside"]
    assert said[-1]["rows_out"] == 3


def test_cli_funnel_shows_each_stage_and_reason(call, finished_river: River) -> None:
    code, out, _ = call("funnel", "--root", finished_river.root, "--batch", "first")
    assert code == 0
    for word in (*finished_river.recipe.names, "contaminated 1", "duplicate 1", "missing_context 1", "+no_answer 1"):
        assert word in out
    assert f"3 rows in {finished_river.root}/datasets/textbook_reasoning/batch=first" in out


def plain(out: str) -> str:
    """What a terminal shows, without the frames and line breaks that its width makes."""
    return " ".join(out.replace("│", " ").split())


def test_cli_show_tells_a_kept_row_from_its_book_to_the_dataset(call, finished_river: River) -> None:
    (salt,) = [row for row in finished_river.rows("publish") if "sodium" in row.question]
    code, out, _ = call("show", salt.id, "--root", finished_river.root, "--batch", "first")
    assert code == 0
    said = plain(out)
    for stage in ("discover_books", "chunk_books", "extract_qa", "distill_cot", "publish"):
        assert stage in said
    assert "answered to distill_cot" in said
    assert "The mass is" in said
    assert "Why does ice float" not in said.split("dedup_questions")[1]  # its sibling's life is not its own


def test_cli_show_tells_where_and_why_a_row_went_aside(call, finished_river: River) -> None:
    (aside,) = finished_river.asides("refine_qa")
    code, out, _ = call("show", aside.id, "--root", finished_river.root, "--batch", "first")
    assert code == 0
    said = plain(out)
    assert "refine_qa: aside, no_refined_question" in said
    assert "No changes are needed" in said
    assert "judge_cot" not in said


def test_cli_show_of_a_book_that_was_kept_out_names_the_rule(call, finished_river: River) -> None:
    (aside,) = finished_river.asides("screen_books")
    code, out, _ = call("show", aside.id, "--root", finished_river.root, "--batch", "first")
    assert code == 0
    assert "screen_books: aside, restricted_access" in plain(out)


def test_cli_show_of_no_row_says_what_an_id_looks_like(call, finished_river: River) -> None:
    code, _, err = call("show", "0123456789abcdef/0000", "--root", finished_river.root, "--batch", "first")
    assert (code, err.count("\n")) == (65, 1)
    assert finished_river.rows("publish")[0].id in err


def test_cli_sample_as_json_gives_rows_of_the_stage(call, finished_river: River) -> None:
    arguments = ("--root", finished_river.root, "--batch", "first", "--json")
    code, out, _ = call("sample", *arguments, "--rows", "2")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 2
    assert {row["id"] for row in rows} <= {row.id for row in finished_river.rows("publish")}

    code, out, _ = call("sample", *arguments, "--stage", "refine_qa", "--rows", "100")
    assert code == 0
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == [
        row.id for row in finished_river.rows("refine_qa")
    ]


@pytest.mark.parametrize("rows", ["0", "-3"])
def test_cli_sample_of_no_rows_is_refused(rows, call, finished_river: River) -> None:
    code, _, err = call("sample", "--root", finished_river.root, "--batch", "first", "--rows", rows)
    assert (code, err.count("\n")) == (65, 1)
    assert "--rows" in err


def test_cli_sample_of_a_stage_mistyped_names_the_likely_one(call, finished_river: River) -> None:
    code, _, err = call("sample", "--root", finished_river.root, "--batch", "first", "--stage", "publsh")
    assert code == 65
    assert "did you mean publish?" in err


def test_cli_stage_prints_a_summary_for_a_program(call, zone: Path, tmp_path: Path) -> None:
    arguments = ("discover_books", "--root", str(tmp_path / "root"), "--textbooks", str(zone))
    code, out, _ = call("stage", *arguments)
    assert code == 0
    said = json.loads(out)
    assert (said["rows_in"], said["rows_kept"], said["computed_parts"]) == (1, 1, 1)
    assert json.loads(Path(said["receipt"]).read_text())["stage"] == "discover_books"

    code, out, _ = call("stage", *arguments, "--lane", "0", "--lanes", "2")
    assert json.loads(out)["computed_parts"] == 0
