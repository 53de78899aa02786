"""Everything that is kept secret, as data: where it lies, and who is shown it and when."""

from collections.abc import Mapping

SEALED = "AES-256-GCM"
DIGEST = "a digest of random bytes"
KEYED = "a keyed digest"
SLOW = "Argon2id"
OPEN = "not secret"
# Columns of text whose name sounds like a secret, and all of bytes. Whoever adds one says here how
# it is kept; of one that is OPEN that it needs not be.
COLUMNS: Mapping[str, str] = {
    "audit_chain.digest": OPEN,
    "audit_sealing.digest": OPEN,
    "audit_seals.digest": OPEN,
    "audit_seals.signature": OPEN,
    "claim_links.digest": DIGEST,
    "claim_links.sealed": SEALED,
    "client_logins.password_hash": SLOW,
    "credentials.secret_digest": DIGEST,
    "credentials.signing_secret_sealed": SEALED,
    "data_keys.wrapped": SEALED,
    "idempotency_keys.fingerprint": KEYED,
    "notice_settings.logo": OPEN,
    "orders.claim_password_hash": SLOW,
    "pgqueuer.payload": OPEN,
    "portal_sessions.digest": DIGEST,
    "portal_sessions.tokens_sealed": SEALED,
    "refresh_tokens.digest": DIGEST,
    # A file of numbers and states: it holds no code.
    "report_chunks.content": OPEN,
    "staff_recovery_codes.digest": KEYED,
    "staff_second_factors.secret": SEALED,
    "staff_users.password_hash": SLOW,
    "units.fingerprint": KEYED,
    "units.sealed": SEALED,
    "vendors.sealed": SEALED,
    "webhook_endpoints.previous_secret": SEALED,
    "webhook_endpoints.secret": SEALED,
}
SOUNDS = "secret|sealed|password|digest|token|hash"
# What is shown whole, by whom it is asked and once: answers of these operations, and these fields.
SHOWN: Mapping[str, frozenset[str]] = {
    "login": frozenset({"access_token", "refresh_token"}),
    "refresh": frozenset({"access_token", "refresh_token"}),
    "staffLogin": frozenset({"access_token"}),
    "issueCredential": frozenset({"api_secret", "signing_secret"}),
    "rotateSigningSecret": frozenset({"signing_secret"}),
    "createWebhook": frozenset({"secret"}),
    "rotateWebhookSecret": frozenset({"secret"}),
    "createClientWebhook": frozenset({"secret"}),
    "rotateClientWebhookSecret": frozenset({"secret"}),
    "issueOwnCredential": frozenset({"api_secret", "signing_secret"}),
    "rotateOwnSigningSecret": frozenset({"signing_secret"}),
    "beginSecondFactor": frozenset({"secret", "uri"}),
    "confirmSecondFactor": frozenset({"recovery_codes"}),
    # To staff who may, one at a time and with a reason.
    "revealCode": frozenset({"card_number", "pin_code", "code", "pin", "claim_url"}),
    # To the client that bought them.
    "createOrder": frozenset({"card_number", "pin_code", "code", "pin", "claim_url"}),
    "getOrder": frozenset({"card_number", "pin_code", "code", "pin", "claim_url"}),
}
# Staff who are shown one have just proven who they are, but in these, and why.
UNPROVEN: Mapping[str, str] = {
    "staffLogin": "is the proof",
    "confirmSecondFactor": "takes a code of the secret that was handed out behind a proof",
}
# Fields that are called like a secret and say of a setting whether it is one.
FLAGS: Mapping[str, frozenset[str]] = {"getSettings": frozenset({"secret"})}
