"""Dead letters: what failed for good; redrive or purge it here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..models import DeadLetter
from ..store.purge import purge
from ..store.redrive import redrive
from .base import ReadOnlyAdmin, actor


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin[DeadLetter]):
    """Lists letters, the newest first; equal errors share a fingerprint, by which they can be searched."""

    list_display = ("died_at", "job_name", "error", "reason", "status", "job_link")
    list_filter = ("status", "reason", "queue_name")
    search_fields = ("=fingerprint", "job_name", "error_class")
    search_help_text = _("A fingerprint, or part of a job's or an error's name")
    ordering = ("-died_at", "-id")
    actions = ("redrive_selected", "purge_selected")
    readonly_fields = ("job_link", "readable_traceback")
    fieldsets = (
        (None, {"fields": ("job_link", "job_name", "queue_name", "reason", "attempt", "died_at")}),
        (_("Error"), {"fields": ("error_class", "error_message", "readable_traceback", "fingerprint")}),
        (_("What became of it"), {"fields": ("status", "resolved_at", "resolved_by")}),
    )

    @admin.display(description=_("error"), ordering="error_class")
    def error(self, letter: DeadLetter) -> str:
        """Return the class without its module and the first line of the message, cut."""
        name = letter.error_class.rpartition(".")[2]
        line = letter.error_message.partition("\n")[0]
        return f"{name}: {line if len(line) <= 80 else line[:77] + '...'}"

    @admin.display(description=_("job"))
    def job_link(self, letter: DeadLetter) -> str | SafeString:
        """Return a link to the job, while it is there."""
        if letter.job_id is None:
            return "-"
        return format_html(
            '<a href="{}">{}</a>',
            reverse(f"{self.admin_site.name}:django_jobs_job_change", args=[letter.job_id]),
            letter.job_id,
        )

    @admin.display(description=_("traceback"))
    def readable_traceback(self, letter: DeadLetter) -> SafeString:
        """Return the traceback as it was printed."""
        return format_html("<pre>{}</pre>", letter.traceback)

    @admin.action(description=_("Redrive: run the jobs again with all their tries"), permissions=["change"])
    def redrive_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Make the selected letters' jobs ready again."""
        self._report(request, redrive(letters, by=actor(request)), letters)

    @admin.action(description=_("Purge: delete the jobs for good"), permissions=["change"])
    def purge_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Delete the selected letters' jobs."""
        self._report(request, purge(letters, by=actor(request)), letters)

    def _report(self, request: HttpRequest, changed: int, letters: QuerySet[Any]) -> None:
        chosen = letters.count()
        text = ngettext(
            "%(changed)d of %(chosen)d letter resolved.",
            "%(changed)d of %(chosen)d letters resolved.",
            chosen,
        )
        level = messages.SUCCESS if changed else messages.WARNING
        self.message_user(request, text % {"changed": changed, "chosen": chosen}, level)
