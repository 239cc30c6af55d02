"""Drafts in the temporary folder: what a killed process leaves there is removed, what a living one needs is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from megascience_ops.drafts import NEW, PREFIX, remove_leftovers

DRAFTING = """
import sys, time
from megascience_ops.drafts import Draft
from megascience_ops.rows import AsideRow
with Draft("refine_qa", AsideRow):
    print("drafting", flush=True)
    time.sleep(60)
"""


def age(folder: Path) -> None:
    long_ago = time.time() - 2 * NEW
    os.utime(folder, (long_ago, long_ago))


def test_drafts_folder_of_a_killed_process_is_removed_once_it_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", DRAFTING], env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        (folder,) = tmp_path.glob(f"{PREFIX}*")
        age(folder)
        assert remove_leftovers() == 0
        assert folder.exists()
    finally:
        process.kill()
        process.wait()
    age(folder)
    assert remove_leftovers() == 1
    assert not folder.exists()
