"""What becomes of a mail when the server does not take it: dead at once, retried, or sent to the rest."""

from __future__ import annotations

import smtplib

import pytest
from django.core.mail import EmailMessage, send_mail
from django.test import override_settings

from django_jobs.contrib.mail.refusals import hide_recipients, is_final
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.contrib.mail.conftest import mail_settings
from tests.contrib.mail.smtp_server import ScriptedServer

pytestmark = pytest.mark.django_db


def _send(*recipients: str) -> Job:
    send_mail("Hello", "Dear all", "shop@example.org", list(recipients))
    return Job.objects.get()


def test_a_permanent_refusal_is_dead_at_once_and_tells_no_address(server: ScriptedServer) -> None:
    server.answers.to_recipient["gone@example.org"] = ["550 5.1.1 <gone@example.org> is unknown here"]
    job = _send("gone@example.org")

    drain()

    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.DEAD, 1)
    dead_letter = job.dead_letters.get()
    assert "SMTPRecipientsRefused: 550 5.1.1 <recipient> is unknown here" in dead_letter.error_message
    assert "gone@" not in f"{dead_letter.error_message}{dead_letter.traceback}"


def test_a_transient_refusal_is_retried_with_the_same_id_and_date(server: ScriptedServer) -> None:
    server.answers.to_mail = ["451 4.7.1 greylisted, come back later"]
    job = _send("ada@example.org")
    stored = job.arguments["headers"]

    drain()
    job.refresh_from_db()
    assert (job.state, server.received) == (State.SCHEDULED, [])
    drain(run_scheduled=True)

    job.refresh_from_db()
    (received,) = server.received
    assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
    assert {name: received.mail[name] for name in stored} == stored
    assert set(stored) == {"Message-ID", "Date"}


def test_a_server_that_does_not_answer_costs_an_attempt(server: ScriptedServer) -> None:
    job = _send("ada@example.org")

    with override_settings(**mail_settings(1)):  # nobody listens there
        drain()
    job.refresh_from_db()
    assert job.state == State.SCHEDULED
    drain(run_scheduled=True)

    job.refresh_from_db()
    assert (job.state, job.attempt, len(server.received)) == (State.SUCCEEDED, 2, 1)


def test_recipients_that_are_refused_get_a_job_of_their_own(server: ScriptedServer) -> None:
    server.answers.to_recipient = {
        "grey@example.org": ["450 4.7.1 later", "450 4.7.1 later"],
        "gone@example.org": ["550 5.1.1 unknown"] * 4,
    }
    job = _send("ada@example.org", "grey@example.org", "gone@example.org")

    drain(run_scheduled=True)

    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert [received.recipients for received in server.received] == [["ada@example.org"], ["grey@example.org"]]
    assert len({received.mail["Message-ID"] for received in server.received}) == 1
    others = [
        (other.arguments["remaining_recipients"], other.state)
        for other in Job.objects.exclude(pk=job.pk).order_by("pk")
    ]
    assert others == [
        (["grey@example.org", "gone@example.org"], State.SUCCEEDED),
        (["gone@example.org"], State.DEAD),
    ]


def test_an_address_that_no_server_can_be_asked_for_is_dead_at_once(server: ScriptedServer) -> None:
    EmailMessage("Hello", "Ada", "shop@example.org", bcc=["ada@example.org, bob@example.org"]).send()

    drain()

    job = Job.objects.get()
    assert (job.state, job.attempt) == (State.DEAD, 1)
    assert "@" not in job.dead_letters.get().error_message


@pytest.mark.parametrize(
    ("recipient", "said"),
    [
        ("Ada@Example.org", "550 <ada@example.org> is unknown"),
        ("ada@bücher.example", "550 ada@xn--bcher-kva.example is unknown"),
        ("Ada <ada@Bücher.example>", "550 <ADA@XN--BCHER-KVA.EXAMPLE> is unknown"),
    ],
)
def test_an_address_that_the_server_spells_in_its_own_way_is_hidden(recipient: str, said: str) -> None:
    assert hide_recipients(said, [recipient]) == "550 <recipient> is unknown"


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (smtplib.SMTPDataError(554, b"spam"), True),
        (smtplib.SMTPDataError(452, b"disk full"), False),
        (smtplib.SMTPSenderRefused(553, b"no such sender", "a@example.org"), True),
        (smtplib.SMTPSenderRefused(530, b"log in first", "a@example.org"), False),
        (smtplib.SMTPAuthenticationError(535, b"wrong password"), False),
        (smtplib.SMTPConnectError(554, b"not you"), False),
        (smtplib.SMTPServerDisconnected("gone"), False),
        (smtplib.SMTPRecipientsRefused({"a": (550, b"unknown"), "b": (450, b"later")}), False),
        (smtplib.SMTPRecipientsRefused({"a": (550, b"unknown"), "b": (551, b"moved")}), True),
        (smtplib.SMTPRecipientsRefused({"a": (552, b"too many recipients")}), False),
    ],
)
def test_final_are_permanent_answers_about_the_mail(error: Exception, *, final: bool) -> None:
    assert is_final(error) is final
