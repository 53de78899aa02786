"""The vault: what it binds, what it refuses, how its keys are born, rotated and re-wrapped."""

import asyncio
import base64
import random
import secrets
from pathlib import Path

import pytest
from pydantic import SecretStr

from rewards.infra import crypto
from rewards.infra.crypto import KeyUnknown, KeyWornOut, SealBroken, Vault
from rewards.infra.db import Database
from rewards.infra.masterkey import LocalKey, MasterKeyProblem, known_keys, parse
from rewards.infra.settings import Settings

PLAIN = b'{"code":"CANARY-7731","pin":"0042"}'
SWAPS = 10_000
# The reliability page asks for 5,000,000 over four processes; that is the long run's figure.
NONCES = 200_000


@pytest.fixture
def home_settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
async def vault(db: Database, home_settings: Settings) -> Vault:
    return await Vault.open_database(db, home_settings)


def test_the_current_vault_layout_is_as_documented() -> None:
    assert crypto.SEALED_BYTES_MIN == 1 + 4 + 12 + 16


async def test_what_was_sealed_opens_in_its_own_place(vault: Vault) -> None:
    for plain in (b"", PLAIN, secrets.token_bytes(10_000)):
        sealed = vault.seal("units.secrets", 7, plain)
        assert plain == b"" or plain not in sealed
        assert vault.open("units.secrets", 7, sealed) == plain
        assert len(sealed) == crypto.SEALED_BYTES_MIN + len(plain)


async def test_ten_thousand_swaps_between_rows_and_columns_are_refused(vault: Vault) -> None:
    places = ("units.secrets", "units.other", "credentials.signing_secret", "webhooks.secret")
    rng = random.Random(57)
    sealed = {(p, i): vault.seal(p, i, PLAIN) for p in places for i in range(1, 30)}
    homes = list(sealed)
    for _ in range(SWAPS):
        source, target = rng.sample(homes, 2)
        with pytest.raises(SealBroken) as refused:
            vault.open(*target, sealed[source])
        assert str(refused.value) == "sealed value cannot be opened"


async def test_ten_thousand_bit_flips_are_refused(vault: Vault) -> None:
    rng = random.Random(58)
    sealed = vault.seal("units.secrets", 7, PLAIN)
    for _ in range(SWAPS):
        bit = rng.randrange(len(sealed) * 8)
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SealBroken) as refused:
            vault.open("units.secrets", 7, bytes(broken))
        assert str(refused.value) == "sealed value cannot be opened"
        assert refused.value.__cause__ is None


async def test_truncated_and_foreign_values_are_refused(vault: Vault) -> None:
    sealed = vault.seal("units.secrets", 7, PLAIN)
    for size in range(len(sealed)):
        with pytest.raises(SealBroken):
            vault.open("units.secrets", 7, sealed[:size])
    with pytest.raises(SealBroken):
        vault.open("units.secrets", 7, b"\x02" + sealed[1:])


async def test_no_nonce_comes_twice(vault: Vault) -> None:
    nonces = {vault.seal("units.secrets", 1, b"x")[5:17] for _ in range(NONCES)}
    assert len(nonces) == NONCES


async def test_keys_are_in_no_repr(vault: Vault) -> None:
    root = vault._mac_root
    shown = repr(vault) + repr(vault._keys) + repr(vault._wrappers)
    assert root.hex() not in shown
    assert repr(root) not in shown
    assert base64.b64encode(root).decode() not in shown


async def test_macs_differ_by_purpose_and_agree_between_processes(
    vault: Vault, db: Database, home_settings: Settings
) -> None:
    other = await Vault.open_database(db, home_settings)
    assert vault.mac("tokens", b"x") == other.mac("tokens", b"x")
    assert vault.mac("tokens", b"x") != vault.mac("fingerprints", b"x")
    assert vault.mac("tokens", b"x") != vault.mac("tokens", b"y")
    assert vault.mac_key("tokens") == other.mac_key("tokens")
    assert len(vault.mac_key("tokens")) == 32


async def test_eight_starters_share_one_set_of_keys_and_one_master_key(
    db: Database, home_settings: Settings
) -> None:
    vaults = await asyncio.gather(*(Vault.open_database(db, home_settings) for _ in range(8)))
    sealed = vaults[0].seal("units.secrets", 1, PLAIN)
    assert {v.open("units.secrets", 1, sealed) for v in vaults} == {PLAIN}
    assert len({v.mac("m", b"x") for v in vaults}) == 1
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM data_keys") == 3
    key_file = home_settings.home / "master.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home_settings.home.iterdir()] == ["master.key"]


async def test_nothing_in_the_database_opens_without_the_master_key(
    vault: Vault, db: Database, tmp_path: Path
) -> None:
    with pytest.raises(MasterKeyProblem):
        await Vault.open_database(db, Settings(home=tmp_path / "other"))
    assert not (tmp_path / "other").exists(), "a lost master key is never papered over"
    stranger = base64.b64encode(secrets.token_bytes(32)).decode()
    with pytest.raises(MasterKeyProblem, match="local:"):
        await Vault.open_database(db, Settings(master_key=SecretStr(stranger)))


def test_malformed_master_keys_are_refused_without_quoting_them(tmp_path: Path) -> None:
    for text in ("not base64!", base64.b64encode(b"short").decode()):
        with pytest.raises(MasterKeyProblem) as refused:
            parse(text)
        assert text not in str(refused.value)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(MasterKeyProblem, match="empty"):
        known_keys(Settings(master_key_file=empty), may_make=True)
    with pytest.raises(MasterKeyProblem, match="missing"):
        known_keys(Settings(master_key_file=tmp_path / "none"), may_make=True)


async def test_a_wrapped_key_moved_to_another_purpose_does_not_unwrap(
    vault: Vault, db: Database, home_settings: Settings
) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE data_keys AS k SET wrapped = o.wrapped FROM data_keys AS o"
            " WHERE k.purpose = 'units' AND o.purpose = 'secrets'"
        )
    with pytest.raises(MasterKeyProblem):
        await Vault.open_database(db, home_settings)


async def test_rotation_reaches_another_process_when_it_meets_the_new_key(
    vault: Vault, db: Database, home_settings: Settings
) -> None:
    other = await Vault.open_database(db, home_settings)
    before = vault.seal("units.secrets", 1, PLAIN)
    key_id = await vault.rotate_data_key("units")
    after = vault.seal("units.secrets", 1, PLAIN)
    assert after[1:5] == key_id.to_bytes(4, "big") != before[1:5]
    assert vault.stale("units.secrets", before)
    assert not vault.stale("units.secrets", after)
    assert vault.open("units.secrets", 1, before) == PLAIN
    with pytest.raises(KeyUnknown):
        other.open("units.secrets", 1, after)
    # Until it learns, the other one seals under the old key, which everybody still reads.
    assert vault.open("units.secrets", 2, other.seal("units.secrets", 2, PLAIN)) == PLAIN
    await other.learn([before, after])
    assert other.open("units.secrets", 1, after) == PLAIN
    assert other.active_header("units.secrets") == after[:5]


async def test_a_new_key_is_learned_inside_a_transaction_without_a_second_connection(
    dsn: str, vault: Vault, home_settings: Settings
) -> None:
    """Who holds the last connection, and locks on it, would wait for itself."""
    only = await Database.connect(dsn, home_settings, size=1)
    other = await Vault.open_database(only, home_settings)
    await vault.rotate_data_key("secrets")
    values = [vault.seal("clients.signing_secret", 7, b"a"), vault.seal("units.secrets", 7, b"b")]
    async with only.transaction() as tx:
        with pytest.raises(KeyUnknown):
            other.open("clients.signing_secret", 7, values[0])
        await other.learn(values, tx)
        assert other.open("clients.signing_secret", 7, values[0]) == b"a"
        assert other.open("units.secrets", 7, values[1]) == b"b"
    assert other.active_header("clients.signing_secret") == values[0][:5]
    await only.close()


async def test_two_rotations_at_once_make_one_key(
    vault: Vault, db: Database, home_settings: Settings
) -> None:
    other = await Vault.open_database(db, home_settings)
    await asyncio.gather(vault.rotate_data_key("units"), other.rotate_data_key("units"))
    async with db.connection() as connection:
        active = await connection.fetch(
            "SELECT id FROM data_keys WHERE purpose = 'units' AND retired_at IS NULL"
        )
    assert len(active) == 1
    sealed = vault.seal("units.secrets", 1, PLAIN)
    await other.learn([sealed])
    assert other.open("units.secrets", 1, sealed) == PLAIN


async def test_the_mac_key_is_not_rotated(vault: Vault) -> None:
    for purpose in ("macs", "unheard"):
        with pytest.raises(ValueError, match=purpose):
            await vault.rotate_data_key(purpose)


async def test_rewrapping_stops_half_way_and_goes_on(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = LocalKey(secrets.token_bytes(32)), LocalKey(secrets.token_bytes(32))
    vault = await Vault.open_database(db, Settings(), wrappers=[old])
    sealed = vault.seal("units.secrets", 1, PLAIN)
    mac = vault.mac("m", b"x")
    wrap, calls = new.wrap, 0

    class Failing:
        name = new.name
        unwrap = staticmethod(new.unwrap)

        async def wrap(self, key: bytes, context: bytes) -> bytes:
            nonlocal calls
            calls += 1
            if calls % 2 == 0:
                raise ConnectionError
            return await wrap(key, context)

    moved = 0
    for _ in range(10):
        try:
            moved += await vault.rewrap(old, Failing())
            break
        except ConnectionError:
            both = await Vault.open_database(db, Settings(), wrappers=[old, new])
            assert both.open("units.secrets", 1, sealed) == PLAIN
    after = await Vault.open_database(db, Settings(), wrappers=[new])
    assert after.open("units.secrets", 1, sealed) == PLAIN
    assert after.mac("m", b"x") == mac
    with pytest.raises(MasterKeyProblem):
        await Vault.open_database(db, Settings(), wrappers=[old])
    assert await after.rewrap(old, new) == 0


async def test_a_key_warns_and_then_refuses(
    vault: Vault, db: Database, home_settings: Settings
) -> None:
    vault.seal("units.secrets", 1, b"x")
    await vault.refresh()
    async with db.transaction() as tx:
        assert await tx.fetchval("SELECT seals FROM data_keys WHERE purpose = 'units'") == 1
        await tx.execute("UPDATE data_keys SET seals = $1", crypto.SEALS_MAX - 2)
    worn = await Vault.open_database(db, home_settings)
    worn.seal("units.secrets", 1, b"x")
    assert worn._active["units"].warned
    with pytest.raises(KeyWornOut):
        worn.seal("units.secrets", 1, b"x")
    await worn.rotate_data_key("units")
    worn.seal("units.secrets", 1, b"x")
