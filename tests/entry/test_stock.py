"""`rewards stock import`: a file becomes units that wait for a pump, and says what did not."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from rewards.entry import stock
from rewards.infra.settings import Settings
from tests.shop import Shop, open_shop

HEADER = "product_id,denomination,currency,expires_at,card_number,pin_code\n"
GOOD = "6,25.00,USD,2030-12-31,4000-0000-0000-0001,1234\n"
OTHER = "6,25.00,USD,2030-12-31,4000-0000-0000-0002,1234\n"
BAD = "6,26.00,USD,2030-12-31,4000-0000-0000-0003,1234\n"


async def units(shop: Shop) -> list[str]:
    async with shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT state FROM units ORDER BY id")
    return [row["state"] for row in rows]


async def test_a_file_is_imported_pumped_and_repeated_without_harm(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(dsn), environment="test")
    file = tmp_path / "stock.csv"
    file.write_text(HEADER + GOOD + GOOD + BAD)
    async with open_shop(dsn, tmp_path) as shop:
        await shop.product()
        capsys.readouterr()
        assert await stock.import_file(settings, file, "") == stock.SOME_REJECTED
        said = capsys.readouterr()
        told = json.loads(said.out)
        assert told["state"] == "DONE"
        counts = ("rows", "loaded", "duplicate", "invalid")
        assert [told[name] for name in counts] == [3, 1, 1, 1]
        assert "row 3: DUPLICATE" in said.err
        assert "row 4: INVALID" in said.err
        assert "4000-0000" not in said.err + said.out
        assert await units(shop) == ["AVAILABLE"]
        async with shop.parts.db.connection() as connection:
            [fact] = await connection.fetch(
                "SELECT * FROM audit_entries WHERE action = 'batch.import_started'"
            )
        assert (fact["actor_kind"], fact["subject_id"]) == ("SYSTEM", told["batch_id"])

        file.write_text(HEADER + OTHER)
        assert await stock.import_file(settings, file, "second") == stock.LOADED
        capsys.readouterr()
        await stock.pump(settings)
        [shelf] = json.loads(capsys.readouterr().out)["shelves"]
        assert (shelf["loaded"], shelf["depth"]) == (2, 2)
        assert await shop.broken() == {}


@pytest.mark.parametrize("content", [None, "", "card_number,pin_code\n1,2\n"])
async def test_a_file_that_cannot_be_read_leaves_no_units(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(dsn), environment="test")
    file = tmp_path / "stock.csv"
    if content is not None:
        file.write_text(content)
    async with open_shop(dsn, tmp_path) as shop:
        await shop.product()
        assert await stock.import_file(settings, file, "") == stock.NOT_READ
        assert capsys.readouterr().err
        assert await units(shop) == []
