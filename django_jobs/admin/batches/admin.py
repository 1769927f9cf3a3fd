"""Batches: pieces of work made of many jobs, how far each is, and cancelling one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...models import Batch
from ...store.batches.batch import batch_progress_by_id
from ...store.search.keyset_pages import KeysetPage
from ..site.base import format_timestamp
from ..site.paging import WindowChangeList, WindowedAdmin
from ..site.permissions import CANCEL, has_permission
from . import page
from .labels import batch_progress_bar, batch_state_badge


class BatchChangeList(WindowChangeList):
    """A window of batches, each with how far it is: one more statement for all of them."""

    def read_window(self, request: HttpRequest, *, after: str) -> KeysetPage[Any]:
        """Read the batches and what was tallied of them."""
        window = super().read_window(request, after=after)
        progress = batch_progress_by_id(window.rows)
        for batch in window.rows:
            vars(batch)["now"] = progress[batch.pk]
        return window


@admin.register(Batch)
class BatchAdmin(WindowedAdmin[Batch]):
    """Lists batches, the newest first; a batch's page has its jobs by state."""

    list_display = ("id", "state_display", "description", "bar", "dead", "cancelled", "begun", "ended")
    list_filter = ("state",)
    search_fields = ("description",)
    search_help_text = _("Part of a description")
    actions = ("cancel_selected",)

    class Media:
        css: ClassVar[Any] = {"all": ("django_jobs/job.css",)}

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a batch is changed by its jobs, and by cancelling it."""
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may cancel jobs, and batches of them."""
        return has_permission(request, CANCEL)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that knows how far the batches are."""
        return BatchChangeList

    def get_urls(self) -> list[Any]:
        """Add the address to which the page's button posts."""
        cancel = path(
            "<int:pk>/cancel/",
            self.admin_site.admin_view(lambda request, pk: page.cancel_view(self, request, pk)),
            name="django_jobs_batch_cancel",
        )
        return [cancel, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a batch's page, which is no form."""
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        batch = self.get_object(request, unquote(object_id))
        if batch is None:
            return page.redirect_missing(self, request, object_id)
        return page.detail(self, request, batch)

    @admin.action(
        description=_("Cancel: what waits at once, what runs is asked to end"), permissions=["cancel"]
    )
    def cancel_selected(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        """Cancel those that have not ended."""
        page.cancel_and_report(self, request, list(batches.order_by("pk")))

    @admin.display(description=_("state"))
    def state_display(self, batch: Batch) -> SafeString:
        """Return the state in the current language."""
        return batch_state_badge(vars(batch)["now"].state)

    @admin.display(description=_("progress"))
    def bar(self, batch: Batch) -> str | SafeString:
        """Return how many of its jobs have ended."""
        return batch_progress_bar(vars(batch)["now"])

    @admin.display(description=_("dead"))
    def dead(self, batch: Batch) -> int:
        """Return how many are dead."""
        return int(vars(batch)["now"].dead)

    @admin.display(description=_("cancelled"))
    def cancelled(self, batch: Batch) -> int:
        """Return how many were cancelled."""
        return int(vars(batch)["now"].cancelled)

    @admin.display(description=_("begun"))
    def begun(self, batch: Batch) -> str:
        """Return when it was begun."""
        return format_timestamp(batch.created_at)

    @admin.display(description=_("all ended"))
    def ended(self, batch: Batch) -> str:
        """Return when its last job ended first."""
        return format_timestamp(batch.completed_at)
