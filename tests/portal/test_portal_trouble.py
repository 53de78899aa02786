"""The portal where the database is slow or held: pages that say so, tokens that are shown once."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.clients.model_members import MemberRole
from rewards.core.clock import SystemClock
from rewards.core.errors import Unavailable
from rewards.portal import service
from rewards.portal.service import KeptTokens, Tokens
from tests.members.company import Company, opened
from tests.portal.visitor import visiting


async def test_a_busy_database_is_told_on_a_page(dsn: str, tmp_path: Path) -> None:
    async with opened(dsn, tmp_path, lock_timeout_s=0.1) as company, visiting(company) as visitor:
        await visitor.sign_in(MemberRole.OWNER)
        async with company.shop.parts.db.transaction() as tx:
            await tx.execute("LOCK TABLE portal_sessions IN ACCESS EXCLUSIVE MODE")
            page = await visitor.get("/team")
        assert page.status == 503
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Try again in a moment" in page.text
        assert (await visitor.get("/team")).status == 200


async def test_a_renewal_that_hangs_is_given_up_before_its_lease_is_over(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the lease next shows the same token; shown twice it would end the session."""
    assert service.RENEW_TIMEOUT_S < service.LEASE_S
    monkeypatch.setattr(service, "RENEW_TIMEOUT_S", 0.05)
    parts = company.shop.parts
    now = company.shop.now
    kept = KeptTokens(parts.db, parts.vault, SystemClock())
    tokens = Tokens("at", "rt_1", now, now + timedelta(days=1), company.client_id)
    session = await kept.keep(tokens)
    given_up = asyncio.Event()

    async def hangs(_token: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    with pytest.raises(Unavailable):
        await kept.access(session.key, hangs)
    assert given_up.is_set()
    async with parts.db.connection() as connection:
        [row] = await connection.fetch("SELECT turn, refreshing_until FROM portal_sessions")
    assert row["turn"] == 0
    assert row["refreshing_until"] is not None
