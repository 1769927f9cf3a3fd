"""The admin of batches: their progress, and cancelling them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...models import Batch
from ...operations import Progress, batch_progress_by_id
from ...store.search.keyset_pages import KeysetPage
from ..site.detail import DetailAdmin
from ..site.page_admin import column, needs
from ..site.paging import PagedChangeList
from ..site.permissions import CANCEL
from ..site.times import format_timestamp
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

    detail_page = page
    list_display = ("id", "state_display", "description", "bar", "dead", "cancelled", "created", "completed")
    list_filter = ("state",)
    search_fields = ("description",)
    search_help_text = _("Part of a description")
    changelist_class = BatchChangeList
    actions = ("cancel_selected",)

    has_cancel_permission = needs(CANCEL)

    def get_urls(self) -> list[Any]:
        """Add the address of the cancel button."""
        return [self.page_path("<int:pk>/cancel/", page.cancel_view, "batch_cancel"), *super().get_urls()]

    @admin.action(description=_("Cancel waiting jobs, request cancellation of running ones"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        """Cancel the batches that have not finished."""
        page.cancel_and_report(self, request, list(batches.order_by("pk")))

    state_display = column(_("state"), lambda batch: batch_state_badge(_progress(batch).state))
    bar = column(_("progress"), lambda batch: batch_progress_bar(_progress(batch)))
    dead = column(_("dead"), lambda batch: _progress(batch).dead)
    cancelled = column(_("cancelled"), lambda batch: _progress(batch).cancelled)
    created = column(_("created"), lambda batch: format_timestamp(batch.created_at))
    completed = column(_("completed"), lambda batch: format_timestamp(batch.completed_at))


def _progress(batch: Batch) -> Progress:
    progress: Progress = vars(batch)["progress"]
    return progress
