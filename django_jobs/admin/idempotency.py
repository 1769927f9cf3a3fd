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
from .site.labels import format_timestamp, page_link, render_json, state_label
from .site.page_admin import M, column
from .site.paging import PagedAdmin, PagedChangeList
from .site.permissions import VIEW_ARGUMENTS, has_permission

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
        return find_keys(text, names=names, after=after, limit=self.list_per_page)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Leave the search to ``store/search/keys.py``."""
        return self.root_queryset


class OnceChangeList(KeyChangeList):
    """A page of records of ``once``."""

    def find(self, text: str, after: str) -> KeysetPage[Any]:
        """Return records."""
        return find_once(text, after=after, limit=self.list_per_page)


class KeysAdmin(PagedAdmin[M]):
    """A list of keys, which hold arguments: they are for users who may see these."""

    search_fields = ("key",)
    actions = None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

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
        "acquired_at",
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
        return page_link(None, self.admin_site, "job", job.pk, f"#{job.pk} ({state_label(job.state)})")

    since_display = column(_("since"), lambda key: format_timestamp(key.acquired_at))
    until_display = column(
        _("expires"),
        lambda key: str(_("while its job waits")) if key.kind == KeyKind.UNIQUE else format_timestamp(key.expires_at),
    )


@admin.register(OnceRecord)
class OnceRecordAdmin(KeysAdmin[OnceRecord]):
    """Lists the records of ``once``, newest first."""

    list_display = ("digest_display", "key", "job_display", "recorded_at")
    changelist_class = OnceChangeList
    fields = ("key", "job_display", "recorded_display", "stored_display")

    digest_display = column(_("digest"), lambda record: record.digest.hex[:8])

    @admin.display(description=_("job"))
    def job_display(self, record: OnceRecord) -> str | SafeString:
        """Return a link to the job that came first."""
        return page_link(None, self.admin_site, "job", record.job_id, f"#{record.job_id}")

    recorded_display = column(_("recorded at"), lambda record: format_timestamp(record.recorded_at))
    stored_display = column(_("stored value"), lambda record: render_json(redact(record.stored, parts=secret_parts())))
