"""Show deploys: as lines in the charts, as a list, and what has come since one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from ..policy.deploys import deploy_of_error, short_release
from ..store.deploys import DeployedRelease, newest_deploys
from .site.times import format_timestamp

MAX_DEPLOYS = 20
"""Deploys that a page shows, and among which it looks for the one since which an error is new."""


def deploys_context(deploys: Iterable[DeployedRelease], *, since: datetime, now: datetime) -> list[dict[str, Any]]:
    """Return the deploys since an instant for the template, the newest first."""
    shown = [deploy for deploy in deploys if deploy.first_seen_at >= since]
    with_project = len({deploy.project for deploy in shown}) > 1
    return [
        {
            "release": _label(deploy, with_project=with_project),
            "name": deploy.release,
            "at": format_timestamp(deploy.first_seen_at, now=now),
        }
        for deploy in shown
    ]


def deploy_lines(deploys: Iterable[DeployedRelease], *, since: datetime, now: datetime) -> list[dict[str, Any]]:
    """Return the lines of the charts: seconds since the epoch, and the text beside each; the newest first."""
    return [
        {"at": deploy.first_seen_at.timestamp(), "label": short_release(deploy.release)}
        for deploy in deploys
        if since <= deploy.first_seen_at <= now
    ]


def new_since_text(first_died_at: datetime, deploys: Sequence[DeployedRelease]) -> str:
    """Return "new since deploy 4f2c1a" for an error that came after the newest deploy, "" for another."""
    deploy = deploy_of_error(first_died_at, deploys)
    return "" if deploy is None else gettext("new since deploy %s") % short_release(deploy.release)


def read_deploys() -> list[DeployedRelease]:
    """Return the newest deploys. One statement."""
    return newest_deploys(limit=MAX_DEPLOYS)


def _label(deploy: DeployedRelease, *, with_project: bool) -> str:
    release = short_release(deploy.release)
    return f"{release} ({deploy.project})" if with_project else release
