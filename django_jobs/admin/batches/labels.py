"""How batches are told on pages: states, and a bar of how far they are."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...policy.batches import BatchState, Callback
from ...store.batches.batch import Progress

BATCH_STATE_LABELS = {
    BatchState.OPEN: _("being filled"),
    BatchState.RUNNING: _("running"),
    BatchState.SUCCEEDED: _("succeeded"),
    BatchState.FAILED: _("failed"),
    BatchState.CANCELLED: _("cancelled"),
}
CALLBACK_LABELS = {
    Callback.ON_SUCCESS: _("When all have succeeded"),
    Callback.ON_FAILURE: _("When all have ended and one is dead"),
    Callback.ON_COMPLETE: _("When all have ended"),
}
_COLOURS = {
    BatchState.RUNNING: "running",
    BatchState.SUCCEEDED: "succeeded",
    BatchState.FAILED: "dead",
}


def batch_state_badge(state: str) -> SafeString:
    """Return a batch's state in the current language, coloured; what is none of them stays as it is."""
    known = BatchState(state) if state in set(BatchState) else None
    return format_html(
        '<span class="job-state job-{}">{}</span>',
        _COLOURS.get(known, "waiting") if known else "waiting",
        BATCH_STATE_LABELS[known] if known else state,
    )


def batch_progress_bar(progress: Progress) -> str | SafeString:
    """Return a bar of how many jobs have ended, and the numbers."""
    if not progress.total:
        return ""
    return format_html(
        '<progress value="{}" max="{}" aria-label="{}"></progress> {}/{}',
        progress.done,
        progress.total,
        _("progress"),
        progress.done,
        progress.total,
    )
