"""Puts the mail of a process together: where claim links come from, and what sends it."""

from rewards.claims.mailing import OrderLinks
from rewards.claims.service import ClaimLinks
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.notices.tasks import NoticeTasks


def mailing(
    db: Database, vault: Vault, clock: Clock, settings: Settings, links: ClaimLinks
) -> NoticeTasks:
    """What a worker does for mail, with the relay that the settings name."""
    return NoticeTasks.over(db, vault, clock, settings, OrderLinks(db, links, clock))
