"""Keys: who holds which and until when, and what was done once; to look at and to search."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .. import registry
from ..models import EnqueueKey, Job, OnceRecord
from ..policy.filter_values import FilterError
from ..policy.redact import redact
from ..policy.uniqueness import KeyKind
from ..redaction import secret_parts
from ..store.search.keys import find_keys, find_once
from ..store.search.keyset_pages import KeysetPage
from .jobs.labels import page_link, state_label
from .site.base import format_timestamp, render_json
from .site.paging import CURSOR_PARAMETER, M, WindowChangeList, WindowedAdmin
from .site.permissions import VIEW_ARGUMENTS, has_permission

KEY_KIND_LABELS = {KeyKind.IDEMPOTENCY: _("idempotency key"), KeyKind.UNIQUE: _("unique job")}
HIDDEN = "********"


class KeyChangeList(WindowChangeList):
    """Shows a page of keys; what is searched for is looked for by those only who may see arguments."""

    page: KeysetPage[Any]

    def get_results(self, request: HttpRequest) -> None:
        """Read the page that the address asks for."""
        text = self.query if has_permission(request, VIEW_ARGUMENTS) else ""
        try:
            self.page = self.read_page(text, request.GET.get(CURSOR_PARAMETER, ""))
        except FilterError as error:
            raise IncorrectLookupParameters(str(error)) from None
        self.show_rows(self.page.rows)

    def read_page(self, text: str, after: str) -> KeysetPage[Any]:
        """Return keys of enqueues."""
        names = [definition.name for definition in registry.all_definitions()]
        return find_keys(text, names=names, after=after, limit=self.list_per_page)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return all: the search is the page's own."""
        return self.root_queryset

    @property
    def older_url(self) -> str | None:
        """The address of the next page, None at the end."""
        return (
            None
            if self.page.next_cursor is None
            else self.get_query_string({CURSOR_PARAMETER: self.page.next_cursor})
        )


class OnceChangeList(KeyChangeList):
    """The same for records of ``once``."""

    def read_page(self, text: str, after: str) -> KeysetPage[Any]:
        """Return records."""
        return find_once(text, after=after, limit=self.list_per_page)


class KeysAdmin(WindowedAdmin[M]):
    """What both lists share: nothing can be changed, and keys are for those who may see arguments."""

    change_list_template = "admin/django_jobs/keys_change_list.html"
    search_fields = ("key",)
    actions = None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: keys are the engine's."""
        return False

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Offer the search to those who may see what is found."""
        return super().get_search_fields(request) if has_permission(request, VIEW_ARGUMENTS) else ()

    def get_list_display(self, request: HttpRequest) -> Any:
        """Hide the keys, which have arguments in them, from those who may not see these."""
        return [
            name for name in self.list_display if name != "key" or has_permission(request, VIEW_ARGUMENTS)
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Hide them on a row's own page too."""
        hidden = set() if has_permission(request, VIEW_ARGUMENTS) else {"key", "stored_display"}
        return [name for name in self.fields or () if name not in hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field that a page shows."""
        return list(self.get_fields(request, obj))


@admin.register(EnqueueKey)
class EnqueueKeyAdmin(KeysAdmin[EnqueueKey]):
    """Lists the keys of enqueues, those kept longest first."""

    list_display = (
        "digest_display",
        "kind_display",
        "key",
        "job_name",
        "job_display",
        "acquired_at",
        "until_display",
    )
    fields = ("kind_display", "key", "job_name", "job_display", "since_display", "until_display")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that goes along the index."""
        return KeyChangeList

    @admin.display(description=_("key's number"))
    def digest_display(self, key: EnqueueKey) -> str:
        """Return the first digits of what is unique."""
        return key.digest.hex[:8]

    @admin.display(description=_("kind"))
    def kind_display(self, key: EnqueueKey) -> str:
        """Return what the key is for, in the current language."""
        return str(KEY_KIND_LABELS[KeyKind(key.kind)]) if key.kind in set(KeyKind) else key.kind

    @admin.display(description=_("job"))
    def job_display(self, key: EnqueueKey) -> str | SafeString:
        """Return a link to the job that holds the key, with its state."""
        try:
            job = key.job
        except Job.DoesNotExist:
            return _("#%(id)s, which is gone") % {"id": key.job_id}
        return page_link(None, self.admin_site, "job", job.pk, f"#{job.pk} ({state_label(job.state)})")

    @admin.display(description=_("held since"))
    def since_display(self, key: EnqueueKey) -> str:
        """Return the instant to the millisecond."""
        return format_timestamp(key.acquired_at)

    @admin.display(description=_("held until"))
    def until_display(self, key: EnqueueKey) -> str:
        """Return the end of an idempotency key's window; a unique key is the job's for as long as that waits."""
        return (
            str(_("as long as its job waits"))
            if key.kind == KeyKind.UNIQUE
            else format_timestamp(key.expires_at)
        )


@admin.register(OnceRecord)
class OnceRecordAdmin(KeysAdmin[OnceRecord]):
    """Lists what was done once, the newest first."""

    list_display = ("digest_display", "key", "job_display", "recorded_at")
    fields = ("key", "job_display", "recorded_display", "stored_display")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that goes along the index."""
        return OnceChangeList

    @admin.display(description=_("key's number"))
    def digest_display(self, record: OnceRecord) -> str:
        """Return the first digits of what is unique."""
        return record.digest.hex[:8]

    @admin.display(description=_("job"))
    def job_display(self, record: OnceRecord) -> str | SafeString:
        """Return a link to the job that was first."""
        return page_link(None, self.admin_site, "job", record.job_id, f"#{record.job_id}")

    @admin.display(description=_("done at"))
    def recorded_display(self, record: OnceRecord) -> str:
        """Return the instant to the millisecond."""
        return format_timestamp(record.recorded_at)

    @admin.display(description=_("stored"))
    def stored_display(self, record: OnceRecord) -> SafeString:
        """Return what the first one stored, secrets masked."""
        return render_json(redact(record.stored, parts=secret_parts()))
