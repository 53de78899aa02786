"""Texts that a browser would run where somebody forgot to escape, and what to look for then."""

from html.parser import HTMLParser

# What browsers have run where somebody forgot to escape, in every place a text may stand.
SEEDS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg/onload=hit()>",
    "<svg><animate onbegin=hit() attributeName=x>",
    "<body onload=hit()>",
    "<iframe srcdoc='<script>parent.hit()</script>'>",
    "<iframe src=javascript:hit()>",
    "<a href=javascript:hit()>x</a>",
    "<details open ontoggle=hit()>",
    "<math><mtext></table><img src=x onerror=hit()>",
    "<input autofocus onfocus=hit()>",
    "<form action=javascript:hit()><button>x",
    "<video><source onerror=hit()></video>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:hit()'>",
    "<style>@import '//evil.example/x'</style>",
    "<object data=javascript:hit()>",
    "<div hx-get=/console hx-trigger=load hx-on::load=hit()>",
    "<button popovertarget=me onclick=hit()>",
    "{{7*7}}{% raw %}",
    "${7*7}#{7*7}",
    "javascript:hit()",
    "=cmd|'/c calc'!A1",
    "&lt;script&gt;hit()&lt;/script&gt;",
)
BREAKS = ("", '"', "'", '">', "'>", "-->", "</title>", "</textarea>", "</option></select>", "]]>")
WRAPS = ("{}", "x {} y")
PAYLOADS = [b + wrap.format(seed) for seed in SEEDS for b in BREAKS for wrap in WRAPS][:500]
OUR_TAGS = frozenset(
    [
        *(
            "a",
            "b",
            "body",
            "br",
            "button",
            "caption",
            "code",
            "datalist",
            "dd",
            "details",
            "div",
            "dl",
        ),
        *("dt",),
        *("fieldset", "form", "h1", "h2", "h3", "head", "header", "html", "input", "kbd", "label"),
        *(
            "legend",
            "li",
            "link",
            "main",
            "meta",
            "nav",
            "noscript",
            "ol",
            "optgroup",
            "option",
            "output",
        ),
        *("p", "path", "pre", "progress", "script", "section", "select", "small", "span", "strong"),
        *("summary", "svg", "table", "tbody", "td", "textarea", "th", "thead", "time", "title"),
        *("tr", "ul", "img", "del", "ins"),
    ]
)


class Looks(HTMLParser):
    """Collects what of a page could run, or lead elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in OUR_TAGS:
            self.bad.append(tag)
        for name, value in attrs:
            text = (value or "").strip().lower()
            if name.startswith(("on", "hx-on")) or name in ("style", "srcdoc", "formaction"):
                self.bad.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not text.startswith(("/console", "#")):
                self.bad.append(f"{tag} {name}={value}")
        if tag == "script" and "src" not in named:
            self.bad.append("script without src")
        if tag == "img" and not (named.get("src") or "").startswith("/console/static/"):
            self.bad.append("img")


def bad_of(text: str) -> list[str]:
    looks = Looks()
    looks.feed(text)
    return looks.bad
