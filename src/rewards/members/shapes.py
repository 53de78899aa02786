"""What a client's people, and staff, are shown of its keys."""

from datetime import datetime

import msgspec

from rewards.clients.model import Credential, IssuedCredential


class IssuedOut(msgspec.Struct):
    """The only answer that ever shows the two secrets."""

    id: int
    client_id: int
    name: str | None
    api_key: str
    api_secret: str
    signing_secret: str
    scopes: list[str]
    signing_required: bool

    @classmethod
    def of(cls, issued: IssuedCredential) -> "IssuedOut":
        return cls(
            issued.id,
            issued.client_id,
            issued.name,
            issued.api_key,
            issued.api_secret,
            issued.signing_secret,
            sorted(issued.scopes),
            issued.signing_required,
        )

    def __repr__(self) -> str:
        return f"IssuedOut({self.id})"


class CredentialOut(msgspec.Struct):
    """`last_used_at` is told to the hour; null for a key that was never used."""

    id: int
    client_id: int
    name: str | None
    api_key: str
    scopes: list[str]
    signing_required: bool
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, credential: Credential) -> "CredentialOut":
        return cls(
            credential.id,
            credential.client_id,
            credential.name,
            credential.api_key,
            sorted(credential.scopes),
            credential.signing_required,
            credential.created_at,
            credential.last_used_at,
            credential.revoked_at,
        )


class RotatedOut(msgspec.Struct):
    """The only answer that ever shows the new secret."""

    id: int
    client_id: int
    signing_secret: str

    def __repr__(self) -> str:
        return f"RotatedOut({self.id})"
