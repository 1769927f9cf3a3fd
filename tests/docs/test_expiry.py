"""The examples of the how-to on expiry do what it says of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from django_jobs.models import Job
from django_jobs.store.clock import database_now
from tests.databases import ROOT

DEFINITION, ENQUEUE = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "expiry.md").read_text(), re.DOTALL
)


@pytest.mark.django_db
def test_until_when_they_are_of_use() -> None:
    closing_time = database_now() + timedelta(hours=3)
    names: dict[str, Any] = {
        "__name__": "docs",
        "closing_time": closing_time,
        "phone": "+49 30 123",
        "code": "1234",
    }
    exec(DEFINITION, names)
    names["send_code"].enqueue("+49 30 123", "1234")
    exec(ENQUEUE, names)
    usual, closing, soon = Job.objects.order_by("pk")
    assert usual.expires_at == usual.enqueued_at + timedelta(minutes=5)
    assert closing.expires_at == closing_time
    assert soon.expires_at == soon.enqueued_at + timedelta(minutes=2)
