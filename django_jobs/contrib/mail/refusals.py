"""Decide which answers of a mail server are final, and word them without the addresses of recipients.

RFC 5321, 4.2.1: 4yz is a transient, 5yz a permanent negative answer. An answer to the connection or the login is about
the settings and not about the mail, so it is retried whatever its number: a wrong password must not kill every mail.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterable
from contextlib import suppress
from email.utils import parseaddr

from ...exceptions import JobsError

RECIPIENT = "<recipient>"
_ABOUT_LOGIN = frozenset({530, 534, 535, 538})
"""RFC 4954, section 6."""
_TOO_MANY_RECIPIENTS = 552
"""RFC 5321, 4.5.3.1.10: in answer to RCPT a client treats it as temporary."""


class MailRefusedError(JobsError):
    """A mail server did not take a mail now; the job is retried. The text has the answer, without recipients."""


def is_final(error: Exception) -> bool:
    """Tell whether the server said that it will never take this mail."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            return all(_is_permanent(code) and code != _TOO_MANY_RECIPIENTS for code in codes)
        case smtplib.SMTPSenderRefused() | smtplib.SMTPDataError():
            return _is_permanent(error.smtp_code)
        case _:
            return False


def _is_permanent(code: int) -> bool:
    return 500 <= code <= 599 and code not in _ABOUT_LOGIN


def describe_refusal(error: Exception, recipients: Iterable[str]) -> str:
    """Return the text of an error by which equal ones are grouped: its kind and the server's answer."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            answers = dict.fromkeys(_answer(code, text) for code, text in error.recipients.values())
            said = "; ".join(answers)
        case smtplib.SMTPResponseException():
            said = _answer(error.smtp_code, error.smtp_error)
        case _:
            said = str(error)
    return f"{type(error).__name__}: {hide_recipients(said, recipients)}"


def _answer(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def hide_recipients(text: str, recipients: Iterable[str]) -> str:
    """Return a text without these addresses, which a server repeats in its answers, in upper or lower case."""
    spellings = {spelling for recipient in recipients for spelling in _spellings(recipient)}
    for address in sorted(spellings, key=len, reverse=True):
        text = re.sub(f"<{re.escape(address)}>|{re.escape(address)}", RECIPIENT, text, flags=re.IGNORECASE)
    return text


def _spellings(recipient: str) -> set[str]:
    """Return an address with and without its name, its domain as it is written and as it is sent."""
    bare = parseaddr(recipient)[1] or recipient
    found = {recipient, bare}
    local, at, domain = bare.rpartition("@")
    with suppress(UnicodeError):
        found.add(f"{local}{at}{domain.encode('idna').decode()}")
    return found - {""}
