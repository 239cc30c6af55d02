"""Every target of `targets.py` on texts put together of the words that break readers; `make fuzz` goes on for longer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_fuzz_target_holds_for_any_bytes(name: str, data: st.DataObject) -> None:
    feed, words = TARGETS[name]
    pieces = st.lists(st.one_of(st.sampled_from(words), st.binary(max_size=40)), max_size=25)
    feed(data.draw(pieces.map(b"".join)))
