"""Where the source commits, and where it calls others: read from the tree, not from a list."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rewards

PACKAGE = Path(rewards.__file__).parent
# Whoever imports one of these can reach another machine.
NETWORK = frozenset(
    (
        *("aiohttp", "aiosmtplib", "ftplib", "http", "httpx", "imaplib", "redis", "requests"),
        *("smtplib", "socket", "urllib3", "websockets", "urllib.request"),
    )
)
# Other machines, played by us.
PLAYED = "vendors/simulators/"
VERBS = frozenset(("request", "get", "post", "put", "patch", "delete", "head", "ws_connect"))
MAIL_VERBS = frozenset(("connect", "mail", "rcpt", "data", "sendmail", "send_message"))
DATABASES = frozenset({"db", "database"})


@dataclass(frozen=True, slots=True)
class Boundary:
    """One place of the source: its file, the function it stands in, what is called there."""

    file: str
    function: str
    call: str

    @property
    def point(self) -> str:
        """The name of the failpoint of a commit here."""
        module = self.file.removesuffix(".py").replace("/", ".")
        return f"commit {module}.{self.function}"


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(PLAYED):
            yield name, ast.parse(path.read_text())


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the qualified name of the function it stands in."""

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, ast.Call]]:
        if isinstance(node, ast.Call):
            yield ".".join(names), node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = (*names, node.name)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, names)

    return walk(tree, ())


def last(node: ast.expr) -> str:
    """`db` of `self._db`, of `context.db`, of `db`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return str(name).strip("_")


def commits(name: str, tree: ast.Module) -> Iterator[Boundary]:
    """Every place where a transaction of `infra/db.py` is asked for."""
    for function, call in calls(tree):
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in ("transaction", "run"):
            continue
        if last(func.value) in DATABASES and name != "infra/db.py":
            yield Boundary(name, function, func.attr)


def connects(name: str, tree: ast.Module) -> Iterator[Boundary]:
    """Every place where a connection to PostgreSQL is opened."""
    for function, call in calls(tree):
        func = call.func
        if not isinstance(func, ast.Attribute) or last(func.value) != "asyncpg":
            continue
        if func.attr in ("connect", "create_pool", "Connection", "Pool"):
            yield Boundary(name, function, func.attr)


def networks(tree: ast.Module) -> set[str]:
    """The packages this file imports that reach other machines."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module or "", (node.module or "").partition(".")[0]}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found |= {alias.name, alias.name.partition(".")[0]}
    return found & NETWORK


def requests(name: str, tree: ast.Module) -> Iterator[Boundary]:
    """Every place where a session sends something or is opened."""
    for function, call in calls(tree):
        func = call.func
        if not isinstance(func, ast.Attribute):
            continue
        sends = last(func.value) == "session" and func.attr in VERBS
        sends = sends or (last(func.value) == "smtp" and func.attr in MAIL_VERBS)
        if sends or func.attr == "ClientSession":
            yield Boundary(name, function, func.attr)
