"""Mail a newsletter to every customer, as one batch: how far it is can be asked, and what follows its end is a job."""

from __future__ import annotations

from django.db import transaction

from django_jobs import Batch

from .jobs import report_newsletter, send_newsletter_mail
from .models import Customer


def start_newsletter(subject: str) -> Batch:
    """Enqueue a mail for each customer, all or none, and return the batch. However many there are: no list is made."""
    customers = Customer.objects.order_by("pk").values_list("pk", flat=True)
    with (
        transaction.atomic(),
        Batch(description=f"newsletter: {subject}"[:200], on_complete=report_newsletter.s(subject)) as batch,
    ):
        send_newsletter_mail.enqueue_stream((pk, subject) for pk in customers.iterator(chunk_size=2_000))
    return batch
