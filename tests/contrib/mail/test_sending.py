"""A mail of the project is a job in its transaction, and arrives at a real server as it was made."""

from __future__ import annotations

from email.mime.image import MIMEImage

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail, send_mass_mail
from django.db import transaction
from django.utils.translation import gettext_lazy

from django_jobs.builtin_jobs import is_builtin, replay_matching
from django_jobs.contrib.mail.jobs import SEND_MAIL
from django_jobs.exceptions import PayloadTooLargeError, SerializationError
from django_jobs.models import Job
from django_jobs.testing import drain
from tests.contrib.mail.conftest import HAS_MAILERS, PATH
from tests.contrib.mail.smtp_server import ScriptedServer

pytestmark = pytest.mark.django_db
PIXEL = bytes.fromhex("89504e470d0a1a0a") + bytes(range(256))


def test_a_mail_is_a_job_until_a_worker_sends_it(server: ScriptedServer) -> None:
    sent = send_mail("Hello", "Dear Ada", "shop@example.org", ["ada@example.org"], html_message="<p>Dear Ada</p>")

    job = Job.objects.get()
    assert (sent, job.name, job.queue_name, job.max_attempts, server.received) == (1, SEND_MAIL, "mails", 10, [])
    drain()
    (received,) = server.received
    assert (received.sender, received.recipients) == ("shop@example.org", ["ada@example.org"])
    text = received.mail.get_body(("plain",))
    html = received.mail.get_body(("html",))
    assert received.mail["Subject"] == "Hello"
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), html.get_content().strip()) == ("Dear Ada", "<p>Dear Ada</p>")


def test_a_mail_arrives_with_everything_it_was_given(server: ScriptedServer) -> None:
    made = EmailMultiAlternatives(
        gettext_lazy("Grüße"),
        "Text mit Ümlaut",
        "The Shop <shop@example.org>",
        to=["Ada <ada@example.org>"],
        cc=["cc@example.org"],
        bcc=["bcc@example.org"],
        reply_to=["desk@example.org"],
        headers={"X-Campaign": "7", "List-Unsubscribe": "<https://shop.example/out>"},
    )
    made.attach_alternative("<b>Ümlaut</b>", "text/html")
    made.attach("orders.csv", "id;name\n7;Käse\n", "text/csv")
    made.attach("raw.bin", b"\x00\xff" + PIXEL, "application/octet-stream")
    inner = EmailMessage("Inner", "quoted", "a@example.org", ["b@example.org"])
    made.attach("inner.eml", inner.message().as_bytes(), "message/rfc822")
    made.send()

    drain()

    (received,) = server.received
    assert sorted(received.recipients) == ["ada@example.org", "bcc@example.org", "cc@example.org"]
    headers = ("Subject", "From", "To", "Cc", "Bcc", "Reply-To", "X-Campaign", "List-Unsubscribe")
    assert [received.mail[name] for name in headers] == [
        "Grüße",
        "The Shop <shop@example.org>",
        "Ada <ada@example.org>",
        "cc@example.org",
        None,
        "desk@example.org",
        "7",
        "<https://shop.example/out>",
    ]
    csv, raw, eml = received.mail.iter_attachments()
    assert csv.get_content().replace("\r\n", "\n") == "id;name\n7;Käse\n"
    assert (raw.get_filename(), raw.get_content()) == ("raw.bin", b"\x00\xff" + PIXEL)
    assert eml.get_content()["Subject"] == "Inner"


def test_a_finished_part_arrives_as_it_is(server: ScriptedServer) -> None:
    made = EmailMessage("Logo", "See below", "shop@example.org", ["ada@example.org"])
    if django.VERSION >= (6, 0):
        from email.message import MIMEPart

        part = MIMEPart()
        part.set_content(PIXEL, maintype="image", subtype="png", disposition="inline", cid="<logo>")
        made.attach(part)
    else:
        image = MIMEImage(PIXEL, "png")
        image.add_header("Content-ID", "<logo>")
        made.attach(image)
    made.send()

    drain()

    parts = [part for part in server.received[0].mail.walk() if part.get_content_type() == "image/png"]
    assert [(part["Content-ID"], part.get_content()) for part in parts] == [("<logo>", PIXEL)]


def test_what_a_backend_reads_from_a_mail_is_kept(server: ScriptedServer) -> None:
    made = EmailMessage("Hello", "<p>Ada</p>", "shop@example.org", ["ada@example.org"])
    made.content_subtype = "html"
    made.tags = ["welcome"]  # type: ignore[attr-defined]  # as Anymail's backends read it
    made.send()

    assert Job.objects.get().arguments["attributes"]["tags"] == ["welcome"]
    drain()
    assert server.received[0].mail.get_content_type() == "text/html"


class HtmlMail(EmailMessage):
    """As projects do that send HTML only."""

    content_subtype = "html"
    encoding = "iso-8859-1"


def test_what_a_class_sets_for_its_mails_is_kept(server: ScriptedServer) -> None:
    HtmlMail("Hello", "<p>Zoë</p>", "shop@example.org", ["ada@example.org"]).send()

    drain()

    received = server.received[0].mail
    assert (received.get_content_type(), received.get_content_charset()) == ("text/html", "iso-8859-1")
    assert received.get_content().strip() == "<p>Zoë</p>"


def test_mails_of_a_transaction_that_is_rolled_back_are_never_sent(server: ScriptedServer) -> None:
    with transaction.atomic():
        send_mail("Hello", "Ada", None, ["ada@example.org"])
        transaction.set_rollback(True)

    drain()

    assert (Job.objects.count(), server.received) == (0, [])


def test_many_mails_are_as_many_jobs(server: ScriptedServer) -> None:
    mails = [("Hello", f"Number {number}", None, [f"n{number}@example.org"]) for number in range(3)]

    assert send_mass_mail([*mails, ("Nobody", "reads this", None, [])]) == 3

    drain()
    assert sorted(received.recipients[0] for received in server.received) == [
        f"n{number}@example.org" for number in range(3)
    ]


def test_a_header_of_two_lines_is_refused_where_the_mail_is_made(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        send_mail("Hello\nBcc: all@example.org", "Ada", None, ["ada@example.org"])

    assert not Job.objects.exists()


def test_a_class_that_writes_its_own_mails_is_refused(server: ScriptedServer) -> None:
    class SignedMail(EmailMessage):
        def message(self, **options: object) -> object:
            return super().message(**options)  # type: ignore[arg-type]

    with pytest.raises(SerializationError, match=r"SignedMail has a message\(\) of its own"):
        SignedMail("Hello", "Ada", None, ["ada@example.org"]).send()


def test_attachments_above_the_limit_are_named_with_the_limit(server: ScriptedServer) -> None:
    made = EmailMessage("Report", "Attached", None, ["ada@example.org"])
    made.attach("report.pdf", b"x" * 1_000_000, "application/pdf")

    with pytest.raises(PayloadTooLargeError, match=r"MAX_PAYLOAD_BYTES'\] allows 1000000.*report.pdf \(1000000\)"):
        made.send()


def test_fail_silently_logs_what_is_lost(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    made = EmailMessage("Report", "Attached", None, ["ada@example.org"])
    made.attach("report.pdf", b"x" * 1_000_000, "application/pdf")
    backend = mail.mailers["default"] if HAS_MAILERS else mail.get_connection(PATH)  # type: ignore[attr-defined]
    backend.fail_silently = True

    with transaction.atomic():
        assert backend.send_messages([made]) == 0

    assert "mails are lost (1)" in caplog.text
    assert not Job.objects.exists()


def test_fail_silently_logs_no_recipient(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    backend = mail.mailers["default"] if HAS_MAILERS else mail.get_connection(PATH)  # type: ignore[attr-defined]
    backend.fail_silently = True

    assert backend.send_messages([EmailMessage("Hello", "Ada", None, ["ada@example.org\nBcc: all@example.org"])]) == 0

    assert "mails are lost (1)" in caplog.text
    assert "@" not in caplog.text


def test_staff_act_on_mails_as_on_jobs_of_the_project(server: ScriptedServer) -> None:
    send_mail("Hello", "Ada", None, ["ada@example.org"])
    assert not is_builtin(SEND_MAIL)

    replay_matching.enqueue({"name": SEND_MAIL})
    drain()

    first, copy = server.received
    assert first.mail["Message-ID"] == copy.mail["Message-ID"]
