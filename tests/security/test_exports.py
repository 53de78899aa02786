"""What is exported opens in a spreadsheet as what it is, whoever wrote it (T63)."""

import ast
import csv
import io
import re
from pathlib import Path

import pytest

import rewards
from rewards.infra.csvtext import FORMULA_STARTS
from tests.security.asking import ask
from tests.security.callers import whoever_may
from tests.security.world import World

SOURCE = Path(rewards.__file__).parent
# Where lines are made for a spreadsheet. The second holds no text that somebody else chose, and
# is signed to the letter.
WRITERS = {"infra/csvtext.py", "reconciliation/documents.py"}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
FORMULAS = tuple(f"{start}HYPERLINK(1)" for start in FORMULA_STARTS if start.isprintable())


def test_nobody_writes_csv_but_the_one_that_defuses_it() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter"):
                found.add(str(path.relative_to(SOURCE)))
    assert found == WRITERS


@pytest.fixture(scope="module")
async def written(world: World) -> set[str]:
    """Formulas wherever a client or staff may write what an export shows."""
    for number, formula in enumerate(FORMULAS):
        money = {"amount": 1, "reference": formula, "note": formula}
        await world.admin("POST", f"/wallets/{world.ids['wallet_id']}/top-up", money)
        await world.buys(product_id=6, denomination=5, quantity=1, ref=formula + str(number))
    return set(FORMULAS)


async def test_no_cell_of_an_export_is_a_formula(world: World, written: set[str]) -> None:
    shown: set[str] = set()
    exports = [one for one in world.operations if _in_csv(one.told)]
    assert exports
    known = await whoever_may(world)
    for one in exports:
        answer = await ask(world, one, known(one), world.ids, headers={"Accept": "text/csv"})
        assert answer.headers["Content-Type"].startswith("text/csv"), one
        assert "attachment" in answer.headers["Content-Disposition"], one
        for row in csv.reader(io.StringIO(answer.text, newline="")):
            for cell in row:
                assert NUMBER.fullmatch(cell) or not cell.startswith(FORMULA_STARTS), (one, cell)
                shown.add(cell.removeprefix("'"))
    assert shown & written, "no formula was exported: nothing was shown"


def _in_csv(told: dict[str, object]) -> bool:
    return "'text/csv'" in str(told.get("responses"))
