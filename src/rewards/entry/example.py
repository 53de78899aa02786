"""Examples for the OpenAPI documents: refusals as the code words them, bodies as a sandbox gave."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from rewards.alerts.model import AlertAcknowledged, AlertCleared, AlertNotFound
from rewards.catalog.model import (
    CategoryNotFound,
    CategoryTaken,
    DenominationNotAvailable,
    ProductNotFound,
    QuantityTooLarge,
    SubcategoryNotFound,
)
from rewards.clients.model import ClientNotFound, CredentialNotFound
from rewards.clients.model_members import (
    LastOwner,
    LoginNotFound,
    MemberNotFound,
    MembersFull,
    UsernameTaken,
    WrongPassword,
)
from rewards.core.errors import (
    Conflict,
    Forbidden,
    InvalidBody,
    InvalidField,
    NotFound,
    Refusal,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from rewards.infra.idempotency import IdempotencyKeyInProgress, IdempotencyKeyReused
from rewards.infra.upload import BodyTooLarge
from rewards.inventory.model import BatchClosed, BatchNotFound, UnitState
from rewards.inventory.single import UnitClosed, UnitNotFound, UnitSold
from rewards.members.http_credentials import CredentialsFull
from rewards.notices.model import NoticeNotFound, NoticeStillQueued
from rewards.orders.fulfilment import OrderNotApprovable
from rewards.orders.model import (
    REFUNDED,
    DeliverByPassed,
    DuplicateReference,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotRetryable,
    RefundNotOwed,
    State,
    Status,
    SubStatus,
    WalletNotActive,
)
from rewards.orders.model_links import NoLinks
from rewards.pricing.model import Charge, FxRateStale, NoFxRate
from rewards.pricing.model_rates import (
    FxRateJump,
    HeldRateDecided,
    HeldRateNotFound,
    HeldState,
)
from rewards.reconciliation.model import DayNotOver, DriftExplained, DriftNotFound
from rewards.reports.model import (
    ReportEnded,
    ReportNotFound,
    ReportNotReady,
    ReportState,
    TooManyReports,
)
from rewards.restocks.model import StockOrderNotFound, StockOrderOpen, StockReferenceReused
from rewards.staff.http_jobs import DeadJobNotFound
from rewards.staff.model import LastAdmin, StaffNotFound
from rewards.staff.model import UsernameTaken as StaffNameTaken
from rewards.staff.model_approvals import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    ApprovalPending,
    ApprovalState,
    NotTheAsker,
    SameHands,
    SecondPersonNeeded,
)
from rewards.staff.model_sessions import (
    CodeRefused,
    NoPendingFactor,
    OwnSecondFactor,
    ProofNeeded,
    ProofRefused,
    SecondFactorNeeded,
    SecondFactorOff,
    SecondFactorOn,
    SecondFactorRequired,
    SessionNotFound,
)
from rewards.vendors.account import VendorNameTaken
from rewards.vendors.model import PurchaseUnderWay, VendorNotAvailable, VendorNotFound
from rewards.vendors.purchases import NoCase, PurchaseBeingRead, PurchaseNotFound
from rewards.wallets.model import (
    CreditInUse,
    InsufficientFunds,
    LedgerReferenceReused,
    TransactionNotFound,
    WalletClosed,
    WalletFrozen,
    WalletFull,
    WalletNotEmpty,
    WalletNotFound,
    WalletStatusRefused,
)
from rewards.webhooks.model import DeliveryNotFound, EventForgotten
from rewards.webhooks.model_endpoints import (
    RotationUnderWay,
    SigningCredentialRevoked,
    TooManyWebhooks,
    WebhookDisabled,
    WebhookNotFound,
)
from rewards.webhooks.model_feed import EventsAhead, EventsForgotten

STALE = FxRateStale(
    Charge(
        *(2500, 207_809, 4_156, 203_653, 8_312, 0, 211_965, 0, 211_965),
        discount_percent=Decimal(2),
        forex_rate=Decimal("83.1234"),
        source_currency="USD",
        destination_currency="INR",
        forex_rate_source="Reserve Bank",
        forex_rate_at=datetime(2026, 11, 16, 11, tzinfo=UTC),
    )
)
DELIVERED = State(Status.DELIVERED, SubStatus.COMPLETED)
REQUEST_ID = "req_5f2c8e1a9b7d4c3e6f0a1b2c"
BODIES_FILE = "examples.json"
# Whose id the last one in a path is.
MISSING: dict[str, type[Refusal]] = {
    "{product_id}": ProductNotFound,
    "{order_id}": OrderNotFound,
    "{wallet_id}": WalletNotFound,
    "{transaction_id}": TransactionNotFound,
    "{category_id}": CategoryNotFound,
    "{subcategory_id}": SubcategoryNotFound,
    "{client_id}": ClientNotFound,
    "{credential_id}": CredentialNotFound,
    "{login_id}": LoginNotFound,
    "{member_id}": MemberNotFound,
    "{job_id}": DeadJobNotFound,
    "{batch_id}": BatchNotFound,
    "{unit_id}": UnitNotFound,
    "{staff_id}": StaffNotFound,
    "{approval_id}": ApprovalNotFound,
    "{held_id}": HeldRateNotFound,
    "{vendor_id}": VendorNotFound,
    "{drift_id}": DriftNotFound,
    "{vendor_order_id}": PurchaseNotFound,
    "{stock_order_id}": StockOrderNotFound,
    "{webhook_id}": WebhookNotFound,
    "{notice_id}": NoticeNotFound,
    "{alert_id}": AlertNotFound,
    "{delivery_id}": DeliveryNotFound,
    "{report_id}": ReportNotFound,
    "{session_id}": SessionNotFound,
}

# What a body names, where no id of the path is meant.
NAMED: dict[str, type[Refusal]] = {
    "orderStock": ProductNotFound,
    "createWebhook": CredentialNotFound,
    "putOwnNoticeSettings": WalletNotFound,
    "makeStatement": ClientNotFound,
    "askForReport": ClientNotFound,
}
# What asks for the password again.
PROVED = frozenset(
    {
        *("changeMyPassword", "addMember", "changeMember", "issueOwnCredential"),
        *("revokeOwnCredential", "rotateOwnSigningSecret"),
    }
)


def error_examples(path: str, operation_id: str, status: int) -> dict[str, Any]:
    """What this operation may refuse with this status, by code."""
    examples: dict[str, Any] = {}
    for refusal in _refusals(path, operation_id, status):
        name = refusal.code
        if name in examples:
            name = f"{name}_{len(examples) + 1}"
        examples[name] = {"value": _body(refusal)}
    return examples or {"INTERNAL": {"value": _fault(operation_id)}}


def _body(refusal: Refusal) -> dict[str, Any]:
    body = {
        "error": refusal.error,
        "message": refusal.message,
        "code": refusal.code,
        "request_id": REQUEST_ID,
    }
    return body | ({"details": dict(refusal.details)} if refusal.details else {})


def _fault(operation_id: str) -> dict[str, Any]:
    creating = operation_id == "createOrder"
    return {
        "error": "InternalServerError",
        "message": "Failed to create order" if creating else "Internal server error",
        "code": "INTERNAL",
        "request_id": REQUEST_ID,
    }


def _refusals(path: str, operation_id: str, status: int) -> Sequence[Refusal]:
    if operation_id == "createOrder" and status in ORDER:
        return ORDER[status]
    if operation_id == "quoteCharges" and status in QUOTE:
        return QUOTE[status]
    if status == 404 and operation_id in NAMED:
        return (NAMED[operation_id](),)
    if status == 404:
        ids = [part for part in path.split("/") if part in MISSING]
        return [MISSING[part]() for part in reversed(ids)] or [NotFound()]
    if status == 403 and operation_id in FORBIDDEN:
        return FORBIDDEN[operation_id]
    if status == 403 and operation_id in PROVED:
        return (*GENERAL[403], WrongPassword())
    if status == 401 and operation_id == "staffLogin":
        return (Unauthorized(), SecondFactorRequired(), CodeRefused())
    if status == 409:
        return CONFLICTS.get(operation_id, GENERAL[409])
    return GENERAL.get(status, ())


# What hands out a secret or decides who comes in.
PROVEN = {
    "issueCredential",
    "revokeCredential",
    "rotateSigningSecret",
    "addLogin",
    "changeLogin",
} | {
    *("createVendor", "changeVendor", "createStaff", "changeStaff", "endStaffSessions"),
    "endStaffSession",
    *("resetSecondFactor", "createClientWebhook", "rotateClientWebhookSecret", "revealCode"),
}
FORBIDDEN: dict[str, Sequence[Refusal]] = {
    "approve": (Forbidden(), ProofNeeded(), SecondPersonNeeded(), SameHands()),
    "reject": (Forbidden(), SecondPersonNeeded()),
    **dict.fromkeys(PROVEN, (Forbidden(), ProofNeeded(), SecondFactorNeeded())),
    **dict.fromkeys(("changeOwnPassword", "removeSecondFactor"), (ProofRefused(),)),
    **dict.fromkeys(("proveMyself", "confirmSecondFactor"), (ProofRefused(),)),
    "beginSecondFactor": (ProofNeeded(),),
    **dict.fromkeys(("listOwnSessions", "endOwnSession"), (SecondFactorNeeded(),)),
    "endOtherSessions": (SecondFactorNeeded(),),
    "withdraw": (Forbidden(), NotTheAsker()),
}
CONFLICTS: dict[str, Sequence[Refusal]] = {
    "proveMyself": (SecondFactorOff(),),
    "beginSecondFactor": (SecondFactorOn(),),
    "confirmSecondFactor": (NoPendingFactor(),),
    "removeSecondFactor": (SecondFactorOff(),),
    "resetSecondFactor": (SecondFactorOff(), OwnSecondFactor()),
    "listEvents": (EventsAhead(1_041),),
    "addLogin": (UsernameTaken(),),
    "addMember": (UsernameTaken(), MembersFull()),
    "changeMember": (LastOwner(),),
    "issueOwnCredential": (CredentialsFull(),),
    "getStatement": (DayNotOver(),),
    "createStaff": (StaffNameTaken(),),
    "changeStaff": (LastAdmin(),),
    "setFxRate": (FxRateJump(Decimal("83.1234"), Decimal(10)),),
    "confirmHeldFxRate": (HeldRateDecided(HeldState.SUPERSEDED),),
    "dismissHeldFxRate": (HeldRateDecided(HeldState.CONFIRMED),),
    **dict.fromkeys(("createCategory", "createSubcategory"), (CategoryTaken(),)),
    "createVendor": (VendorNameTaken(),),
    "changeVendor": (VendorNameTaken(),),
    "openWallet": (LedgerReferenceReused(),),
    "topUpWallet": (LedgerReferenceReused(), WalletFrozen(), ApprovalPending()),
    "adjustWallet": (LedgerReferenceReused(), WalletFrozen(), ApprovalPending()),
    "changeWallet": (
        WalletNotEmpty(),
        WalletStatusRefused(),
        CreditInUse(),
        WalletFrozen(),
        ApprovalPending(),
    ),
    "retryOrder": (OrderNotRetryable(DELIVERED), DeliverByPassed(), PurchaseUnderWay()),
    "cancelOrder": (OrderNotCancellable(REFUNDED), PurchaseUnderWay(), ApprovalPending()),
    "resendLinks": (NoLinks(),),
    "reissueLinks": (NoLinks(),),
    "retryRefund": (RefundNotOwed(REFUNDED), WalletFrozen(), WalletClosed(), WalletFull()),
    "approveVendorFulfilment": (
        OrderNotApprovable(DELIVERED),
        DeliverByPassed(),
        PurchaseUnderWay(),
        VendorNotAvailable(),
        ApprovalPending(),
    ),
    "settleUnknownOutcome": (NoCase(), PurchaseBeingRead()),
    "explainDrift": (DriftExplained(),),
    "acknowledgeAlert": (AlertAcknowledged(), AlertCleared()),
    "resendNotice": (NoticeStillQueued(),),
    "orderStock": (VendorNotAvailable(), StockOrderOpen(3), StockReferenceReused(3)),
    "recallBatch": (ApprovalPending(), BatchClosed()),
    "blockBatch": (BatchClosed(),),
    "unblockBatch": (ApprovalPending(), BatchClosed()),
    "blockUnit": (UnitSold(details={"state": UnitState.DELIVERED}), UnitClosed()),
    "unblockUnit": (UnitClosed(), UnitSold(details={"state": UnitState.DELIVERED})),
    "revokeUnit": (UnitSold(details={"state": UnitState.DELIVERED}),),
    **{f"create{whose}Webhook": (TooManyWebhooks(),) for whose in ("", "Client")},
    **{f"change{whose}Webhook": (SigningCredentialRevoked(),) for whose in ("", "Client")},
    **{f"test{whose}Webhook": (WebhookDisabled(),) for whose in ("", "Client")},
    **{f"recover{whose}Webhook": (WebhookDisabled(),) for whose in ("", "Client")},
    **{f"rotate{whose}WebhookSecret": (RotationUnderWay(),) for whose in ("", "Client")},
    **{
        f"redeliver{whose}WebhookDelivery": (WebhookDisabled(), EventForgotten())
        for whose in ("", "Client")
    },
    "approve": (ApprovalDecided(ApprovalState.REJECTED), ApprovalExpired()),
    "reject": (ApprovalDecided(ApprovalState.APPROVED), ApprovalExpired()),
    "withdraw": (ApprovalDecided(ApprovalState.APPROVED), ApprovalExpired()),
    "makeStatement": (DayNotOver(),),
    "askForReport": (TooManyReports(),),
    "cancelReport": (ReportEnded(details={"state": ReportState.DONE}),),
    "downloadReport": (ReportNotReady(details={"state": ReportState.RUNNING}),),
}
ORDER: dict[int, Sequence[Refusal]] = {
    400: (
        InvalidBody(),
        InvalidField("Quantity", "min"),
        DenominationNotAvailable(),
        QuantityTooLarge(1000),
        DuplicateReference(1234),
        STALE,
        InsufficientFunds(),
        WalletNotActive(),
    ),
    404: (ProductNotFound(), WalletNotFound()),
    409: (IdempotencyKeyInProgress(),),
}
QUOTE: dict[int, Sequence[Refusal]] = {
    400: (
        InvalidBody(),
        InvalidField("Quantity", "min"),
        DenominationNotAvailable(),
        QuantityTooLarge(1000),
        NoFxRate("USD", "CHF"),
        STALE,
    ),
}
GENERAL: dict[int, Sequence[Refusal]] = {
    400: (InvalidBody(), InvalidField("Quantity", "min")),
    401: (Unauthorized(),),
    403: (Forbidden(),),
    409: (Conflict("It is not in a state that allows this"),),
    410: (EventsForgotten(718),),
    413: (BodyTooLarge(),),
    422: (IdempotencyKeyReused(),),
    429: (TooManyRequests(details={"limit": 60, "per_s": 60}),),
    503: (Unavailable(),),
}


@cache
def bodies() -> dict[str, dict[str, Any]]:
    """`request` and `response` by operation id; amounts keep their digits."""
    text = (resources.files("rewards.entry") / BODIES_FILE).read_text("utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text, parse_float=Decimal)
    return found
