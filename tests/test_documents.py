"""What the documents tell a reader to type or open is there."""

import re
from pathlib import Path

import pytest

from rewards.alerts import http as alerts_http
from rewards.alerts import http_health
from rewards.clients import http as clients_http
from rewards.entry.cli import app
from rewards.orders import http as orders_http
from rewards.reports import http as reports_http
from rewards.staff import http as staff_http
from rewards.vendors import http as vendors_http
from rewards.wallets import http as wallets_http
from rewards.webhooks import http as webhooks_http
from rewards.webhooks import http_events

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MOUNTED = (
    ("", clients_http.ROUTER),
    ("", staff_http.ROUTER),
    ("", alerts_http.ROUTER),
    ("", http_health.ROUTER),
    ("", reports_http.ROUTER),
    ("", vendors_http.ROUTER),
    ("/api/v1", orders_http.ROUTER),
    ("/api/v1", wallets_http.ROUTER),
    ("/api/v1", webhooks_http.ROUTER),
    ("/api/v1", http_events.ROUTER),
)
HOMES = (ROOT, ROOT / "src/rewards")
COMMAND = re.compile(r"^(?:\.venv/bin/)?rewards ([a-z-]+)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
FILE = re.compile(r"`(?!var/|/)((?:[\w.-]+/)+[\w.-]+\.(?:py|md|sql))`")
CALL = re.compile(r'curl -s (?:-X (?P<method>[A-Z]+) )?"\$host(?P<path>/[^"?]*)')


def patterns() -> list[tuple[set[str], re.Pattern[str]]]:
    """The methods and path of every route that is mounted."""
    found = []
    for prefix, router in MOUNTED:
        for route in router.routes:
            path = "/" + "/".join(part for part in f"{prefix}{route.path}".split("/") if part)
            handlers = getattr(route, "route_handlers", [])
            methods = {str(method) for handler in handlers for method in handler.http_methods}
            found.append((methods, re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))))
    return found


@pytest.mark.parametrize(("page", "least"), [("README.md", 20), ("docs/webhooks.md", 7)])
def test_every_call_in_a_guide_meets_a_route(page: str, least: int) -> None:
    text = (ROOT / page).read_text()
    calls = [
        (call["method"] or "", re.sub(r"\$\([^)]*\)", "1", call["path"]))
        for call in CALL.finditer(text)
    ]
    assert len(calls) > least
    routes = patterns()
    for method, path in calls:
        met = [methods for methods, pattern in routes if pattern.fullmatch(path)]
        assert met, path
        # A login is a POST by its body, without being called one.
        assert any((method or "GET") in methods or not method for methods in met), (method, path)


def test_every_command_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text()
    commands = [
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
    ]
    known = {*commands, *(str(group.name) for group in app.registered_groups)}
    named = set(COMMAND.findall(text))
    assert named
    assert named <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_file_in_a_document_is_there(document: Path) -> None:
    text = document.read_text()
    for target in LINK.findall(text):
        assert (document.parent / target).exists(), target
    for named in FILE.findall(text):
        # NNNN stands for a number yet to come.
        assert "NNNN" in named or any((home / named).exists() for home in HOMES), named


def test_the_decisions_are_numbered_without_a_twin() -> None:
    numbers = [path.name[:4] for path in ROOT.glob("docs/adr/*.md")]
    assert len(numbers) == len(set(numbers))
    for path in ROOT.glob("docs/adr/*.md"):
        assert path.read_text().startswith(f"# {path.name[:4]}. ")
