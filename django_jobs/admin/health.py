"""Show the sentences of health, translated, each with its severity and a link to the page where it is cured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..policy.health_sentence import Page, Sentence, Severity
from ..policy.messages import Plural
from .site.labels import format_duration
from .site.links import may_open
from .site.page_admin import PageAdmin
from .site.times import time_text

SEVERITY_LABELS = {
    Severity.PROBLEM: _("Problem"),
    Severity.WARNING: _("Warning"),
    Severity.NOTE: _("Hint"),
    Severity.FINE: _("Fine"),
}
_LISTS = {
    Page.WORKERS: ("worker", "worker_changelist"),
    Page.QUEUES: ("queue", "queue_changelist"),
    Page.JOBS: ("job", "job_changelist"),
    Page.DEAD_LETTERS: ("deadletter", "deadlettergroups"),
    Page.SCHEDULES: ("cronschedule", "cronschedule_changelist"),
    Page.LIMITS: ("limit", "limit_changelist"),
    Page.BROKERS: ("messagesource", "messagesource_changelist"),
}
"""The model of each page, and the name of its list."""


def health_context(
    model_admin: PageAdmin[Any], request: HttpRequest, sentences: Sequence[Sentence]
) -> list[dict[str, Any]]:
    """Return the sentences for the template; without a link to a page that the user may not see."""
    return [
        {
            "severity": sentence.severity.value,
            "label": SEVERITY_LABELS[sentence.severity],
            "text": sentence.render(
                translate=_translate, format_duration=_format, format_instant=time_text, format_number=_number
            ),
            "url": _url(model_admin, request, sentence),
        }
        for sentence in sentences
    ]


def _translate(text: Plural) -> str:
    return gettext(text.singular) if text.singular == text.plural else ngettext(*text)


def _number(number: float) -> str:
    return number_format(number, decimal_pos=None if number % 1 else 0)


def _format(duration: timedelta) -> str:
    return format_duration(duration)


def _url(model_admin: PageAdmin[Any], request: HttpRequest, sentence: Sentence) -> str:
    if sentence.page is None:
        return ""
    model, name = _LISTS[sentence.page]
    if not may_open(request, model_admin.admin_site, model):
        return ""
    if sentence.target is not None:
        return model_admin.url(f"{model}_change", quote(sentence.target))
    address = model_admin.url(name)
    return f"{address}?{urlencode(sentence.query)}" if sentence.query else address
