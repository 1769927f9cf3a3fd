"""The examples of the page on hooks do what it says of them."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import translation

from django_jobs import current_job, job
from django_jobs.models import Job
from django_jobs.testing import drain
from tests.databases import ROOT

pytestmark = pytest.mark.django_db
SETTINGS, REQUEST_ID, LANGUAGE, TENANT, SENTRY, TRACING, FLUSH = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "hooks.md").read_text(), re.DOTALL
)


@job(name="docs.tell_language")
def tell_language() -> str | None:
    return translation.get_language()


@job(name="docs.enqueue_another")
def enqueue_another() -> None:
    tell_metadata.enqueue()


@job(name="docs.tell_metadata")
def tell_metadata() -> Any:
    return current_job().metadata


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, settings: Any) -> types.ModuleType:
    """``shop.hooks`` with all examples, as modules that can be imported."""
    hooks, tenants = types.ModuleType("shop.hooks"), types.ModuleType("shop.tenants")
    entered: list[str] = []

    @contextmanager
    def tenant_context(name: str) -> Iterator[None]:
        entered.append(name)
        yield

    vars(tenants).update(current_tenant=lambda: vars(tenants).get("current"), tenant_context=tenant_context)
    vars(tenants)["entered"] = entered
    for name, module in {"shop": types.ModuleType("shop"), "shop.hooks": hooks, "shop.tenants": tenants}.items():
        monkeypatch.setitem(sys.modules, name, module)
    for example in (REQUEST_ID, LANGUAGE, TENANT, TRACING):
        exec(compile(example, "shop/hooks.py", "exec"), vars(hooks))
    names: dict[str, Any] = {}
    exec(compile(SETTINGS, "settings.py", "exec"), names)
    settings.DJANGO_JOBS = names["DJANGO_JOBS"]
    return tenants


def test_language_request_id_and_tenant_travel_with_the_job(shop: types.ModuleType) -> None:
    from shop.hooks import request_id  # type: ignore[import-not-found]

    vars(shop)["current"] = "acme"
    token = request_id.set("r-1")
    with translation.override("de"):
        told, parent = tell_language.enqueue(), enqueue_another.enqueue()
    request_id.reset(token)
    vars(shop)["current"] = None
    assert told.metadata == {"request_id": "r-1", "language": "de", "tenant": "acme"}
    drain()
    assert (told.refresh().result, parent.refresh().state) == ("de", "succeeded")
    handed_on = Job.objects.get(name=tell_metadata.name)
    assert (handed_on.metadata["request_id"], handed_on.metadata["language"]) == ("r-1", "de")
    assert shop.entered == ["acme", "acme"]


def test_a_job_without_a_tenant_is_discarded(shop: types.ModuleType) -> None:
    job = tell_language.enqueue()
    assert drain().dead == 1
    assert "enqueued outside of any tenant" in str(job.refresh().error)


def test_the_hook_with_both_methods_can_be_used(shop: types.ModuleType, settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": ["shop.hooks.TracingHook"]}
    job = tell_language.enqueue()
    assert drain().succeeded == 1
    assert job.refresh().metadata == {}


def test_the_examples_of_an_error_tracker_are_python() -> None:
    compile(SENTRY, "hooks.md", "exec")
    compile(FLUSH, "hooks.md", "exec")
