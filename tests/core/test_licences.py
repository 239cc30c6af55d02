"""What is installed may be used: no package of it is under a licence that reaches into ours."""

from __future__ import annotations

import pytest

from tests.licences import installed, refused


def test_licences_of_all_that_is_installed_may_be_used() -> None:
    found = dict(installed())
    assert len(found) > 50
    assert {name: stated for name, stated in found.items() if refused(stated)} == {}


@pytest.mark.parametrize(
    "stated",
    ["AGPL-3.0-only", "GNU Affero General Public License v3", "GNU GENERAL PUBLIC LICENSE", "SSPL-1.0", "none stated"],
)
def test_licence_that_reaches_into_ours_is_refused(stated: str) -> None:
    assert refused(stated)


@pytest.mark.parametrize(
    "stated", ["MIT", "Apache-2.0", "LGPL-3.0", "Artistic License; GNU General Public License (GPL)", "MPL-2.0"]
)
def test_licence_that_lets_us_be_is_taken(stated: str) -> None:
    assert not refused(stated)
