"""`rewards doctor`: proves the invariants on live data, and says which rows break them."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table

from rewards.alerts import sql_checks as alerts
from rewards.audit import service as audit
from rewards.audit.verifying import ENTRIES, Trail
from rewards.claims import sql_checks as claims
from rewards.infra import checks as infra
from rewards.infra.checks import STATEMENT_TIMEOUT_S, SUBJECTS_MAX, Finding
from rewards.inventory import sql_checks as inventory
from rewards.notices import sql_checks as notices
from rewards.orders import sql_checks as orders
from rewards.reconciliation import sql_checks as reconciliation
from rewards.reports import sql_checks as reports
from rewards.restocks import sql_checks as restocks
from rewards.staff import sql_checks as staff
from rewards.vendors import sql_checks as vendors
from rewards.wallets import sql_checks as wallets
from rewards.webhooks import sql_checks as webhooks

CLEAN, BREACHED, COULD_NOT_RUN = 0, 1, 2
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

# What a SELECT cannot prove, said so that nobody believes it was proved.
NOT_COVERED = (
    "Not looked at: I14 (every code opens) needs the master key;"
    " I17 ends where the wire begins, what a receiver has kept only it can tell; the jobs of I18;"
    " of I19, vendors' own books."
)
NO_KEY = (
    "I20 without signatures: there is no master key here. Give --audit-key, as `rewards audit key`"
    " prints it where there is one."
)
SLICES: tuple[Mapping[str, str], ...] = (
    wallets.CHECKS,
    infra.CHECKS,
    inventory.CHECKS,
    orders.CHECKS,
    vendors.CHECKS,
    reconciliation.CHECKS,
    restocks.CHECKS,
    claims.CHECKS,
    notices.CHECKS,
    staff.CHECKS,
    reports.CHECKS,
    webhooks.CHECKS,
    audit.CHECKS,
    alerts.CHECKS,
)


def all_checks() -> dict[str, str]:
    """Every slice's checks, by invariant: name to the SELECT of the rows that break it."""
    named: dict[str, str] = {}
    for checks in SLICES:
        assert not named.keys() & checks.keys(), "two checks share a name"
        named |= checks
    return dict(sorted(named.items(), key=lambda check: _number(check[0])))


def _number(name: str) -> int:
    """The number of the invariant; what has none comes last."""
    label = invariant(name)
    return int(label[1:]) if label else sys.maxsize


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is known of the audit trail from elsewhere than the database."""

    # Of those who seal; without it nobody looks at signatures.
    public_key: str | None = None
    # Sequence and digest of a seal that the chain led through once.
    head: tuple[int, bytes] | None = None


async def run_doctor(
    dsn: str,
    as_json: bool = False,
    timeout_s: float = STATEMENT_TIMEOUT_S,
    trusted: Trusted = Trusted(),
) -> int:
    """Run every check on the database, tell the outcome on standard output, answer the exit code.

    0: every invariant holds. 1: at least one row breaks one. 2: some check, or all, could not run.
    `timeout_s` bounds one check. Each check reads its own snapshot, so the system may be at work.
    """
    try:
        findings = await infra.run(dsn, all_checks(), timeout_s)
        findings += await _walk_the_trail(dsn, timeout_s, trusted)
    except AWAY as away:
        _say_away(str(away) or type(away).__name__, as_json)
        return COULD_NOT_RUN
    findings.sort(key=lambda finding: _number(finding.name))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(as_document(findings)) + b"\n")
    else:
        show(findings, Console())
        if trusted.public_key is None and any(
            each.name == ENTRIES and each.looked_at for each in findings
        ):
            Console().print(NO_KEY, style="yellow", markup=False)
    return exit_code(findings)


async def _walk_the_trail(dsn: str, timeout_s: float, trusted: Trusted) -> list[Finding]:
    """I20, seal by seal; how far it is, is shown where somebody watches."""
    async with infra.connected(dsn, timeout_s) as connection:
        with Console(stderr=True).status("audit trail") as status:

            def told(done: int, of: int) -> None:
                status.update(f"audit trail: {done:,} of {of:,} entries")

            return await Trail(connection, trusted.public_key).verify(trusted.head, told)


def exit_code(findings: Sequence[Finding]) -> int:
    if any(finding.breaches for finding in findings):
        return BREACHED
    return COULD_NOT_RUN if any(finding.problem for finding in findings) else CLEAN


def invariant(name: str) -> str:
    """The invariant a check proves, by its name's prefix: `i7_…` is I7 of the reliability page."""
    prefix = re.match(r"i\d+(?=_)", name)
    return prefix[0].upper() if prefix else ""


def in_words(name: str) -> str:
    return re.sub(r"^i\d+_", "", name).replace("_", " ")


def as_document(findings: Sequence[Finding]) -> dict[str, object]:
    """For machines: one object, the checks in the order they ran."""
    return {
        "clean": exit_code(findings) == CLEAN,
        "checks": [
            {
                "name": finding.name,
                "invariant": invariant(finding.name) or None,
                "breaches": finding.breaches,
                "rows": [
                    {key: _plain(value) for key, value in row.items()} for row in finding.rows
                ],
                "rows_looked_at": finding.looked_at,
                "took_ms": round(finding.took_s * 1000),
                "problem": finding.problem,
            }
            for finding in findings
        ],
    }


def _plain(value: object) -> object:
    if isinstance(value, Decimal | datetime):
        return str(value)
    return [_plain(part) for part in value] if isinstance(value, list) else value


def show(findings: Sequence[Finding], console: Console) -> None:
    """For people: a line for each check, then the rows of those that are broken."""
    table = Table(title="rewards doctor")
    for heading in ("", "invariant", "what must hold"):
        table.add_column(heading)
    for heading in ("rows ~", "ms", "breaches"):
        table.add_column(heading, justify="right")
    for finding in findings:
        mark = "[yellow]?[/]" if finding.problem else "[red]✗[/]" if finding.breaches else "✓"
        table.add_row(
            mark,
            invariant(finding.name),
            in_words(finding.name),
            "" if finding.looked_at is None else f"{finding.looked_at:,}",
            f"{finding.took_s * 1000:,.0f}",
            "" if finding.problem else f"{finding.breaches:,}",
        )
    console.print(table)
    for finding in findings:
        if finding.problem:
            console.print(f"? {finding.name} could not run: {finding.problem}", style="yellow")
        elif finding.breaches:
            _show_rows(finding, console)
    broken = sum(1 for finding in findings if finding.breaches)
    console.print(f"{len(findings)} checks, {broken} broken.", style="red" if broken else "green")
    console.print(NOT_COVERED, style="dim")


def _show_rows(finding: Finding, console: Console) -> None:
    console.print(f"\n✗ {finding.name}: {finding.breaches:,} rows", style="red")
    for row in finding.rows:
        pairs = list(row.items())
        rest = ", ".join(f"{key}={value}" for key, value in pairs[1:])
        console.print(f"  {pairs[0][1]}  {rest}", markup=False, highlight=False)
    if finding.breaches > SUBJECTS_MAX:
        console.print(f"  and {finding.breaches - SUBJECTS_MAX:,} more")


def _say_away(why: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode({"clean": False, "problem": why}) + b"\n")
    else:
        Console(stderr=True).print(f"rewards doctor could not run: {why}", markup=False)
