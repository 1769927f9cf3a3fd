"""The backend's options: wrong ones are named, those of one call reach the sending backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import send_mail
from django.core.mail.backends.locmem import EmailBackend as LocmemBackend
from django.test import override_settings

from django_jobs.conf import read_settings
from django_jobs.contrib.mail.backend import PATH
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job
from django_jobs.redaction import redact_arguments
from django_jobs.testing import drain
from tests.contrib.mail.conftest import HAS_MAILERS
from tests.contrib.mail.smtp_server import ScriptedServer

pytestmark = pytest.mark.django_db

needs_mailers = pytest.mark.skipif(not HAS_MAILERS, reason="MAILERS came with Django 6.1")
without_mailers = pytest.mark.skipif(HAS_MAILERS, reason="with MAILERS logins belong to a mailer")
HERE = f"{__name__}.RecordingBackend"


class RecordingBackend(LocmemBackend):
    """A backend that sends, and keeps the options it was made with."""

    made_with: list[dict[str, Any]] = []

    def __init__(self, **options: Any) -> None:
        self.made_with.append(options)
        super().__init__()


@pytest.fixture
def recorded() -> Iterator[list[dict[str, Any]]]:
    """The options of each sending backend that was made."""
    RecordingBackend.made_with.clear()
    with override_settings(EMAIL_BACKEND=PATH, DJANGO_JOBS={"MAIL": {"BACKEND": HERE}}):
        yield RecordingBackend.made_with


@without_mailers
def test_the_login_of_one_mail_reaches_the_backend_that_sends_and_is_masked(recorded: list[dict[str, Any]]) -> None:
    send_mail("Hello", "Ada", None, ["ada@example.org"], auth_user="ada", auth_password="hunter2")

    job = Job.objects.get()
    shown = redact_arguments(job.name, job.arguments)
    assert shown["options"] == {"username": "ada", "password": "********"}
    drain()
    assert recorded == [{"fail_silently": False, "username": "ada", "password": "hunter2"}]
    assert len(mail.outbox) == 1


def test_bodies_are_masked_and_recipients_if_the_setting_says_so(server: ScriptedServer) -> None:
    send_mail("Hello", "your link: https://shop.example/reset/s3cr3t", None, ["ada@example.org"])
    job = Job.objects.get()

    assert redact_arguments(job.name, job.arguments)["attributes"] == "********"  # Anymail's merge_data is one
    assert redact_arguments(job.name, job.arguments)["body"] == "********"
    assert redact_arguments(job.name, job.arguments)["recipients"]["to"] == ["ada@example.org"]
    with override_settings(DJANGO_JOBS={"REDACT": ["recipient"]}):
        assert redact_arguments(job.name, job.arguments)["recipients"] == "********"


def test_the_backend_cannot_send_by_itself() -> None:
    with pytest.raises(ConfigurationError, match=r"\['MAIL'\]\['BACKEND'\]: expected the dotted path of a backend"):
        read_settings({"MAIL": {"BACKEND": PATH}})


@needs_mailers
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, r"\['using'\]: expected the alias of the mailer that sends \(smtp\), got None"),
        ({"using": "default"}, r"expected the alias of the mailer that sends \(smtp\), got 'default'"),
        ({"using": "smtp", "host": "localhost"}, "host"),
        ({"using": "smtp", "queue_name": "a,b"}, "queue_name"),
    ],
)
def test_wrong_options_of_a_mailer_are_named(options: dict[str, Any], problem: str) -> None:
    mailers = {"default": {"BACKEND": PATH, "OPTIONS": options}, "smtp": {}}
    with override_settings(MAILERS=mailers), pytest.raises(ConfigurationError, match=problem):
        mail.mailers["default"]  # type: ignore[attr-defined]


@needs_mailers
@pytest.mark.filterwarnings("ignore")  # EMAIL_BACKEND is deprecated there
def test_without_mailers_django_6_1_takes_email_backend(server: ScriptedServer) -> None:
    with override_settings(EMAIL_BACKEND=PATH, EMAIL_HOST="127.0.0.1", EMAIL_PORT=server.port):
        del settings.MAILERS
        send_mail("Hello", "Ada", None, ["ada@example.org"])
        drain()

    assert [received.recipients for received in server.received] == [["ada@example.org"]]


@needs_mailers
def test_a_mailer_is_chosen_for_one_mail(server: ScriptedServer) -> None:
    send_mail("Now", "sent at once", None, ["ada@example.org"], using="smtp")  # type: ignore[call-arg]
    assert (len(server.received), Job.objects.count()) == (1, 0)

    send_mail("Later", "by a job", None, ["ada@example.org"], using="default")  # type: ignore[call-arg]
    drain()
    assert [received.mail["Subject"] for received in server.received] == ["Now", "Later"]


@needs_mailers
@pytest.mark.filterwarnings("ignore:get_connection", "ignore:.*fail_silently")
def test_a_login_for_one_mail_is_refused_with_mailers(server: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="username cannot be given for one mail"):
        mail.get_connection(username="ada")
    assert mail.get_connection(fail_silently=True).fail_silently is True
