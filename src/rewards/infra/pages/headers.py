"""The headers of every page: nothing from elsewhere, kept by nobody, framed by nobody."""

from collections.abc import Mapping
from types import MappingProxyType

_CLOSED = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def policy(**sources: str) -> str:
    """A Content-Security-Policy of what is named (`script_src="'self'"`), and of nothing else."""
    named = "".join(f" {name.replace('_', '-')} {what};" for name, what in sources.items())
    return f"default-src 'none';{named} {_CLOSED}"


def page_headers(content_policy: str, referrers: str) -> Mapping[str, str]:
    """For an answer that is a page.

    `referrers`: `no-referrer` where the address itself is a secret; with it a browser hides the
    origin of a form from us too, so that pages whose forms are checked by it say `same-origin`.
    """
    return MappingProxyType(
        {
            "Content-Security-Policy": content_policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": referrers,
            "X-Robots-Tag": "noindex, nofollow, noarchive",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }
    )


# Our own sheets, scripts, pictures and requests.
ROOM = page_headers(
    policy(script_src="'self'", style_src="'self'", img_src="'self'", connect_src="'self'"),
    "same-origin",
)
# The name of such a file changes with its content.
FOREVER = MappingProxyType(
    {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
