"""No commit and no call to somebody else escapes the failpoints (T19's lint)."""

import ast
import asyncio

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from tests.failpoints.boundaries import (
    Boundary,
    calls,
    commits,
    connects,
    networks,
    requests,
    trees,
)
from tests.failpoints.points import Slot, inside, installed

# Who may open a connection to PostgreSQL, and why it is no way around `Database.transaction`.
CONNECTS = {
    ("infra/db.py", "Database.connect"): "the pool itself",
    ("infra/queue.py", "PoolDriver._listen"): "listens",
    ("infra/migrate.py", "migrate"): "changes the schema, each file whole or not at all",
    ("infra/checks.py", "connected"): "reads",
    ("infra/postgres.py", "_connect"): "makes roles and databases that may be there already",
}
# Who may import what reaches other machines.
NETWORK = {
    "clients/counts.py": "counts of limits; when it is away this process counts by itself",
    "entry/listen.py": "a client's tool: reads the feed over HTTP, posts to the developer's server",
    "entry/sandbox.py": "asks our own API whether it is ready",
    "infra/pages/caller.py": "asks our own application, inside this process",
    "infra/postgres_process.py": "looks whether the embedded server's socket answers",
    "infra/outbound.py": "Poster.post",
    "notices/relay.py": "Relay.connect, Relay.dialogue",
    "pricing/provider.py": "JsonProvider._get",
    "infra/loopback.py": "serves; it asks nobody",
    "infra/scraping.py": "serves; it asks nobody",
    "sandbox/webhook_sink.py": "serves; it asks nobody",
    "sandbox/post.py": "is asked, on this machine; asks nobody",
    "vendors/accounts.py": "hands the session on",
    "vendors/building.py": "hands the session on",
    "vendors/wire.py": "Wire._exchange",
}
# Where a session is opened or sends something.
REQUESTS = {
    ("infra/outbound.py", "Poster.__init__", "ClientSession"),
    ("infra/outbound.py", "Poster.post", "request"),
    ("vendors/wire.py", "Wire._exchange", "request"),
    ("vendors/wire.py", "open_session", "ClientSession"),
    ("pricing/provider.py", "JsonProvider._get", "ClientSession"),
    ("pricing/provider.py", "JsonProvider._get", "get"),
    ("entry/listen.py", "run", "ClientSession"),
    ("entry/listen.py", "Tunnel._ask", "get"),
    ("entry/listen.py", "Tunnel._bring", "post"),
    ("notices/relay.py", "Relay.connect", "connect"),
    ("notices/relay.py", "Relay.dialogue", "mail"),
    ("notices/relay.py", "Relay.dialogue", "rcpt"),
    ("notices/relay.py", "Relay.dialogue", "data"),
    ("entry/sandbox.py", "_ready", "ClientSession"),
    ("entry/sandbox.py", "_ready", "get"),
}


def found_in_the_tree() -> tuple[set[Boundary], set[str], set[Boundary]]:
    opened: set[Boundary] = set()
    reaching: set[str] = set()
    sent: set[Boundary] = set()
    for name, tree in trees():
        opened |= set(connects(name, tree))
        reaching |= {name} if networks(tree) else set()
        sent |= set(requests(name, tree))
    return opened, reaching, sent


def test_connections_are_opened_where_it_is_known_why() -> None:
    opened, _, _ = found_in_the_tree()
    assert {(one.file, one.function) for one in opened} == CONNECTS.keys()


def test_others_are_called_at_the_choke_points_alone() -> None:
    _, reaching, sent = found_in_the_tree()
    assert reaching == NETWORK.keys()
    assert {(one.file, one.function, one.call) for one in sent} == REQUESTS


def test_only_the_pool_and_its_transaction_begin_one() -> None:
    """`connection.transaction()` of the driver: `Database.transaction`, and the migrations."""
    begun = {
        (name, function)
        for name, tree in trees()
        for function, call in calls(tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "transaction"
        and name in ("infra/db.py", "infra/migrate.py", "infra/checks.py", "infra/queue.py")
    }
    assert begun == {
        ("infra/db.py", "Database.transaction"),
        ("infra/db.py", "Database.run"),
        ("infra/migrate.py", "_apply"),
        ("infra/checks.py", "_run_one"),
    }


def test_each_rule_sees_what_it_is_for() -> None:
    tree = ast.parse(
        "import httpx\n"
        "from urllib.request import urlopen\n"
        "class Till:\n"
        "    async def pay(self):\n"
        "        async with self._db.transaction() as tx:\n"
        "            await asyncpg.connect('x')\n"
        "        def inner():\n"
        "            return context.db.run(work)\n"
        "        await self._session.post('x')\n"
    )
    assert {one.point for one in commits("a/b.py", tree)} == {
        "commit a.b.Till.pay",
        "commit a.b.Till.pay.inner",
    }
    assert [one.call for one in connects("a/b.py", tree)] == ["connect"]
    assert networks(tree) == {"httpx", "urllib.request"}
    assert [one.call for one in requests("a/b.py", tree)] == ["post"]


async def test_what_is_written_outside_a_transaction_is_seen(dsn: str) -> None:
    slot = Slot()
    with installed(), inside(slot):
        database = await Database.connect(dsn, Settings())
        async with database.connection() as connection:
            await connection.fetchval("SELECT count(*) FROM changes")
            await connection.execute("INSERT INTO changes (topic, subject_id) VALUES ('x', 1)")
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM changes")
        await asyncio.sleep(0)
        await database.close()
    [seen] = slot.fuse.stray
    assert seen.startswith("INSERT INTO changes")
