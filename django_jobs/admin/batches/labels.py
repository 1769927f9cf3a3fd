"""Labels of batches: states, callbacks and a progress bar."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...models.labels import BATCH_STATE_LABELS
from ...policy.batches import BatchState, Callback
from ...store.batches.batch import Progress

CALLBACK_LABELS = {
    Callback.ON_SUCCESS: _("All succeeded"),
    Callback.ON_FAILURE: _("All finished, one or more dead"),
    Callback.ON_COMPLETE: _("All finished"),
}
_COLOURS = {
    BatchState.RUNNING: "running",
    BatchState.SUCCEEDED: "succeeded",
    BatchState.FAILED: "dead",
}


def batch_state_badge(state: str) -> SafeString:
    """Return a batch's state in the current language, coloured; an unknown one unchanged."""
    known = BatchState(state) if state in set(BatchState) else None
    return format_html(
        '<span class="job-state job-{}">{}</span>',
        _COLOURS.get(known, "waiting") if known else "waiting",
        BATCH_STATE_LABELS[known] if known else state,
    )


def batch_progress_bar(progress: Progress) -> str | SafeString:
    """Return a bar of the finished jobs, and the numbers."""
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
