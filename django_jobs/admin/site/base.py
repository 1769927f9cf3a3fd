"""What all pages share: rows are read on the jobs' database and changed by actions only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext

from ...conf import get_settings
from ...policy.filter_values import FilterError

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin
else:

    class _ModelAdmin(admin.ModelAdmin):
        """Django's ModelAdmin is generic for the type checker only."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


class ReadOnlyAdmin(_ModelAdmin[M]):
    """Shows rows; adding, changing and deleting them by form would go past the engine's guards."""

    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """Read the jobs' own database."""
        return super().get_queryset(request).using(get_settings().database)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse; purge and retention delete."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field."""
        own = [field.name for field in self.opts.concrete_fields]
        return [*own, *(name for name in self.readonly_fields if name not in own and isinstance(name, str))]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave the buttons out: there is nothing to save."""
        context.update(show_save=False, show_save_and_continue=False, show_save_and_add_another=False)
        return super().render_change_form(request, context, *args, **kwargs)


def filter_error_text(error: FilterError) -> str:
    """Return what is wrong with a parameter of an address, in the current language."""
    return gettext("%(parameter)s: expected %(expected)s, got %(got)s") % {
        "parameter": error.parameter,
        "expected": gettext(error.expected) % error.values,
        "got": repr(error.got),
    }


def format_timestamp(value: datetime | None) -> str:
    """Return an instant in the current time zone to the millisecond, which Django's own format leaves out."""
    return "-" if value is None else localtime(value).isoformat(sep=" ", timespec="milliseconds")


def render_json(value: Any) -> SafeString:
    """Return ``value`` as indented JSON."""
    return format_html(
        '<pre dir="ltr" tabindex="0">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False)
    )


def actor(request: HttpRequest) -> str:
    """Return the user's name, as it is kept on letters and queues."""
    return request.user.get_username()
