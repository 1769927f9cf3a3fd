"""The setting, and what it says if the client is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from django.test import override_settings

from django_jobs.conf import SETTING
from django_jobs.contrib.prometheus import enable
from django_jobs.contrib.prometheus.checks import check_metrics
from django_jobs.exceptions import ConfigurationError
from django_jobs.worker.process import health_pages


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health_pages, "health_pages", [])
    with override_settings(**{SETTING: {"METRICS": {"PROMETHEUS": True}}}):
        yield


def test_the_page_is_added_once() -> None:
    enable()
    enable()
    assert [page.path for page in health_pages.health_pages] == ["/metrics"]
    assert check_metrics() == []


def test_without_the_client_the_check_and_the_worker_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    [message] = check_metrics()
    assert (message.id, "pip install 'django-jobs-engine[prometheus]'" in message.msg) == ("django_jobs.E008", True)
    enable()
    with pytest.raises(ConfigurationError, match="need the package prometheus-client"):
        health_pages.health_pages[0].open()


@pytest.mark.parametrize("given", [{"METRICS": {"PROMETHEUS": False}}, {"METRICS": 5}])
def test_nothing_is_checked_if_it_is_off_or_another_check_says_what_is_wrong(
    given: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with override_settings(**{SETTING: given}):
        assert check_metrics() == []
