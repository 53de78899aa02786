"""A worker's hands at a desk: writes the reports that were asked for."""

from rewards.reports.sources import sources
from rewards.reports.tasks import Writing
from tests.console.desk import Desk


async def write_reports(desk: Desk, *report_ids: int, ids_a_step: int = 5_000) -> None:
    """To their end, as a worker would."""
    parts = desk.shop.parts
    made = sources(parts.catalog, parts.clock)
    await Writing(parts.db, parts.clock, made, ids_a_step).work_on(report_ids)
