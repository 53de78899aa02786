"""The tree keeps the house rules of CONTRIBUTING.md, and each rule reports what breaks it."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import rewards
from rewards.core.errors import Refusal
from tests.tidy import MACHINE_PATH, Source, breaches, code_breaches

TREE = Path(__file__).parents[1]
PACKAGE = TREE / "src/rewards"
FOLDERS = ("src", "tests", "benchmarks", "examples")


def sources() -> Iterator[Source]:
    for folder in FOLDERS:
        for path in sorted((TREE / folder).rglob("*.py")):
            inside = path.is_relative_to(PACKAGE)
            name = path.relative_to(PACKAGE) if inside else Path("..") / path.relative_to(TREE)
            yield Source(name.as_posix(), path.read_text())


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("rewards."):
            yield child
        yield from refusals(child)


def test_the_tree_is_tidy() -> None:
    found = [line for source in sources() for line in breaches(source)]
    assert not found, "\n".join(["", *found])


def test_every_refusal_has_a_code_of_its_own() -> None:
    for module in pkgutil.walk_packages(rewards.__path__, "rewards."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = list(code_breaches(dict.fromkeys(refusals())))
    assert not found, "\n".join(["", *found])


DOC = '"""Says what lives here."""\n'
# Each rule: a file that breaks it, and one beside it that does not.
BROKEN = [
    ("sizes", "orders/model.py", DOC + "\n" * 400, DOC + "\n" * 399),
    ("sizes", "../tests/x.py", DOC + "\n" * 500, DOC + "\n" * 499),
    (
        "sizes",
        "orders/model.py",
        DOC + "def long():\n" + "    x = 1\n" * 60,
        DOC + "def long():\n" + "    x = 1\n" * 59,
    ),
    ("opening", "orders/model.py", "X = 1\n", DOC + "X = 1\n"),
    ("opening", "orders/model.py", '"""Orders"""\n', '"""Orders live here."""\n'),
    ("names", "orders/utils.py", DOC, DOC),
    ("unfinished", "orders/model.py", DOC + "# TO" + "DO later\n", DOC + "# todos are a list\n"),
    ("paths", "../tests/x.py", DOC + "P = '/ro" + "ot/x'\n", DOC + "P = 'https://x/root/y'\n"),
    ("sql", "orders/service.py", DOC + "Q = 'SELECT 1'\n", DOC + "Q = 'Select one'\n"),
    ("sql", "orders/service.py", DOC + "Q = f'UPDATE {t} SET a = 1'\n", DOC + "Q = 'UPDATE'\n"),
    ("sql", "orders/tasks.py", DOC + "Q = '''\nWITH ask AS (SELECT 1) SELECT 2'''\n", DOC),
    ("transaction", "orders/service.py", DOC + "async def f(tx):\n    await tx.commit()\n", DOC),
    (
        "transaction",
        "orders/service.py",
        DOC + "async def f(tx):\n    async with tx.transaction():\n        pass\n",
        DOC + "async def f(db):\n    async with db.transaction() as tx:\n        pass\n",
    ),
    (
        "transaction",
        "orders/service.py",
        DOC + "async def f(self):\n    async with self._pool.transaction():\n        pass\n",
        DOC + "async def f(self):\n    async with self._db.transaction():\n        pass\n",
    ),
    ("transaction", "orders/sql.py", DOC + "Q = 'ROLLBACK'\n", DOC + "Q = 'COMMIT to it'\n"),
    (
        "pooled",
        "orders/sql.py",
        DOC + "Q = 'SET lock_timeout = 1'\n",
        DOC + "Q = 'SET LOCAL lock_timeout = 1'\n",
    ),
    (
        "pooled",
        "orders/sql.py",
        DOC + "Q = 'SELECT 1; SET x = 1'\n",
        DOC + "Q = '''UPDATE orders\nSET x = 1'''\n",
    ),
    ("pooled", "orders/sql.py", DOC + "Q = 'LISTEN news'\n", DOC + "Q = 'NOTIFY news'\n"),
    (
        "pooled",
        "orders/sql.py",
        DOC + "Q = 'SELECT pg_try_advisory_lock($1)'\n",
        DOC + "Q = 'SELECT pg_advisory_xact_lock($1)'\n",
    ),
    ("pooled", "orders/tasks.py", DOC + "def f(c):\n    c.add_listener('x', f)\n", DOC),
    ("float", "wallets/model.py", DOC + "RATE = 0.5\n", DOC + "WAIT_S = 0.5\n"),
    ("float", "core/money.py", DOC + "X = float('1')\n", DOC + "X = int('1')\n"),
    ("float", "orders/http.py", DOC + "f(fee=1.5)\n", DOC + "f({'examples': [1.5]}, wait_s=1.5)\n"),
    (
        "Clock",
        "orders/service.py",
        DOC + "import datetime\nX = datetime.datetime.now()\n",
        DOC + "def f(clock):\n    return clock.now()\n",
    ),
    (
        "Clock",
        "infra/log.py",
        DOC + "import time\nX = time.time()\n",
        DOC + "X = time.monotonic()\n",
    ),
    ("Clock", "infra/log.py", DOC + "from time import time\n", DOC + "from time import sleep\n"),
    (
        "bugs",
        "orders/service.py",
        DOC + "try:\n    pass\nexcept Exception:\n    pass\n",
        DOC + "try:\n    pass\nexcept ValueError:\n    pass\n",
    ),
    (
        "bugs",
        "orders/tasks.py",
        DOC + "try:\n    pass\nexcept:\n    pass\n",
        DOC + "try:\n    pass\nexcept BaseException:\n    f()\n    raise\n",
    ),
    (
        "bugs",
        "orders/tasks.py",
        DOC + "try:\n    f()\nexcept (OSError, Exception):\n    f()\n",
        DOC,
    ),
    (
        "bugs",
        "orders/tasks.py",
        DOC + "with contextlib.suppress(BaseException):\n    f()\n",
        DOC + "with contextlib.suppress(OSError):\n    f()\n",
    ),
    (
        "compare_digest",
        "clients/auth.py",
        DOC + "def f(a, b):\n    return a.token_digest == b\n",
        DOC + "def f(a, b):\n    return a.token_type == b or a.token is None or a.token == ''\n",
    ),
    (
        "compare_digest",
        "clients/auth.py",
        DOC + "X = mac(b) != given\n",
        DOC + "X = len(password) != given or secret.kind == Kind.TOKEN\n",
    ),
    (
        "private",
        "orders/service.py",
        DOC + "from rewards.wallets import sql\n",
        DOC + "from rewards.wallets import service\n",
    ),
    (
        "private",
        "orders/service.py",
        DOC + "from rewards.wallets.sql_lists import read\n",
        DOC + "from rewards.wallets.model import read\n",
    ),
    (
        "private",
        "orders/http.py",
        DOC + "import rewards.clients.http\n",
        DOC + "import rewards.clients.auth\n",
    ),
    (
        "may not import",
        "orders/sql.py",
        DOC + "from rewards.orders import service\n",
        DOC + "from rewards.orders import model\n",
    ),
    (
        "may not import",
        "orders/model.py",
        DOC + "from rewards.orders.sql import read\n",
        DOC + "from rewards.core.money import to_minor\n",
    ),
    (
        "may not import",
        "orders/placing.py",
        DOC + "from rewards.orders.http import router\n",
        DOC + "from rewards.orders.sql import read\n",
    ),
]
SAID = {
    "sizes": "longer than",
    "opening": "begins with one sentence",
    "names": "says nothing",
    "unfinished": "belongs in an issue",
    "paths": "one machine",
    "sql": "SQL lives in",
    "transaction": "ends a transaction",
    "pooled": "a pooled connection",
    "float": "no float",
    "Clock": "take a Clock",
    "bugs": "bugs go up",
}


@pytest.mark.parametrize(
    ("rule", "name", "broken", "clean"), BROKEN, ids=[f"{b[0]} {n}" for n, b in enumerate(BROKEN)]
)
def test_a_rule_reports_what_breaks_it_and_nothing_else(
    rule: str, name: str, broken: str, clean: str
) -> None:
    [found] = breaches(Source(name, broken))
    assert SAID.get(rule, rule) in found
    if rule != "names":
        assert breaches(Source(name, clean)) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/clock.py", "X = datetime.now(UTC)\n"),
        ("entry/api.py", "try:\n    pass\nexcept Exception:\n    pass\n"),
        ("entry/api.py", "from rewards.orders.http import ROUTER\n"),
        ("infra/db.py", "async def f(c):\n    async with c.transaction():\n        pass\n"),
        ("infra/migrate.py", "Q = 'SELECT pg_advisory_lock(1)'\n"),
        ("orders/sql.py", "Q = 'SELECT 1'\n"),
        ("orders/sql_lists.py", "Q = 'SELECT 1'\n"),
        ("infra/desk.py", "WAIT = 0.5\n"),
    ],
)
def test_who_may_do_what_others_may_not(name: str, text: str) -> None:
    assert breaches(Source(name, DOC + text)) == []


def test_codes_that_are_missing_shared_or_misspelt_are_reported() -> None:
    class Fine(Refusal):
        code = "FINE"

    class Twin(Refusal):
        code = "FINE"

    class Heir(Fine):
        pass

    class Lower(Refusal):
        code = "lower_case"

    assert list(code_breaches([Fine])) == []
    twin, heir, lower = code_breaches([Fine, Twin, Heir, Lower])
    assert twin.endswith("share the code FINE")
    assert "Heir has no UPPER_SNAKE code" in heir
    assert "Lower has no UPPER_SNAKE code" in lower


def test_the_pages_name_no_path_of_one_machine() -> None:
    pages = [*TREE.glob("*.md"), *TREE.glob("docs/**/*.md"), TREE / "Makefile", TREE / ".ci/run"]
    found = [
        f"{page.relative_to(TREE)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, found
