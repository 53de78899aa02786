"""A letter as a mail: HTML and plain text, in a brand's colours, with its picture inside."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from rewards.infra.csvtext import write_csv
from rewards.notices.catalogue import Words
from rewards.notices.letters import Letter
from rewards.notices.model import Logo

LOGO_ID = "logo"
ATTACHED = "vouchers.csv"
SUBJECT_CHARS_MAX = 200
DARK, LIGHT = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class Look:
    """Whose mail it is and how it looks. `accent`: `#rrggbb`."""

    brand: str
    accent: str
    logo_url: str | None = None
    picture: Logo | None = None

    @property
    def logo(self) -> str | None:
        """Where the picture is: in the mail itself, else elsewhere; None where there is none."""
        return f"cid:{LOGO_ID}" if self.picture else self.logo_url

    @property
    def on_accent(self) -> str:
        """The ink that reads better on the accent: 4.5 to 1 at least, whatever the colour."""
        return max((DARK, LIGHT), key=lambda ink: contrast(self.accent, ink))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("rewards.notices"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def html_of(letter: Letter, look: Look, words: Words) -> str:
    return _template("mail.html").render(letter=letter, look=look, words=words)


def text_of(letter: Letter, look: Look, words: Words) -> str:
    return _template("mail.txt").render(letter=letter, look=look, words=words)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a mail. `message_id` and `at` are the same at every attempt."""

    sender_name: str
    sender_address: str
    reply_to: str | None
    recipient: str
    message_id: str
    at: datetime


def render(letter: Letter, look: Look, words: Words, heading: Heading) -> bytes:
    """The mail as it goes over the wire: no line longer than 998, nothing but ASCII."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(_line(heading.sender_name), addr_spec=heading.sender_address)
    mail["To"] = Address(addr_spec=heading.recipient)
    if heading.reply_to:
        mail["Reply-To"] = Address(addr_spec=heading.reply_to)
    mail["Subject"] = _line(letter.subject)[:SUBJECT_CHARS_MAX]
    mail["Date"] = format_datetime(heading.at)
    mail["Message-ID"] = heading.message_id
    # No out-of-office answers, please (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text_of(letter, look, words), cte="quoted-printable")
    mail.add_alternative(html_of(letter, look, words), subtype="html", cte="quoted-printable")
    if look.picture is not None:
        _add_picture(mail, look.picture)
    if letter.rows:
        mail.add_attachment(
            write_csv(letter.rows[0], letter.rows[1:]), "text", "csv", filename=ATTACHED
        )
    # Last: what begins with Content- would go down into the first part.
    mail["Content-Language"] = words.language
    return mail.as_bytes()


def _add_picture(mail: EmailMessage, picture: Logo) -> None:
    """Inside, beside the HTML that shows it: nothing is asked of anybody when it is read."""
    html = mail.get_body(("html",))
    assert isinstance(html, EmailMessage)
    main, _, sub = picture.type.partition("/")
    html.add_related(picture.data, main, sub, cid=f"<{LOGO_ID}>", disposition="inline")


def _line(text: str) -> str:
    """One line: a header has no other."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
