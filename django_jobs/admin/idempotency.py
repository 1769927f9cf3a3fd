"""The admin of idempotency: keys of enqueued jobs and records of ``once``, to search and read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .. import registry
from ..models import EnqueueKey, Job, OnceRecord
from ..policy.redact import redact
from ..policy.uniqueness import KeyKind
from ..redaction import secret_parts
from ..store.search.keys import find_keys, find_once
from ..store.search.keyset_pages import KeysetPage
from .site.databases import row_text
from .site.labels import render_json, state_label
from .site.links import page_link, request_of
from .site.page_admin import M, column
from .site.paging import PagedAdmin, PagedChangeList
from .site.permissions import VIEW_ARGUMENTS, has_permission
from .site.times import format_timestamp

KEY_KIND_LABELS = {KeyKind.IDEMPOTENCY: _("idempotency key"), KeyKind.UNIQUE: _("unique job")}


class KeyChangeList(PagedChangeList):
    """A page of keys, searched only for users who may see arguments."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Return the page of the address."""
        text = self.query if has_permission(request, VIEW_ARGUMENTS) else ""
        return self.find(text, after)

    def find(self, text: str, after: str) -> KeysetPage[Any]:
        """Return keys of enqueued jobs."""
        names = [definition.name for definition in registry.all_definitions()]
        return self.search(find_keys, text, names=names, after=after)

    def page_rows(self) -> list[Any]:
        """Return each row once: the one that has exactly the key may come again where its place in the index is."""
        return list(dict.fromkeys(self.page.rows))

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Leave the search to ``store/search/keys.py``, and say that there are no filters, as themes ask."""
        self.filter_specs, self.has_filters, self.has_active_filters = [], False, False
        return self.root_queryset


class OnceChangeList(KeyChangeList):
    """A page of records of ``once``."""

    def find(self, text: str, after: str) -> KeysetPage[Any]:
        """Return records."""
        return self.search(find_once, text, after=after)


class KeysAdmin(PagedAdmin[M]):
    """A list of keys, which hold arguments: they are for users who may see these."""

    search_fields = ("key",)
    actions = None

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Offer the search to users who may see keys."""
        return super().get_search_fields(request) if has_permission(request, VIEW_ARGUMENTS) else ()

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave out the keys for users who may not see arguments."""
        return [name for name in self.list_display if name != "key" or has_permission(request, VIEW_ARGUMENTS)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave them out on a row's page, too."""
        hidden = set() if has_permission(request, VIEW_ARGUMENTS) else {"key", "stored_display"}
        return [name for name in self.fields or () if name not in hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field of the page."""
        return list(self.get_fields(request, obj))


@admin.register(EnqueueKey)
class EnqueueKeyAdmin(KeysAdmin[EnqueueKey]):
    """Lists the keys of enqueued jobs, the last to expire first."""

    list_display = (
        "digest_display",
        "kind_display",
        "key",
        "job_name",
        "job_display",
        "since_display",
        "until_display",
    )
    changelist_class = KeyChangeList
    fields = ("kind_display", "key", "job_name", "job_display", "since_display", "until_display")

    digest_display = column(_("digest"), lambda key: key.digest.hex[:8])
    kind_display = column(
        _("kind"),
        lambda key: str(KEY_KIND_LABELS[KeyKind(key.kind)]) if key.kind in set(KeyKind) else key.kind,
    )

    @admin.display(description=_("job"))
    def job_display(self, key: EnqueueKey) -> str | SafeString:
        """Return a link to the job that holds the key, with the job's state."""
        try:
            job = key.job
        except Job.DoesNotExist:
            return _("#%(id)s (deleted)") % {"id": key.job_id}
        return page_link(
            request_of(key), self.admin_site, "job", job.pk, f"{row_text(job.pk)} ({state_label(job.state)})"
        )

    since_display = column(_("since"), lambda key: format_timestamp(key.acquired_at))
    until_display = column(
        _("expires"),
        lambda key: str(_("while its job waits")) if key.kind == KeyKind.UNIQUE else format_timestamp(key.expires_at),
    )


@admin.register(OnceRecord)
class OnceRecordAdmin(KeysAdmin[OnceRecord]):
    """Lists the records of ``once``, newest first."""

    list_display = ("digest_display", "key", "job_display", "recorded_display")
    changelist_class = OnceChangeList
    fields = ("key", "job_display", "recorded_display", "stored_display")

    digest_display = column(_("digest"), lambda record: record.digest.hex[:8])

    @admin.display(description=_("job"))
    def job_display(self, record: OnceRecord) -> str | SafeString:
        """Return a link to the job that came first."""
        return page_link(request_of(record), self.admin_site, "job", record.job_id, row_text(record.job_id))

    recorded_display = column(_("recorded at"), lambda record: format_timestamp(record.recorded_at))
    stored_display = column(_("stored value"), lambda record: render_json(redact(record.stored, parts=secret_parts())))
