"""The command line: `rewards sandbox | api | worker | migrate | doctor | staff | vendors | …`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from rewards.infra import log
from rewards.infra.settings import Settings, from_environment
from rewards.staff.model import Role

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Starship Rewards: sells digital vouchers to companies over an HTTP API.",
)
staff = typer.Typer(no_args_is_help=True, help="The people who run it.")
app.add_typer(staff, name="staff")
stock = typer.Typer(no_args_is_help=True, help="Voucher units that were bought elsewhere.")
app.add_typer(stock, name="stock")
fx = typer.Typer(no_args_is_help=True, help="Exchange rates.")
app.add_typer(fx, name="fx")
vendors = typer.Typer(no_args_is_help=True, help="The vendors that vouchers are bought from.")
app.add_typer(vendors, name="vendors")
webhooks = typer.Typer(no_args_is_help=True, help="For those who develop against the API.")
app.add_typer(webhooks, name="webhooks")
audit = typer.Typer(no_args_is_help=True, help="The audit trail: what proves it unbroken.")
app.add_typer(audit, name="audit")

Port = Annotated[int, typer.Option(help="Where the API listens.")]
Host = Annotated[str, typer.Option(help="Address to bind; 0.0.0.0 for all.")]
Home = Annotated[Path, typer.Option(help="Where data, keys and sandbox.json live.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


# Each command imports what it needs: `rewards --help` answers at once.


@app.command()
def sandbox(port: Port = 8000, home: Home = Path("var"), host: Host = "127.0.0.1") -> None:
    """Start everything on this machine: database, API, worker, demo data. Ctrl-C stops it."""
    from rewards.entry import sandbox as command

    log.configure()
    sys.exit(asyncio.run(command.run(home.absolute(), host, port)))


@app.command()
def api(port: Port = 8000, host: Host = "127.0.0.1") -> None:
    """Serve the HTTP API. Any number of these may share one database."""
    import uvloop

    from rewards.entry import api as command

    log.configure()
    uvloop.run(command.run(from_environment(), host, port))


@app.command()
def worker() -> None:
    """Run the jobs. Any number of these may share one database."""
    import uvloop

    from rewards.entry import worker as command

    log.configure()
    uvloop.run(command.run(from_environment()))


@app.command()
def migrate() -> None:
    """Bring the database up to date; prints what was applied."""
    from rewards.entry import database

    async def work(settings: Settings) -> None:
        applied = await database.migrate(settings)
        typer.echo("\n".join(applied) or "nothing to apply")

    asyncio.run(work(from_environment()))


@app.command()
def doctor(
    as_json: AsJson = False,
    audit_key: Annotated[
        str, typer.Option(help="Of the audit trail; the master key's here if not given.")
    ] = "",
    audit_head: Annotated[
        str, typer.Option(help="What `rewards audit head` printed once; it must still be there.")
    ] = "",
) -> None:
    """Check every invariant on live data; exit 1 names the rows that break one."""
    from rewards.entry import database, trail
    from rewards.entry.doctor import run_doctor

    async def work(settings: Settings) -> int:
        trusted = await trail.trusted(settings, audit_key, audit_head)
        dsn = await database.owner_dsn(settings)
        return await run_doctor(dsn, as_json, trusted=trusted)

    sys.exit(asyncio.run(work(from_environment())))


@app.command()
def pump() -> None:
    """Load waiting stock into the pool, sweep expired units out, and say what was done."""
    from rewards.entry import stock

    asyncio.run(stock.pump(from_environment()))


@app.command()
def reconcile(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD in UTC; yesterday if not given.")] = "",
    vendor: Annotated[str, typer.Option(help="Only this vendor's, by name or id.")] = "",
) -> None:
    """Compare a day's orders, units, ledger and vendors' books. Exit 1: they differ somewhere.

    Exit 2: it is not through, such as while a vendor is away; a worker goes on with it.
    """
    from rewards.entry import reconcile as command

    log.configure()
    sys.exit(asyncio.run(command.run(from_environment(), day, vendor)))


@app.command()
def statement(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD in UTC.")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to; standard output if not given.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of JSON.")] = False,
) -> None:
    """State what came in, went out and is held, signed. Exit 1: something does not add up."""
    from rewards.entry import statement as command

    sys.exit(command.make(from_environment(), first, last, out, as_csv=as_csv))


@app.command("statement-key")
def statement_key() -> None:
    """Print the public key that statements of this deployment are verified with."""
    from rewards.entry import statement as command

    asyncio.run(command.show_key(from_environment()))


@app.command("verify-statement")
def verify_statement(
    file: Annotated[Path, typer.Argument(help="A statement, JSON or CSV.")],
    key: Annotated[str, typer.Option(help="The public key, as `rewards statement-key` prints it.")],
) -> None:
    """Say whether a statement is as it was signed and adds up; needs no database. Exit 1: not."""
    from rewards.entry import statement as command

    sys.exit(command.verify(file, key))


@staff.command("add")
def add_staff(
    username: Annotated[str, typer.Argument(help="3 to 100 of a-z, 0-9 and . _ @ + -")],
    role: Annotated[Role, typer.Option(help="What they may do.")],
) -> None:
    """Let somebody in, and print their password once. This is how the first admin comes."""
    from rewards.entry import people

    sys.exit(asyncio.run(people.add_staff(from_environment(), username, role)))


@stock.command("import")
def import_stock(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX, as for POST …/inventory/batches")],
    name: Annotated[str, typer.Option(help="Of the batch; the file's if not given.")] = "",
) -> None:
    """Import a file of voucher units, which then wait for a pump. Exit 2: some rows did not load.

    Exit 1: the file could not be read to its end. Repeating the command loads what is missing.
    """
    from rewards.entry import stock as command

    log.configure()
    sys.exit(asyncio.run(command.import_file(from_environment(), file, name)))


@fx.command("load")
def load_rates(
    file: Annotated[
        Path, typer.Argument(help="CSV: source, target, rate, quoted_at, spread_percent")
    ],
    origin: Annotated[str, typer.Option(help="Whose rates; the file's name if not given.")] = "",
) -> None:
    """Put the rates of a file in force; exit 2 when some jump and wait for a person."""
    from rewards.entry import fx as command

    sys.exit(asyncio.run(command.load(from_environment(), file, origin)))


@vendors.command("simulate")
def simulate(
    names: Annotated[list[str], typer.Argument(help="Adapters to stand in for.")],
    port: Annotated[
        list[int] | None, typer.Option(help="Where it listens; one for each, in order.")
    ] = None,
) -> None:
    """Serve vendors' simulators with a demo catalogue on this machine, until Ctrl-C."""
    from rewards.entry import simulate as command

    log.configure()
    sys.exit(asyncio.run(command.run(names, port or [])))


@vendors.command("list")
def list_vendors() -> None:
    """Show the accounts, what is left to buy with, and how reading it went."""
    from rewards.entry import vendors as command

    sys.exit(asyncio.run(command.show(from_environment())))


@vendors.command("add")
def add_vendor(
    name: Annotated[str, typer.Argument(help="What staff call the account.")],
    adapter: Annotated[str, typer.Option(help="Which kind of vendor it is.")],
    config: Annotated[
        list[str] | None, typer.Option(help="A setting, such as base_url=https://…; repeat it.")
    ] = None,
) -> None:
    """Add an account. Secrets are asked for, or read as a JSON object from standard input."""
    from rewards.entry import vendors as command

    sys.exit(asyncio.run(command.add(from_environment(), name, adapter, config or [])))


@vendors.command("check")
def check_vendor(
    name: Annotated[str, typer.Argument(help="Name or id of the account.")],
) -> None:
    """Ask the vendor for our balance now, and say what it answers."""
    from rewards.entry import vendors as command

    sys.exit(asyncio.run(command.check(from_environment(), name)))


@vendors.command("sync")
def sync_vendor(
    name: Annotated[str, typer.Argument(help="Name or id of the account.")],
) -> None:
    """Read the vendor's balance and catalogue now, and say how it went."""
    from rewards.entry import vendors as command

    sys.exit(asyncio.run(command.sync(from_environment(), name)))


@webhooks.command("listen")
def listen(
    forward_to: Annotated[
        str, typer.Option(help="Where each event is posted, signed; without it they are shown.")
    ] = "",
    url: Annotated[
        str, typer.Option(envvar="REWARDS_API_URL", help="The API; the sandbox's if not given.")
    ] = "",
    api_key: Annotated[
        str, typer.Option(envvar="REWARDS_API_KEY", help="The sandbox's if not given.")
    ] = "",
    api_secret: Annotated[
        str,
        typer.Option(
            envvar="REWARDS_API_SECRET",
            show_envvar=True,
            help="Better in the environment than here, where everybody on the machine reads it.",
        ),
    ] = "",
    secret: Annotated[
        str,
        typer.Option(
            envvar="REWARDS_WEBHOOK_SECRET", help="whsec_…, to sign with; made if not given."
        ),
    ] = "",
    after: Annotated[
        int | None, typer.Option(min=0, help="Start after this sequence, instead of now.")
    ] = None,
    types: Annotated[
        str, typer.Option("--type", help="Only these types, with commas between them.")
    ] = "",
    replay: Annotated[
        list[str] | None,
        typer.Option(help="Bring this event again, by id or sequence, and end; repeat it."),
    ] = None,
    home: Home = Path("var"),
) -> None:
    """Bring a client's events to a server on this machine, as they come. Ctrl-C ends it."""
    from rewards.entry import listen as command

    try:
        access = command.find_access(home, url, api_key, api_secret)
        wanted = command.Wanted(forward_to, secret, after, types, replay or ())
        sys.exit(asyncio.run(command.run(access, wanted)))
    except command.CannotListen as problem:
        typer.echo(str(problem), err=True)
        sys.exit(1)


@audit.command("key")
def audit_key() -> None:
    """Print the public key that the audit trail of this deployment is verified with."""
    from rewards.entry import trail

    sys.exit(asyncio.run(trail.show_key(from_environment())))


@audit.command("head")
def audit_head() -> None:
    """Print where the chain ends now: SEQUENCE:DIGEST. Kept elsewhere, it proves no end was cut."""
    from rewards.entry import trail

    asyncio.run(trail.show_head(from_environment()))


@audit.command("verify")
def verify_trail(
    file: Annotated[Path, typer.Argument(help="An export of the trail, JSON lines or CSV.")],
    key: Annotated[str, typer.Option(help="The public key, as `rewards audit key` prints it.")],
) -> None:
    """Say whether an export is the trail as it was sealed; needs no database. Exit 1: not."""
    from rewards.entry import trail

    sys.exit(trail.verify(file, key))


@app.command()
def openapi(
    staff: Annotated[bool, typer.Option("--staff", help="The staff's document.")] = False,
) -> None:
    """Print the OpenAPI document, as the API serves it."""
    from rewards.entry import reference
    from rewards.entry.api import build_unwired

    typer.echo(reference.printed(build_unwired(), staff=staff))


def main() -> None:
    """The `rewards` script."""
    app()
