"""The encrypted-pull vendors as the registry knows them."""

from collections.abc import Mapping, Sequence

from rewards.vendors.adapters.pull import PullVendor
from rewards.vendors.adapters.pull_channel import Account
from rewards.vendors.adapters.pull_presets import VALUEDESIGN, VOUCHAGRAM, VOUCHERKART
from rewards.vendors.adapters.pull_protocol import Protocol, adapted
from rewards.vendors.cipher import (
    BLOCK_BYTES,
    KEY_BYTES,
    CbcFixedIv,
    GcmPerMessage,
    Sealing,
    secret_bytes,
)
from rewards.vendors.port import AdapterKind, Field
from rewards.vendors.throttle import Rate
from rewards.vendors.wire import Wire

_CONFIG = (
    Field("base_url", "the address the vendor gave you, up to and without /gettoken"),
    Field("settings", "what differs from the preset, as JSON of the same names", "{}"),
)
_BUYER = (
    Field("distributor_id", "your id at the vendor"),
    Field("firstname", "who buys, as the vendor wants to know it", "Rewards"),
    Field("lastname", "of the buyer", "Desk"),
    Field("mobile_no", "of the buyer", ""),
    Field("email", "of the buyer", ""),
    Field("address", "of the buyer", ""),
    Field("city", "of the buyer", ""),
    Field("state", "of the buyer", ""),
    Field("country", "of the buyer", "India"),
    Field("pincode", "of the buyer", ""),
)
_SECRETS = (
    Field("username", "for the token"),
    Field("password", "for the token"),
    Field("key", "the AES key: 32 bytes as text, hex or base64; for gcm-per-message any secret"),
    Field("iv", "the fixed IV: 16 bytes as text, hex or base64; none for gcm-per-message", ""),
)
# What we ask for; nothing of an answer is kept but what its envelope's `kept` names.
_SAFE = frozenset(
    [
        *("BrandProductCode", "ExternalOrderId", "Quantity", "Denomination", "sv_ex_order_id"),
        *("BrandCode", "order_id", "request_ref_no", "sku_code", "no_of_card", "amount"),
        *("receiptNo", "reqId", "curr"),
    ]
)


def _sealing(protocol: Protocol, secrets: Mapping[str, str]) -> Sealing:
    if protocol.cipher == "gcm-per-message":
        return GcmPerMessage(secrets["key"])
    key = secret_bytes(secrets["key"], KEY_BYTES)
    return CbcFixedIv(key, secret_bytes(secrets.get("iv", ""), BLOCK_BYTES))


def _kind(name: str, preset: Protocol, more: Sequence[Field] = ()) -> AdapterKind:
    defaults = {field.name: field.default for field in more if field.default is not None}

    def build(config: Mapping[str, str], secrets: Mapping[str, str], wire: Wire) -> PullVendor:
        protocol = adapted(preset, config.get("settings", ""))
        values = {**defaults, **config}
        missing = protocol.wanted() - values.keys()
        if missing:
            raise ValueError(f"the requests need {', '.join(sorted(missing))}")
        if not all(secrets[name].isprintable() for name in ("username", "password")):
            raise ValueError("the user name and the password are one line each")
        sealing = _sealing(protocol, secrets)
        account = Account(secrets["username"], secrets["password"], sealing, values)
        return PullVendor(protocol, account, wire)

    return AdapterKind(
        name=name,
        build=build,
        config=(*_CONFIG, *more),
        secrets=_SECRETS,
        safe=_SAFE,
        # None is documented for any of them; these are ours.
        rates={"*": Rate(10, 1.0), "token": Rate(2, 10.0)},
    )


KINDS = (
    _kind("voucherkart", VOUCHERKART),
    _kind("vouchagram", VOUCHAGRAM),
    _kind("valuedesign", VALUEDESIGN, _BUYER),
)
