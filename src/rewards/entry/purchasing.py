"""Wires what is bought from vendors to whom it is bought for."""

from dataclasses import dataclass
from datetime import timedelta

from rewards.catalog.catalog import Catalog
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.orders.fulfilment import Fulfilment
from rewards.orders.recharges import RechargeBuyer
from rewards.orders.vendor_intake import OrderBuyer
from rewards.orders.vendor_limit import ApprovalLimit
from rewards.pricing.service import Prices
from rewards.restocks.buying import StockBuyer
from rewards.restocks.service import Restocks
from rewards.vendors.buying import AdapterSource, Buying
from rewards.vendors.model import Purpose
from rewards.vendors.purchases import Buyers

# A purchase is free again before the job that called for it is.
LEASE_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Purchasing:
    """Who approves, who calls, and who takes in what comes."""

    fulfilment: Fulfilment
    restocks: Restocks
    buyers: Buyers
    buying: Buying


def purchasing(
    db: Database,
    catalog: Catalog,
    vault: Vault,
    accounts: AdapterSource,
    prices: Prices,
    clock: Clock,
    settings: Settings,
) -> Purchasing:
    """The same for every process: an API approves and judges, a worker calls and settles."""
    window = timedelta(hours=settings.reprocess_window_hours)
    limit = ApprovalLimit(
        settings.vendor_approval_limit_minor, settings.vendor_approval_currency, prices
    )
    buyers: Buyers = {
        Purpose.ORDER: OrderBuyer(catalog, vault, window),
        Purpose.RECHARGE: RechargeBuyer(catalog, vault),
        Purpose.STOCK: StockBuyer(catalog, vault, window),
    }
    return Purchasing(
        Fulfilment(db, catalog, accounts, clock, window, limit),
        Restocks(db, catalog, accounts, clock, window, limit),
        buyers,
        Buying(db, accounts, clock, buyers, settings.job_lease_s * LEASE_SHARE),
    )
