"""The admin of batches: their progress, and cancelling them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...models import Batch
from ...operations import Progress, batch_progress_by_id
from ...store.search.keyset_pages import KeysetPage
from ..site.detail import DetailAdmin
from ..site.labels import format_timestamp
from ..site.paging import PagedChangeList
from ..site.permissions import CANCEL, has_permission
from . import page
from .labels import batch_progress_bar, batch_state_badge


class BatchChangeList(PagedChangeList):
    """A page of batches with their progress: one more statement for all of them."""

    def read_page(self, request: HttpRequest, after: str) -> KeysetPage[Any]:
        """Read the batches and their progress."""
        page = super().read_page(request, after)
        progress = batch_progress_by_id(page.rows)
        for batch in page.rows:
            vars(batch)["progress"] = progress[batch.pk]
        return page


@admin.register(Batch)
class BatchAdmin(DetailAdmin[Batch]):
    """Lists batches, newest first."""

    list_display = ("id", "state_display", "description", "bar", "dead", "cancelled", "created", "completed")
    list_filter = ("state",)
    search_fields = ("description",)
    search_help_text = _("Part of a description")
    changelist_class = BatchChangeList
    actions = ("cancel_selected",)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may cancel jobs, and batches of them."""
        return has_permission(request, CANCEL)

    def get_urls(self) -> list[Any]:
        """Add the address of the cancel button."""
        return [self.page_path("<int:pk>/cancel/", page.cancel_view, "batch_cancel"), *super().get_urls()]

    def detail(self, request: HttpRequest, row: Batch) -> HttpResponse:
        """Return the batch's page."""
        return page.detail(self, request, row)

    def missing_text(self, pk: int | str) -> str:
        """Return the message for a batch that no longer exists."""
        return page.missing_text(pk)

    @admin.action(
        description=_("Cancel waiting jobs, request cancellation of running ones"), permissions=["cancel"]
    )
    def cancel_selected(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        """Cancel the batches that have not finished."""
        page.cancel_and_report(self, request, list(batches.order_by("pk")))

    @admin.display(description=_("state"))
    def state_display(self, batch: Batch) -> SafeString:
        """Return the state in the current language."""
        return batch_state_badge(_progress(batch).state)

    @admin.display(description=_("progress"))
    def bar(self, batch: Batch) -> str | SafeString:
        """Return how many of its jobs have finished."""
        return batch_progress_bar(_progress(batch))

    @admin.display(description=_("dead"))
    def dead(self, batch: Batch) -> int:
        """Return how many are dead."""
        return _progress(batch).dead

    @admin.display(description=_("cancelled"))
    def cancelled(self, batch: Batch) -> int:
        """Return how many were cancelled."""
        return _progress(batch).cancelled

    @admin.display(description=_("created"))
    def created(self, batch: Batch) -> str:
        """Return when it was created."""
        return format_timestamp(batch.created_at)

    @admin.display(description=_("completed"))
    def completed(self, batch: Batch) -> str:
        """Return when its last job finished for the first time."""
        return format_timestamp(batch.completed_at)


def _progress(batch: Batch) -> Progress:
    progress: Progress = vars(batch)["progress"]
    return progress
