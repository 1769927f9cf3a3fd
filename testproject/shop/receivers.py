"""What the shop does when a job has failed for good."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from django_jobs.models import DeadLetter, Job
from django_jobs.signals import job_dead

from .jobs import charge_card
from .models import Payment


@receiver(job_dead)
def mark_payment_failed(job: Job, dead_letter: DeadLetter, **_: Any) -> None:
    """Show on the payment that the card could not be charged; a redrive may still mend that."""
    if job.name == charge_card.name:
        Payment.objects.filter(pk=job.arguments["payment_id"], state=Payment.State.OPEN).update(
            state=Payment.State.FAILED
        )
