"""Job names that exist for one test only."""

import pytest

from rewards.infra import jobs


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names declared meanwhile are forgotten afterwards, and nobody else's are known."""
    monkeypatch.setattr(jobs, "_declared", {"test.a", "test.b"})
