"""Say what has changed since a deploy, in sentences of the service's health: one for each job, the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .deploys import FailureChange, NewError, short_release
from .error_text import class_name
from .health_sentence import Page, Sentence, Severity, Share
from .messages import Plural, gettext_noop, ngettext_lazy

MAX_SENTENCES = 5
MAX_ERRORS = 3
"""New errors of one job that a sentence names."""

_CHANGED = gettext_noop("Since %(release)s at %(at)s %(job)s fails %(after)s instead of %(before)s.")


def describe_changes(
    release: str, deployed_at: datetime, changes: Iterable[FailureChange], new_errors: Iterable[NewError]
) -> list[Sentence]:
    """Return a sentence for each job that fails more often or has new errors, then for those that fail less."""
    deploy = {"release": short_release(release), "at": deployed_at}
    errors: dict[str, list[str]] = {}
    for new in new_errors:
        names = errors.setdefault(new.job_name, [])
        if (name := class_name(new.error)) not in names:
            names.append(name)
    worse: list[Sentence] = []
    better: list[Sentence] = []
    for change in changes:
        sentence = _changed(change, errors.pop(change.job_name, []), deploy)
        (worse if sentence.severity is Severity.WARNING else better).append(sentence)
    worse += [_new_errors(job_name, names, deploy) for job_name, names in errors.items()]
    return [*worse, *better][:MAX_SENTENCES]


def _changed(change: FailureChange, errors: list[str], deploy: dict[str, object]) -> Sentence:
    text = Plural(_CHANGED, _CHANGED, 1)
    if errors:
        text = ngettext_lazy(
            "Since %(release)s at %(at)s %(job)s fails %(after)s instead of %(before)s; %(errors)s is new.",
            "Since %(release)s at %(at)s %(job)s fails %(after)s instead of %(before)s; %(errors)s are new.",
            len(errors),
        )
    shares = {"before": Share(change.before.share), "after": Share(change.after.share)}
    is_worse = change.is_worse or bool(errors)
    return Sentence(
        key="fails_more_since_deploy" if change.is_worse else "fails_less_since_deploy",
        severity=Severity.WARNING if is_worse else Severity.FINE,
        text=text,
        values={**deploy, **shares, "job": change.job_name, "errors": _names(errors)},
        page=Page.DEAD_LETTERS if errors else Page.JOBS,
        query={"job_name": change.job_name} if errors else {"name": change.job_name},
    )


def _new_errors(job_name: str, errors: list[str], deploy: dict[str, object]) -> Sentence:
    text = ngettext_lazy(
        "Since %(release)s at %(at)s %(errors)s of %(job)s is new.",
        "Since %(release)s at %(at)s %(errors)s of %(job)s are new.",
        len(errors),
    )
    return Sentence(
        key="new_error_since_deploy",
        severity=Severity.WARNING,
        text=text,
        values={**deploy, "job": job_name, "errors": _names(errors)},
        page=Page.DEAD_LETTERS,
        query={"job_name": job_name},
    )


def _names(errors: list[str]) -> str:
    return ", ".join(errors[:MAX_ERRORS]) + (" …" if len(errors) > MAX_ERRORS else "")
