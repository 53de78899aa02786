"""Stands of the encrypted-pull family: one for each preset and each way of sealing."""

import json
from collections.abc import Iterable

from rewards.vendors.adapters.pull_protocol import NOT_KNOWN, Protocol
from rewards.vendors.cipher import CbcFixedIv, GcmPerMessage
from rewards.vendors.model import Line
from rewards.vendors.simulators.book import Book, SimClock
from rewards.vendors.simulators.pull import PRODUCTS, Login, PullSimulator
from rewards.vendors.simulators.valuedesign import ValueDesignSimulator
from rewards.vendors.simulators.vouchagram import VouchagramSimulator, VoucherKartSimulator
from tests.vendors.conftest import Open, Stand, now

LINE = Line("internalfixedtesting", 100_000, "INR", 4)
# What this family sells in no currency but its own, and never to a phone.
OTHER_LINES = (
    Line(LINE.sku, LINE.face_minor, "USD", 1),
    Line(LINE.sku, LINE.face_minor, "XYZ", 1),
    Line(LINE.sku, LINE.face_minor, "INR", 1, {"mobile_number": "9990001112"}),
)
KEY, IV = "k" * 32, "0123456789abcdef"
SECRETS = {"username": "buyer", "password": "word", "key": KEY, "iv": IV}
CBC = Login("buyer", "word", CbcFixedIv(KEY.encode(), IV.encode()))
GCM = Login("buyer", "word", GcmPerMessage(KEY))
GCM_SETTINGS = json.dumps({"cipher": "gcm-per-message"})
CODES_SETTINGS = json.dumps({"cipher": "gcm-per-message", "sealed": "codes"})
BUYER = {"distributor_id": "SIMDISTRIBUTOR", "email": "desk@buyer.test", "mobile_no": "9990001112"}


def book() -> Book:
    return Book(SimClock(now), PRODUCTS)


async def vouchagram(stand: Open, simulator: PullSimulator | None = None) -> Stand:
    simulator = simulator or VouchagramSimulator(book(), CBC)
    return await stand("vouchagram", simulator, {}, SECRETS, path="/API/v1")


async def voucherkart(stand: Open, settings: str = "{}") -> Stand:
    simulator = VoucherKartSimulator(book(), CBC if settings == "{}" else GCM)
    simulator.sealed_codes = settings == CODES_SETTINGS
    config, secrets = {"settings": settings}, {**SECRETS, "iv": IV if settings == "{}" else ""}
    return await stand("voucherkart", simulator, config, secrets, path="/API/v1")


async def valuedesign(stand: Open, settings: str = "{}") -> Stand:
    simulator = ValueDesignSimulator(book(), CBC)
    config = {**BUYER, "settings": settings}
    return await stand("valuedesign", simulator, config, SECRETS, path="/distributor")


def refusals(protocol: Protocol) -> list[tuple[int, object]]:
    """Every no of its table in an envelope, but the one that is about an order."""
    names = protocol.envelope
    return [
        (200, {names.code[0]: rule.code, names.text[0]: rule.text, names.data: ""})
        for rule in protocol.rules
        if rule.verdict != NOT_KNOWN
    ]


def secret_values(at: Stand) -> Iterable[str]:
    """What must be in no exchange: codes, the login, every token, the key."""
    simulator = at.simulator
    assert isinstance(simulator, PullSimulator)
    codes = (card.code for sale in simulator.book.sales.values() for card in sale.cards)
    return [*codes, *simulator._tokens, "buyer", "word", KEY, IV, *BUYER.values()]
