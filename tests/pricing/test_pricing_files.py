"""Rates from a file: all of it or nothing, and every bad row told; also from the command line."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rewards.core.currency import CURRENCIES
from rewards.entry.fx import load
from rewards.infra.settings import Settings
from rewards.pricing.files import FILE_BYTES_MAX, ROW_COUNT_MAX, BadRateFile, read_rates
from rewards.pricing.model_rates import Channel
from tests.catalog.shop import AT, Shop

HEADER = "source,target,rate,quoted_at,spread_percent\n"
ROW = "USD,INR,83.1234,2026-11-21T11:00:00Z,1.5\n"


def read(text: str | bytes) -> list[str]:
    """The problems of a file, or none."""
    content = text if isinstance(text, bytes) else text.encode()
    try:
        read_rates(content, "bank", Decimal(0), AT)
    except BadRateFile as bad:
        return [f"{problem.row} {problem.reason}" for problem in bad.problems]
    return []


def test_a_file_becomes_rates_in_order() -> None:
    text = (
        "\ufeffTarget , source,quoted_at,rate,spread_percent\r\n"
        'inr, usd ,2026-11-21T11:00:00Z,"83.1234",1.5\r\n'
        "USD,EUR,2026-11-21T12:00:00+01:00,1.25,\r\n"
    )
    inr, usd = read_rates(text.encode(), "bank", Decimal("0.5"), AT)
    assert (inr.pair, str(inr.rate), str(inr.spread_percent)) == (("USD", "INR"), "83.1234", "1.5")
    assert (usd.pair, str(usd.rate), str(usd.spread_percent)) == (("EUR", "USD"), "1.25", "0.5")
    assert {each.quoted_at for each in (inr, usd)} == {AT - timedelta(hours=1)}
    assert {(each.channel, each.origin) for each in (inr, usd)} == {(Channel.FILE, "bank")}
    [short] = read_rates(
        b"source,target,rate,quoted_at\nUSD,INR,83,2026-11-21T11:00Z", "bank", Decimal(2), AT
    )
    assert short.spread_percent == 2


BAD_FIELDS = (
    ("USD,", "XXX,", "Source: exists"),
    ("INR,", ",", "Target: exists"),
    ("INR,", "USD,", "Target: pair"),
    ("83.1234", "", "Rate: required"),
    ("83.1234", "abc", "Rate: format"),
    ("83.1234", "nan", "Rate: format"),
    ("83.1234", "0", "Rate: gt"),
    ("83.1234", "-3", "Rate: gt"),
    ("83.1234", "1e12", "Rate: max"),
    ("83.1234", "0.0000000000001", "Rate: precision"),
    ("2026-11-21T11:00:00Z", "", "QuotedAt: timestamp"),
    ("2026-11-21T11:00:00Z", "2026-11-21", "QuotedAt: timestamp"),
    ("2026-11-21T11:00:00Z", "2026-11-21T12:05:01Z", "QuotedAt: future"),
    (",1.5", ",x", "SpreadPercent: format"),
    (",1.5", ",-1", "SpreadPercent: format"),
    (",1.5", ",100", "SpreadPercent: max"),
    (",1.5", ",0.00001", "SpreadPercent: precision"),
)


def test_every_bad_field_is_told_with_its_row() -> None:
    assert read(HEADER + ROW) == []
    for good, bad, said in BAD_FIELDS:
        text = HEADER + ROW.replace("INR", "EUR") + ROW.replace(good, bad, 1)
        assert read(text) == [f"3 Invalid {said}"], bad
    assert read(HEADER + ROW + ROW) == ["3 Invalid Target: pair of row 2"]
    many = HEADER + ROW.replace("83.1234", "x") * 30
    assert len(read(many)) == 20


def test_what_is_no_file_of_rates_is_refused() -> None:
    for content, said in (
        (b"", "1 missing column: source, target, rate, quoted_at"),
        (HEADER, "0 no rates"),
        ("source,target,rate\n", "1 missing column: quoted_at"),
        (HEADER.replace("rate", "rate,colour", 1) + ROW, "1 unknown column: colour"),
        (HEADER.replace("spread_percent", "rate") + ROW, "1 a column appears twice"),
        (HEADER + "USD,INR,83\n", "2 not as many cells as the header"),
        (HEADER + ROW.strip() + ",more\n", "2 not as many cells as the header"),
        (b"\xff\xfe" + HEADER.encode(), "0 not UTF-8"),
        (HEADER + '"USD', "0 not CSV: unexpected end of data"),
        (b" " * (FILE_BYTES_MAX + 1), f"0 larger than {FILE_BYTES_MAX} bytes"),
        (HEADER + "USD,INR,1,2,3\n" * 5, "2 Invalid QuotedAt: timestamp"),
    ):
        assert read(content)[0] == said
    pairs = list(itertools.islice(itertools.permutations(CURRENCIES, 2), ROW_COUNT_MAX + 1))
    rows = [ROW.replace("USD,INR", f"{source},{target}") for source, target in pairs]
    assert read(HEADER + "".join(rows)) == ["0 more than 10000 rows"]
    assert read(HEADER + "".join(rows[1:])) == []


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[str, str]]:
    def read_out() -> tuple[str, str]:
        said = capsys.readouterr()
        return said.out, said.err

    return read_out


async def test_the_command_line_loads_a_file(
    shop: Shop, dsn: str, tmp_path: Path, told: Callable[[], tuple[str, str]]
) -> None:
    settings = Settings(database_url=dsn, home=tmp_path)  # type: ignore[arg-type]
    path = tmp_path / "rates.csv"
    moment = datetime.now(UTC) - timedelta(hours=1)

    def write(rate: str, *, later: int = 0) -> None:
        at = (moment + timedelta(minutes=later)).isoformat()
        path.write_text(f"source,target,rate,quoted_at\nUSD,INR,{rate},{at}\nUSD,EUR,0.8,{at}\n")

    write("83")
    assert await load(settings, path, "") == 0
    assert told() == ("USD INR 83 APPLIED\nUSD EUR 0.8 APPLIED\n", "")
    await shop.look()
    fx = shop.prices.conversion("USD", "INR", AT)
    assert fx is not None and (fx.rate, fx.origin) == (83, "rates.csv")
    assert await load(settings, path, "") == 0
    assert told()[0] == "USD INR 83 UNCHANGED\nUSD EUR 0.8 UNCHANGED\n"
    write("100", later=1)
    assert await load(settings, path, "bank") == 2
    assert told()[0] == "USD INR 100 HELD\nUSD EUR 0.8 APPLIED\n"
    write("84", later=-1)
    assert await load(settings, path, "bank") == 0
    assert told()[0] == "USD INR 84 OUTDATED\nUSD EUR 0.8 OUTDATED\n"
    rows = [await shop.count(name) for name in ("fx_rates", "fx_rates_held", "audit_entries")]
    assert rows == [3, 1, 4]
    write("x", later=2)
    assert await load(settings, path, "bank") == 1
    assert told() == ("", "row 2: Invalid Rate: format\nNothing was loaded.\n")
    assert await load(settings, tmp_path / "none.csv", "bank") == 1
    assert told() == ("", "No such file or directory\nNothing was loaded.\n")
    write("84", later=2)
    assert await load(settings, path, "a\nb") == 1
    assert told()[1].startswith("row 2: Invalid Origin: printable\n")
    counts = [await shop.count(name) for name in ("fx_rates", "fx_rates_held", "audit_entries")]
    assert counts == rows
