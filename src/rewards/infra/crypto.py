"""The vault: seals secrets with data keys that a master key outside the database wraps.

A sealed value is: format byte · key id (4) · random nonce (12) · AES-256-GCM ciphertext and tag.
The associated data binds format, key, subject id and place (table and field), so that a value
copied to another row, column or table does not open (spec.md §4, Sealing).
"""

import asyncio
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rewards.infra.db import Database, Tx
from rewards.infra.masterkey import KEY_BYTES, KeyWrapper, MasterKeyProblem, known_keys
from rewards.infra.settings import Settings

log = structlog.get_logger()

CHANGES_TOPIC = "data_keys"
PURPOSES = ("units", "secrets", "macs")
FORMAT = b"\x01"
HEADER_BYTES = 5
NONCE_BYTES = 12
SEALED_BYTES_MIN = HEADER_BYTES + NONCE_BYTES + 16
# Random 96-bit nonces allow 2^32 seals a key (NIST SP 800-38D). We stop at half of that, because
# what a killed process had not yet stored of its count is lost.
SEALS_WARN = 2**28
SEALS_MAX = 2**31

HAS_KEYS = "SELECT EXISTS (SELECT FROM data_keys)"
READ_KEYS = """
SELECT id, purpose, wrapped, wrapped_by, seals, retired_at IS NULL AS active
FROM data_keys ORDER BY id
"""
# The partial unique index lets one process in; the others find its key.
ADD_KEY = """
INSERT INTO data_keys (purpose, wrapped, wrapped_by) VALUES ($1, $2, $3)
ON CONFLICT (purpose) WHERE retired_at IS NULL DO NOTHING
RETURNING id
"""
RETIRE_KEY = "UPDATE data_keys SET retired_at = now() WHERE purpose = $1 AND retired_at IS NULL"
TELL_OTHERS = "INSERT INTO changes (topic, subject_id) VALUES ($1, $2)"
REWRAP_KEY = """
UPDATE data_keys SET wrapped = $3, wrapped_by = $4 WHERE id = $1 AND wrapped_by = $2 RETURNING id
"""
COUNT_SEALS = """
UPDATE data_keys AS k SET seals = k.seals + new.seals
FROM unnest($1::integer[], $2::bigint[]) AS new (id, seals)
WHERE k.id = new.id
RETURNING k.id, k.seals
"""


class SealBroken(Exception):
    """The value was not sealed for this place and subject. It says no more, on purpose."""

    def __init__(self) -> None:
        super().__init__("sealed value cannot be opened")


class KeyUnknown(SealBroken):
    """The value names a data key this process has not read: `await vault.learn(…)`, open again."""


class KeyWornOut(Exception):
    """A data key has sealed all it may; rotate it."""


class _DataKey:
    """One data key in use. The count is not exact across threads; its limit has room for that."""

    __slots__ = ("cipher", "header", "id", "purpose", "seals", "unsaved", "warned")

    def __init__(self, key_id: int, purpose: str, key: bytes, seals: int) -> None:
        self.id = key_id
        self.purpose = purpose
        self.header = FORMAT + key_id.to_bytes(4, "big")
        self.cipher = AESGCM(key)
        self.seals = seals
        self.unsaved = 0
        self.warned = False

    def __repr__(self) -> str:
        return f"_DataKey({self.id}, {self.purpose})"


def purpose_of(place: str) -> str:
    """Voucher units have data keys of their own, everything else shares "secrets"."""
    return "units" if place.startswith("units.") else "secrets"


class Vault:
    """Seals and opens; keys stay inside. `seal`, `open` and `mac` never wait for anything."""

    def __init__(self, db: Database, wrappers: Sequence[KeyWrapper]) -> None:
        self._db = db
        self._wrappers: dict[str, KeyWrapper] = {wrapper.name: wrapper for wrapper in wrappers}
        self._current = wrappers[0]
        self._keys: dict[bytes, _DataKey] = {}
        self._active: dict[str, _DataKey] = {}
        self._mac_root = b""
        self._mac_keys: dict[str, bytes] = {}
        self._macs: dict[str, hmac.HMAC] = {}
        self._refreshing = asyncio.Lock()

    @classmethod
    async def open_database(
        cls, db: Database, settings: Settings, *, wrappers: Sequence[KeyWrapper] | None = None
    ) -> "Vault":
        """The vault of this database, any missing data key made; many processes may start at once.

        `wrappers` (a KMS) replace the master keys of the settings; the first one wraps new keys.
        Raises MasterKeyProblem when a data key was wrapped by a master key that is not known here.
        """
        if wrappers is None:
            async with db.connection() as connection:
                has_keys = await connection.fetchval(HAS_KEYS)
            wrappers = known_keys(settings, may_make=not has_keys)
        vault = cls(db, wrappers)
        await vault.refresh()
        missing = [purpose for purpose in PURPOSES if purpose not in vault._active]
        for purpose in missing:
            wrapped = await vault._new_wrapped(purpose)
            async with db.transaction() as tx:
                await tx.fetch(ADD_KEY, purpose, wrapped, vault._current.name)
        if missing:
            await vault.refresh()
        return vault

    def seal(self, place: str, subject_id: int, plaintext: bytes) -> bytes:
        """`plaintext` for one field of one row: "units.secrets" of unit 7. Raises KeyWornOut."""
        key = self._active["units" if place.startswith("units.") else "secrets"]
        key.unsaved += 1
        if key.seals + key.unsaved >= SEALS_WARN:
            self._watch(key)
        header = key.header
        nonce = os.urandom(NONCE_BYTES)
        aad = header + subject_id.to_bytes(8, "big", signed=True) + place.encode()
        return header + nonce + key.cipher.encrypt(nonce, plaintext, aad)

    def open(self, place: str, subject_id: int, sealed: bytes) -> bytes:
        """What was sealed for exactly this place and subject; raises SealBroken for anything else.

        Raises its subclass KeyUnknown where `learn` may help.
        """
        header = sealed[:HEADER_BYTES]
        key = self._keys.get(header)
        if key is None:
            raise KeyUnknown if header[:1] == FORMAT else SealBroken
        if key.purpose != purpose_of(place) or len(sealed) < SEALED_BYTES_MIN:
            raise SealBroken
        aad = header + subject_id.to_bytes(8, "big", signed=True) + place.encode()
        try:
            return key.cipher.decrypt(sealed[5:17], sealed[17:], aad)
        except InvalidTag:
            raise SealBroken from None

    def mac(self, purpose: str, data: bytes) -> bytes:
        """HMAC-SHA256 of `data` (32 bytes) under a key of this purpose alone."""
        started = self._macs.get(purpose)
        if started is None:
            started = self._macs[purpose] = hmac.new(self.mac_key(purpose), None, hashlib.sha256)
        running = started.copy()
        running.update(data)
        return running.digest()

    def mac_key(self, purpose: str) -> bytes:
        """32 bytes for this purpose, the same in every process, for ever (e.g. token signing)."""
        key = self._mac_keys.get(purpose)
        if key is None:
            info = b"rewards mac " + purpose.encode()
            key = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self._mac_root)
            self._mac_keys[purpose] = key
        return key

    def stale(self, place: str, sealed: bytes) -> bool:
        """Whether the value is under a key that was rotated away and should be sealed anew."""
        return sealed[:HEADER_BYTES] != self._active[purpose_of(place)].header

    def active_header(self, place: str) -> bytes:
        """The first bytes of whatever is sealed for `place` now; finds in SQL what is not."""
        return self._active[purpose_of(place)].header

    async def learn(self, sealed: Iterable[bytes], tx: Tx | None = None) -> None:
        """Read the data keys once if any of these values names one this process has not met.

        After another process rotated a key its values carry the new id: call this before opening
        what was just read. Costs a set look-up a value when nothing is new. Inside a transaction
        give it: who holds locks reads on, and does not wait for a second connection.
        """
        if all(value[:HEADER_BYTES] in self._keys for value in sealed):
            return
        if tx is None:
            await self.refresh()
        else:
            await self._read(tx)

    async def refresh(self, _changed: Sequence[int] = ()) -> None:
        """Read the data keys again and store how often this process has sealed since last time.

        It may follow CHANGES_TOPIC of the change feed, so that a rotation is known in a moment.
        """
        async with self._refreshing:
            await self._save_counts()
            async with self._db.connection() as connection:
                await self._read(connection)

    async def _read(self, connection: Tx) -> None:
        for row in await connection.fetch(READ_KEYS):
            header = FORMAT + int(row["id"]).to_bytes(4, "big")
            key = self._keys.get(header)
            if key is None:
                plain = await self._unwrap(row["purpose"], row["wrapped_by"], row["wrapped"])
                fresh = _DataKey(row["id"], row["purpose"], plain, row["seals"])
                # Two may read at once; one key has one count.
                key = self._keys.setdefault(header, fresh)
                if key.purpose == "macs" and row["active"]:
                    self._mac_root = plain
            if row["active"]:
                self._active[key.purpose] = key

    async def rotate_data_key(self, purpose: str) -> int:
        """Seal with a fresh key from now on; the old one still opens. Returns the active key's id.

        Other processes learn it when they meet its id or the change it writes; until then they seal
        under the old one, which stays readable. The "macs" key is not rotated: fingerprints and
        lookups by MAC could not be matched any more. Two rotations at once make one new key.
        """
        if purpose not in PURPOSES or purpose == "macs":
            raise ValueError(f"{purpose} has no key that can be rotated")
        wrapped = await self._new_wrapped(purpose)

        async def work(tx: Tx) -> None:
            await tx.execute(RETIRE_KEY, purpose)
            added = await tx.fetchval(ADD_KEY, purpose, wrapped, self._current.name)
            if added is not None:
                await tx.execute(TELL_OTHERS, CHANGES_TOPIC, added)

        await self._db.run(work)
        await self.refresh()
        return self._active[purpose].id

    async def rewrap(self, old: KeyWrapper, new: KeyWrapper) -> int:
        """Wrap every data key that `old` wrapped with `new` instead; returns how many.

        Sealed values do not change. Each key is moved by its own compare-and-set, so a run that was
        killed is simply run again. Deploy both master keys everywhere before, drop `old` after.
        """
        self._wrappers |= {old.name: old, new.name: new}
        async with self._db.connection() as connection:
            rows = await connection.fetch(READ_KEYS)
        moved = 0
        for row in rows:
            if row["wrapped_by"] != old.name:
                continue
            plain = await old.unwrap(row["wrapped"], _context(row["purpose"]))
            wrapped = await new.wrap(plain, _context(row["purpose"]))
            async with self._db.transaction() as tx:
                won = await tx.fetch(REWRAP_KEY, row["id"], old.name, wrapped, new.name)
            moved += len(won)
        self._current = new
        return moved

    async def _new_wrapped(self, purpose: str) -> bytes:
        return await self._current.wrap(secrets.token_bytes(KEY_BYTES), _context(purpose))

    async def _unwrap(self, purpose: str, wrapped_by: str, wrapped: bytes) -> bytes:
        wrapper = self._wrappers.get(wrapped_by)
        if wrapper is None:
            raise MasterKeyProblem(
                f"data keys are wrapped by {wrapped_by}, which is not known here"
            )
        return await wrapper.unwrap(wrapped, _context(purpose))

    async def _save_counts(self) -> None:
        fresh = [(key, key.unsaved) for key in self._keys.values() if key.unsaved]
        if not fresh:
            return
        async with self._db.transaction() as tx:
            rows = await tx.fetch(
                COUNT_SEALS, [key.id for key, _ in fresh], [count for _, count in fresh]
            )
        total = {row["id"]: row["seals"] for row in rows}
        for key, count in fresh:
            key.unsaved -= count
            key.seals = total.get(key.id, key.seals + count)

    def _watch(self, key: _DataKey) -> None:
        if key.seals + key.unsaved >= SEALS_MAX:
            raise KeyWornOut(f"data key {key.id} ({key.purpose}) has sealed {SEALS_MAX} values")
        if not key.warned:
            key.warned = True
            log.warning("data_key_wearing_out", key_id=key.id, purpose=key.purpose)

    def __repr__(self) -> str:
        return f"Vault({len(self._keys)} data keys)"


def _context(purpose: str) -> bytes:
    """Bound to a wrapped key, so that a key cannot be moved to another purpose."""
    return b"rewards data key " + purpose.encode()
