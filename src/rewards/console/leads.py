"""Where in the console a thing is shown that the API names by its kind and number; pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rewards.alerts.model import AlertKind
from rewards.console.places import PREFIX
from rewards.infra.pages.showing import with_query, words

# `{id}` is the subject's, `{client}` its client's; a kind that is not here has no page of its own.
_SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "order": "/orders/{id}",
        "client": "/clients/{id}",
        "wallet": "/money/wallets/{id}",
        "credential": "/clients/{client}/credentials",
        "login": "/clients/{client}/logins",
        "webhook": "/clients/{client}/webhooks/{id}",
        "product": "/products/{id}",
        "batch": "/inventory/batches/{id}",
        "vendor": "/vendors/{id}",
        "vendor_order": "/vendors/unknown",
        "drift": "/money/drifts",
        "approval": "/approvals?state=ANY",
        "alert": "/alerts?state=ANY",
        "notice": "/mails/{id}",
        "staff": "/settings/staff/{id}",
        "job": "/health",
        "audit": "/audit",
    }
)
_NUMBERED = re.compile(r"(vendor|product|endpoint|credential) ([0-9]{1,16})\b", re.ASCII)
# What an alert is about where its subject names no thing with a page.
_ABOUT: Mapping[AlertKind, str] = MappingProxyType(
    {
        AlertKind.DRIFT_FOUND: "/money/drifts?state=OPEN",
        AlertKind.JOBS_LATE: "/health",
        AlertKind.WORKER_SILENT: "/health",
        AlertKind.KEY_NEAR_END: "/audit?subject_kind=credential",
        AlertKind.SEALING_BEHIND: "/health",
    }
)


def subject_path(kind: str, number: int, client_id: int | None) -> str:
    """The page of what an entry of the trail is about; nothing where there is none."""
    pattern = _SUBJECTS.get(kind, "")
    if not pattern or ("{client}" in pattern and client_id is None):
        return ""
    return PREFIX + pattern.format(id=number, client=client_id)


def alert_lead(alert: Mapping[str, Any]) -> tuple[str, str]:
    """What an alert is about, as people call it, and the page where it is looked after."""
    kind, subject, facts = alert["kind"], alert["subject"], alert["facts"]
    if kind == AlertKind.ORDERS_STUCK:
        return words(subject), with_query(f"{PREFIX}/waiting", sub_status=subject)
    found = _NUMBERED.match(subject)
    if found is not None and kind != AlertKind.DRIFT_FOUND:
        named, number = found[1], int(found[2])
        if named == "vendor":
            return f"{facts.get('vendor', '')} ({subject})".strip(), f"{PREFIX}/vendors/{number}"
        if named == "product":
            path = with_query(f"{PREFIX}/inventory", product_id=number)
            return _capital(subject), path
        client_id = facts.get("client_id")
        if named == "credential":
            return _capital(subject), subject_path(named, number, client_id)
        text = f"{_capital(subject)} of client {client_id}"
        return text, subject_path("webhook", number, client_id)
    path = _ABOUT.get(kind, "")
    return _capital(subject), PREFIX + path if path else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
