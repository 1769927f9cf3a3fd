"""Schedules and their ticks: when each was due, its outcome and its job."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import project_name
from ..conf.readers import MAX_NAME_LENGTH, MAX_PROJECT_LENGTH, MAX_QUEUE_NAME_LENGTH
from ..policy.cron import MAX_EXPRESSION_LENGTH
from ..policy.overlap import Overlap
from ..policy.schedule import CatchUp, TickPolicy, Timing
from .base import MAX_ACTOR_LENGTH, NameField, SchedulesManager
from .job import Job
from .labels import CATCH_UP_LABELS, OVERLAP_LABELS, TICK_OUTCOME_LABELS, choices

MAX_ZONE_LENGTH = 64


class CronSchedule(models.Model):
    """A recurring enqueue of one job with fixed arguments.

    ``next_due_at`` is the next undecided tick, ``next_check_at`` when a scheduler next reads the row: None while it is
    paused, disabled (no code defines it any more) or has a ``problem``. ``defined_at`` is when the code that wrote the
    row started, ``project`` whose code that was, or where staff wrote the row.
    """

    id = models.BigAutoField(primary_key=True)
    name = NameField(_("name"), max_length=MAX_NAME_LENGTH, unique=True)
    job_name = NameField(_("job name"), max_length=MAX_NAME_LENGTH)
    arguments = models.JSONField(_("arguments"), default=dict)
    queue_name = NameField(max_length=MAX_QUEUE_NAME_LENGTH)
    priority = models.SmallIntegerField(default=0)
    max_attempts = models.SmallIntegerField()
    expires = models.DurationField(null=True)

    cron = models.CharField(_("cron expression"), max_length=MAX_EXPRESSION_LENGTH, default="", blank=True)
    every = models.DurationField(_("period"), null=True, blank=True)
    timezone = models.CharField(_("time zone"), max_length=MAX_ZONE_LENGTH, default="UTC")
    jitter = models.DurationField(_("jitter"), default=timedelta(0))
    overlap = models.CharField(
        _("overlap"),
        max_length=10,
        choices=choices(OVERLAP_LABELS),
        default=Overlap.SKIP.value,
    )
    catch_up = models.CharField(
        _("catch up"),
        max_length=10,
        choices=choices(CATCH_UP_LABELS),
        default=CatchUp.LATEST.value,
    )
    catch_up_limit = models.SmallIntegerField(_("catch up limit"), default=10)

    is_from_code = models.BooleanField(_("from code"), default=False)
    project = models.CharField(_("project"), max_length=MAX_PROJECT_LENGTH, default=project_name)
    defined_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    disabled_at = models.DateTimeField(null=True)
    problem = models.TextField(default="")
    next_due_at = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True)

    objects = SchedulesManager["CronSchedule"]()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        indexes = [models.Index(name="django_jobs_schedule_check", fields=["next_check_at"])]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def timing(self) -> Timing:
        """Its cron expression or interval, with time zone and jitter."""
        return Timing(name=self.name, cron=self.cron, every=self.every, timezone=self.timezone, jitter=self.jitter)

    @property
    def tick_policy(self) -> TickPolicy:
        """Its handling of overlapping and missed ticks. Raises ValueError for unknown values."""
        return TickPolicy(
            overlap=Overlap(self.overlap),
            catch_up=CatchUp(self.catch_up),
            catch_up_limit=self.catch_up_limit,
        )

    @property
    def status(self) -> str:
        """``active``, ``paused``, ``disabled`` (no code defines it any more) or ``broken`` (see ``problem``)."""
        if self.disabled_at is not None:
            return "disabled"
        if self.problem:
            return "broken"
        return "paused" if self.paused_at is not None else "active"

    @property
    def is_firing(self) -> bool:
        """True while schedulers check it."""
        return self.next_check_at is not None

    def upcoming(self, after: datetime, number: int) -> list[datetime]:
        """Return the next ``number`` ticks after ``after``, in UTC. Raises CronError for an invalid expression."""
        instants = self.timing.upcoming(after)
        return [instant for _, instant in zip(range(number), instants, strict=False)]


class Tick(models.Model):
    """One firing of a schedule. Unique by schedule and ``due_at``, so that each tick fires once.

    ``is_open`` until the schedule has noticed the end of its job. ``requested_by`` is the user who ran the schedule by
    hand; ``due_at`` is then the time of the request.
    """

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        CronSchedule, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="ticks"
    )
    due_at = models.DateTimeField()
    decided_at = models.DateTimeField()
    outcome = models.CharField(_("outcome"), max_length=10, choices=choices(TICK_OUTCOME_LABELS))
    reason = models.TextField(_("reason"), default="")
    job = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="ticks"
    )
    is_open = models.BooleanField(default=False)
    requested_by = models.CharField(_("requested by"), max_length=MAX_ACTOR_LENGTH, default="")

    objects = SchedulesManager["Tick"]()

    class Meta:
        verbose_name = _("tick")
        verbose_name_plural = _("ticks")
        default_permissions = ("view",)
        indexes = [models.Index(name="django_jobs_tick_open", fields=["is_open", "schedule"])]
        constraints = [
            models.UniqueConstraint(name="django_jobs_tick_unique", fields=["schedule", "due_at"]),
        ]

    def __str__(self) -> str:
        return gettext("tick %(id)s: %(outcome)s") % {"id": self.pk, "outcome": self.get_outcome_display()}

    @property
    def late_by(self) -> timedelta:
        """Delay between due time and decision."""
        return self.decided_at - self.due_at
