"""The house rules as functions from a source file to sentences about what breaks them."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

ENDS_TRANSACTIONS = ("infra/db.py", "infra/migrate.py", "infra/checks.py")
TELLS_TIME = ("core/clock.py",)
# They hold a connection of their own that no pool hands on.
OWN_CONNECTION = ("infra/migrate.py", "infra/postgres.py", "infra/jobs", "infra/queue.py")
CATCHES_ALL = ("entry/", "infra/jobs", "infra/runner.py", "infra/desk.py", "infra/http.py")
EXACT = ("core/money.py", "wallets/", "pricing/", "orders/", "catalog/", "inventory/", "restocks/")
NAMELESS = frozenset(("util", "utils", "helper", "helpers", "manager", "managers", "misc"))
SECRET = frozenset(
    ("secret", "digest", "hexdigest", "signature", "token", "password", "mac", "hmac")
)
# The last word of a name that speaks about a secret without being one.
ABOUT = frozenset(
    ("type", "kind", "id", "ids", "count", "epoch", "version", "at", "name", "state", "status")
)
NOT_SLICES = frozenset(("core", "infra", "entry", "migrations"))

# The beginnings of statements; capitals tell them from sentences.
STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT INTO\s|UPDATE\s+\S+|DELETE FROM\s|WITH (RECURSIVE )?\w+ (\(.*\) )?AS\b"
    r"|(CREATE|ALTER|DROP|TRUNCATE|GRANT|REVOKE|LOCK|COPY|MERGE INTO|VACUUM|ANALYZE) \w+"
    r"|SET \w+|LISTEN \w+|NOTIFY \w+|EXPLAIN )"
)
TRANSACTION = re.compile(
    r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|START TRANSACTION|PREPARE TRANSACTION)\b[^a-z]*$"
)
SESSION = re.compile(
    r"(^|;)\s*SET\s+(?!LOCAL\b|CONSTRAINTS\b|TRANSACTION\b)\w+|^\s*(UN)?LISTEN\b"
    r"|pg_(try_)?advisory_lock|set_config\([^)]*,\s*false\s*\)"
)
# Spelled so that this file does not break its own rule.
UNFINISHED = re.compile("|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"))))
MACHINE_PATH = re.compile(r"(?<![\w.:/*-])/(work|root|home|Users)/\w")


@dataclass(frozen=True)
class Source:
    """A file: its path below src/rewards, or below the repository with `..` for all others."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def ours(self) -> bool:
        return not self.name.startswith("..")

    def within(self, places: Iterable[str]) -> bool:
        return self.name.startswith(tuple(places))

    @cached_property
    def strings(self) -> list[tuple[int, str]]:
        """Line and text of each string that is no docstring; `{}` where an f-string fills in."""
        prose = {
            id(node.body[0].value)
            for node in self.nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        filled = [node for node in self.nodes if isinstance(node, ast.JoinedStr)]
        parts = {id(part) for node in filled for part in node.values}
        plain = [
            (node.lineno, node.value)
            for node in self.nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose | parts
        ]
        return plain + [(node.lineno, "".join(map(_text, node.values))) for node in filled]


def _text(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


Rule = Callable[[Source], Iterator[tuple[int, str]]]


def last_name(node: ast.expr) -> str:
    """`b` of `a.b`, `a.b()`, `a["b"]` and `b`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=func):
            return last_name(func)
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Await(value=value) | ast.Subscript(value=value):
            return last_name(value)
    return ""


def sizes(source: Source) -> Iterator[tuple[int, str]]:
    """Tests may be longer: they hold tables of cases."""
    most = FILE_LINES_MAX if source.ours else TEST_FILE_LINES_MAX
    if source.text.count("\n") > most:
        yield 1, f"longer than {most} lines; split it by use case"
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in source.nodes if source.ours else ():
        if isinstance(node, functions) and _lines(node) > FUNCTION_LINES_MAX:
            yield node.lineno, f"{node.name} is longer than {FUNCTION_LINES_MAX} lines"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def opening_sentences(source: Source) -> Iterator[tuple[int, str]]:
    first = (ast.get_docstring(source.tree) or "").partition("\n\n")[0].strip()
    if not first or not first.endswith((".", ".)")):
        yield 1, "a module begins with one sentence that says what lives there"


def names(source: Source) -> Iterator[tuple[int, str]]:
    words = re.split(r"[/_.]", source.name.removesuffix(".py"))
    for word in NAMELESS.intersection(words):
        yield 1, f"{word!r} says nothing: name the module after what it does"


def unfinished(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield number, "what is unfinished belongs in an issue"


def machine_paths(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield number, "a path of one machine"


def sql_places(source: Source) -> Iterator[tuple[int, str]]:
    stem = source.name.rpartition("/")[2]
    if source.name.startswith("infra/") or stem == "sql.py" or stem.startswith("sql_"):
        return
    for line, text in source.strings:
        if STATEMENT.match(text):
            yield line, "SQL lives in the sql.py of the slice that owns the table"


def transactions(source: Source) -> Iterator[tuple[int, str]]:
    if source.within(ENDS_TRANSACTIONS):
        return
    said = "only infra/db.py ends a transaction; open one through Database"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}:
            yield node.lineno, said
        if isinstance(node, ast.Call) and last_name(node.func) == "transaction":
            opener = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if last_name(opener).strip("_") not in {"db", "database"}:
                yield node.lineno, said
    for line, text in source.strings:
        if TRANSACTION.match(text):
            yield line, said


def session_state(source: Source) -> Iterator[tuple[int, str]]:
    if source.within(OWN_CONNECTION):
        return
    said = "a pooled connection keeps this: SET LOCAL, xact locks, or a connection of your own"
    for line, text in source.strings:
        if SESSION.search(text):
            yield line, said
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "add_listener":
            yield node.lineno, said


def floats(source: Source) -> Iterator[tuple[int, str]]:
    if not source.within(EXACT):
        return
    harmless = {
        id(part)
        for node in source.nodes
        for value in _no_money(node)
        if value is not None
        for part in ast.walk(value)
    }
    for node in source.nodes:
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        call = isinstance(node, ast.Call) and last_name(node.func) == "float"
        if (literal or call) and id(node) not in harmless:
            yield getattr(node, "lineno", 0), "no float near money: integers of the minor unit"


def _no_money(node: ast.AST) -> Iterator[ast.expr | None]:
    """What is given to a name that ends in _s, which counts seconds, or documents an example."""
    told = re.compile(r"(?i)\w+_s|examples?")
    match node:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            if told.fullmatch(last_name(target)):
                yield node.value
        case ast.keyword(arg=str(name)) if told.fullmatch(name):
            yield node.value
        case ast.Dict():
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and told.fullmatch(str(key.value)):
                    yield value


def clocks(source: Source) -> Iterator[tuple[int, str]]:
    if source.within(TELLS_TIME):
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            asked = (last_name(node.value), node.attr)
            if asked in CLOCKS:
                yield node.lineno, f"{'.'.join(asked)} is for core/clock.py: take a Clock"
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            for alias in node.names:
                if ("time", alias.name) in CLOCKS:
                    yield node.lineno, f"time.{alias.name} is for core/clock.py: take a Clock"


CLOCKS = frozenset(
    [("datetime", a) for a in ("now", "utcnow", "today")]
    + [("date", "today")]
    + [("time", a) for a in ("time", "time_ns", "localtime", "gmtime", "ctime")]
)


def catches(source: Source) -> Iterator[tuple[int, str]]:
    if source.within(CATCHES_ALL):
        return
    for node in source.nodes:
        caught: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
                continue  # It tidies up and lets go.
            caught = list(node.type.elts) if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and last_name(node.func) == "suppress":
            caught = list(node.args)
        for kind in caught:
            if kind is None or last_name(kind) in {"Exception", "BaseException"}:
                yield getattr(node, "lineno", 0), "catch what you expect; bugs go up"


def secrets(source: Source) -> Iterator[tuple[int, str]]:
    for node in source.nodes:
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for sign, *pair in zip(node.ops, sides, sides[1:], strict=False):
            equal = isinstance(sign, ast.Eq | ast.NotEq) and not any(map(_fixed, pair))
            if equal and any(map(_secret, pair)):
                yield node.lineno, "compare secrets with hmac.compare_digest"


def _secret(node: ast.expr) -> bool:
    words = last_name(node).lower().strip("_").split("_")
    bare = {word.removesuffix("s") for word in words}
    return bool(bare & SECRET) and words[-1] not in ABOUT


def _fixed(node: ast.expr) -> bool:
    """A constant: a literal, an UPPER_CASE name, a member of an enumeration."""
    return isinstance(node, ast.Constant) or bool(re.fullmatch(r"[A-Z][A-Z0-9_]+", last_name(node)))


def neighbours(source: Source) -> Iterator[tuple[int, str]]:
    """Inside a slice http|tasks → service → sql → model; across slices neither sql nor http."""
    slice_name, _, rest = source.name.partition("/")
    if not rest or slice_name in NOT_SLICES - {"entry"}:
        return
    for line, module in _imports(source):
        theirs, _, part = module.partition(".")
        if not part or theirs in NOT_SLICES:
            continue
        kind = part.partition(".")[0]
        # Composition roots mount routes and tasks, and the doctor runs every slice's checks.
        wired = slice_name == "entry" and kind.startswith(("http", "tasks", "sql_checks"))
        if theirs != slice_name:
            if kind.startswith(("http", "tasks", "sql", "_")) and not wired:
                yield line, f"{theirs}.{kind} is private to its slice"
        elif _height(kind, unknown=0) > _height(rest, unknown=2):
            yield line, f"{rest} may not import {kind}: http|tasks → service → sql → model"


def _height(part: str, *, unknown: int) -> int:
    for height, stems in ((3, "http|tasks"), (2, "service"), (1, "sql"), (0, "model")):
        if re.match(rf"({stems})(_\w+)?(\.py|/|$)", part):
            return height
    return unknown


def _imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and module below `rewards` of each import; `from rewards.x import y` is x.y."""
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rewards"):
            base = (node.module or "").removeprefix("rewards").lstrip(".")
            for alias in node.names:
                yield node.lineno, base if "." in base else f"{base}.{alias.name}".lstrip(".")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("rewards."):
                    yield node.lineno, alias.name.removeprefix("rewards.")


ANYWHERE: tuple[Rule, ...] = (sizes, opening_sentences, names, unfinished, machine_paths)
IN_THE_PACKAGE: tuple[Rule, ...] = (
    *(sql_places, transactions, session_state, floats, clocks, catches, secrets, neighbours),
)


def breaches(source: Source) -> list[str]:
    """One line for each broken rule: where, and what to do."""
    rules = (*ANYWHERE, *IN_THE_PACKAGE) if source.ours else ANYWHERE
    found = sorted({(line, said) for rule in rules for line, said in rule(source)})
    return [f"{source.name}:{line} {said}" for line, said in found]


def code_breaches(refusals: Iterable[type]) -> Iterator[str]:
    """Each refusal has a code of its own, in UPPER_SNAKE: it is public API."""
    owners: dict[str, str] = {}
    for refusal in refusals:
        name = f"{refusal.__module__}.{refusal.__qualname__}"
        code = vars(refusal).get("code")
        if not isinstance(code, str) or not re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", code):
            yield f"{name} has no UPPER_SNAKE code of its own"
        elif owners.setdefault(code, name) != name:
            yield f"{name} and {owners[code]} share the code {code}"
