"""How long each thing is kept, gathered from the slices that forget it, for the console."""

from rewards.entry.equipment import JOB_LOG_KEPT, SESSIONS_KEPT
from rewards.infra import idempotency
from rewards.notices import tasks as notices
from rewards.pricing.one_person import WINDOW
from rewards.reports import model as reports
from rewards.staff.model_approvals import LIFETIME
from rewards.staff.model_settings import Kept
from rewards.vendors import tasks as vendors
from rewards.webhooks import tasks as webhooks

KEPT = (
    Kept("events", webhooks.EVENTS_KEPT, "Events, their deliveries and attempts"),
    Kept("idempotency_keys", idempotency.KEPT_FOR, "First answers to an Idempotency-Key"),
    Kept("vendor_exchanges", vendors.EXCHANGES_KEPT, "What was said to vendors, masked"),
    Kept("notices", notices.KEPT, "Mails and how they went"),
    Kept("client_sessions", SESSIONS_KEPT, "Sessions of clients that are long over"),
    Kept("job_log", JOB_LOG_KEPT, "What workers did"),
    Kept("reports", reports.LIFETIME, "Files that staff had made"),
    Kept("approvals", LIFETIME, "A request for a second person waits so long"),
    Kept("lone_acts", WINDOW, "What one person did alone counts against a limit so long"),
    Kept("flagged_purchases", WINDOW, "So does what products' flags had bought for a client"),
)
