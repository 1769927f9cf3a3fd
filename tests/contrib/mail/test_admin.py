"""Staff copy a mail as it is, and cannot write one: its arguments may name a server, which is sent the login."""

from __future__ import annotations

import pytest
from django.core.mail import send_mail
from django.test import Client
from django.urls import reverse

from django_jobs.contrib.mail.jobs import SEND_MAIL
from django_jobs.models import Job
from tests.admin.staff import log_in
from tests.contrib.mail.smtp_server import ScriptedServer

pytestmark = pytest.mark.django_db


def test_a_copy_of_a_mail_is_that_mail(client: Client, server: ScriptedServer) -> None:
    send_mail("Hello", "Ada", None, ["ada@example.org"])
    job = Job.objects.get()
    log_in(client, "view_job", "enqueue_job", "view_job_arguments")
    url = reverse("admin:django_jobs_job_copy", args=[job.pk])
    page = client.get(url).content.decode()
    assert ("ada@example.org" in page, "permission to view arguments" in page) == (False, False)

    client.post(url, {"options": '{"host": "192.0.2.1"}', "body": "Bob", "form_key": "a key of this form"})

    copy = Job.objects.exclude(pk=job.pk).get()
    assert copy.arguments == job.arguments


def test_staff_cannot_write_a_mail(client: Client, server: ScriptedServer) -> None:
    log_in(client, "view_job", "enqueue_job", "enqueue_new_job", "view_job_arguments")
    url = f"{reverse('admin:django_jobs_job_type_enqueue')}?name={SEND_MAIL}"

    assert client.get(url).status_code == 302
    assert client.post(url, {"subject": "Hello"}).status_code == 302

    assert not Job.objects.exists()
