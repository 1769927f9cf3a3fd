"""The admin in German and French: no label and no text of a page is left in English."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django import VERSION
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, get_fields_from_path, label_for_field
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import translation
from django.utils.translation import trans_real

from django_jobs.admin.site.detail import DetailAdmin
from tests import factories

from . import many_rows
from .every_page import APPS, make_rows, page_addresses
from .staff import url

pytestmark = pytest.mark.django_db(transaction=True)

LANGUAGES = ("de", "fr")
ADMINS = [one for model, one in admin.site._registry.items() if model._meta.app_label in APPS]


def labels_of(model_admin: Any, request: HttpRequest) -> Iterator[str]:
    """Yield the labels of an admin in the current language: of models, columns, fields, values, filters and actions."""
    opts = model_admin.opts
    yield from (str(opts.verbose_name), str(opts.verbose_name_plural))
    if model_admin.search_help_text:
        yield str(model_admin.search_help_text)
    names = {*model_admin.get_list_display(request)}
    labels: dict[str, Any] = {}
    for row in () if isinstance(model_admin, DetailAdmin) else (None, model_admin.model()):
        names |= {*flatten_fieldsets(model_admin.get_fieldsets(request, row))}
        fields = model_admin.get_form(request, row, change=row is not None).base_fields
        labels |= {name: field.label for name, field in fields.items()}
    for name in sorted(names):
        yield str(labels.get(name) or label_for_field(name, model_admin.model, model_admin))
    for item in model_admin.get_list_filter(request):
        field = get_fields_from_path(model_admin.model, item)[-1] if isinstance(item, str) else None
        yield str(field.verbose_name if field else item.title)
        names |= {item} if field else set()
    for field in opts.fields:
        if field.name in names:
            yield from (str(label) for _value, label in field.choices or ())
    for action in model_admin._get_base_actions():  # a tuple before Django 6.1
        name, description = (action.name, action.description) if VERSION >= (6, 1) else action[1:]
        yield from [str(description)] if name else []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("model_admin", ADMINS, ids=lambda one: one.opts.model_name)
def test_each_label_of_the_admin_is_translated(model_admin: Any, language: str, admin_user: User) -> None:
    request = RequestFactory().get("/")
    request.user = admin_user
    with translation.override("en"):
        english = list(labels_of(model_admin, request))
    with translation.override(language):
        translated = list(labels_of(model_admin, request))
    known = catalog_of(language)
    pairs = zip(english, translated, strict=True)
    assert [label for label, shown in pairs if not _is_translated(label, shown, known)] == []


def catalog_of(language: str) -> dict[str, set[str]]:
    """Return the translations of each text without a plural, in any context, Django's own included."""
    catalog = trans_real.translation(language)._catalog  # type: ignore[attr-defined]
    found: defaultdict[str, set[str]] = defaultdict(set)
    for key in catalog.keys():  # noqa: SIM118  # no dict
        if isinstance(key, str) and key:
            found[key.rpartition("\x04")[2]].add(catalog[key].lower())
    return found


def _is_translated(label: str, shown: str, known: dict[str, set[str]]) -> bool:
    """Tell whether the catalogue has the label, as it is or before a form gave it a capital letter."""
    return any(text in known and shown.lower() in known[text] for text in (label, lower_first(label)))


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


class _Texts(HTMLParser):
    """Collects the texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.found.add(" ".join(data.split()).strip("\u203a: "))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = (value for name, value in attrs if name in {"title", "aria-label", "placeholder"})
        self.found.update(value for value in values if value)


def test_no_page_in_german_has_a_text_in_english(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_rows, "MANY", 2)
    rows = make_rows()
    middle = many_rows.add_many(rows)
    attempt = factories.make_attempt(middle[0], number=9, claim_number=109)
    german = catalog_of("de")
    words = set[str]().union(*german.values())
    english = {key.strip(": ") for key in german if key.strip(": ") and key.strip(": ").lower() not in words}
    addresses = page_addresses([*rows, *middle, attempt])
    for address in [*addresses, url("cronschedule_add"), url("job_history", middle[0].pk)]:
        page = _Texts()
        with translation.override("de"):
            page.feed(admin_client.get(address).content.decode())
        assert len(page.found) > 10
        assert english & {*page.found, *map(lower_first, page.found)} == set(), address
