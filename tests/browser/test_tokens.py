"""Staff make a token in a real browser, copy it, use it, and revoke it."""

from __future__ import annotations

import httpx

from django_jobs.models import Job
from tests.sampleapp import jobs as sample

from .visitor import Visitor


def _enqueue(visitor: Visitor, token: str) -> int:
    where = f"{visitor.address}/jobs/enqueue/{sample.add.name}/"
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(where, json={"first": 1}, headers=headers, timeout=30).status_code


def test_a_token_is_created_used_and_revoked(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("django_jobs_web_token_add")
    assert visitor.grave_violations() == []
    page.fill("input[name=name]", "billing")
    page.get_by_label(sample.add.name, exact=True).check()
    page.click("input[name=_save]")
    token = page.inner_text(".jobs-token")
    assert visitor.grave_violations() == []
    visitor.picture("token-created")
    assert _enqueue(visitor, token) == 202
    assert Job.objects.get().name == sample.add.name
    page.get_by_text("I have copied it").click()
    page.get_by_role("button", name="Revoke").click()
    visitor.wait_for_text("The token was revoked.")
    assert token not in visitor.text()
    assert _enqueue(visitor, token) == 401
