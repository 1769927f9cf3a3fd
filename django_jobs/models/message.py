"""Messages of brokers: sources and how far each is read, ids that were received, consumers, brokers that are down."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..conf.brokers import MAX_BROKER_NAME_LENGTH
from ..conf.readers import MAX_NAME_LENGTH
from .base import MAX_ACTOR_LENGTH, JobsManager, NameField

MAX_SOURCE_NAME_LENGTH = 255
MAX_GROUP_LENGTH = 100
MAX_POSITION_LENGTH = 64
MAX_PARTITION_LENGTH = 64


class MessageSource(models.Model):
    """A topic, queue, stream or subscription that ``@consumes`` names; a consumer inserts the row.

    The counts are added up by consumers every few seconds, so a crash may leave out a few. A paused source is not read.
    ``stopped_reason``: why a consumer has stopped reading a queue (``on_poison="stop"``); empty while it goes on.
    """

    id = models.BigAutoField(primary_key=True)
    broker = NameField(_("broker"), max_length=MAX_BROKER_NAME_LENGTH)
    name = NameField(max_length=MAX_SOURCE_NAME_LENGTH)
    group = NameField(max_length=MAX_GROUP_LENGTH, db_column="consumer_group")
    job_name = NameField(max_length=MAX_NAME_LENGTH, default="")
    created_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    received = models.BigIntegerField(_("received"), default=0)
    duplicates = models.BigIntegerField(_("duplicates"), default=0)
    poison = models.BigIntegerField(_("poison"), default=0)
    last_received_at = models.DateTimeField(null=True)
    backlog = models.BigIntegerField(null=True)
    error = models.TextField(default="")
    error_at = models.DateTimeField(null=True)
    stopped_reason = models.TextField(default="")

    objects = JobsManager["MessageSource"]()

    class Meta:
        verbose_name = _("message source")
        verbose_name_plural = _("brokers")
        default_permissions = ("view",)
        permissions = [("pause_messagesource", _("Can pause, resume and replay message sources"))]
        constraints = [
            models.UniqueConstraint(name="django_jobs_source_unique", fields=["broker", "name", "group"]),
        ]

    def __str__(self) -> str:
        return f"{self.broker}/{self.name}{f'@{self.group}' if self.group else ''}"


class SourcePartition(models.Model):
    """How far one partition of a log is read: ``next_position`` is where the next batch begins.

    It moves in the transaction that inserts the batch's jobs, by an UPDATE that names the position it was read from.
    ``owner`` is the consumer that reads it until ``owned_until``: that shares the work and is no guard.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(MessageSource, on_delete=models.CASCADE, related_name="partitions", db_index=False)
    partition = NameField(max_length=MAX_PARTITION_LENGTH, db_column="source_partition")
    next_position = NameField(max_length=MAX_POSITION_LENGTH)
    moved_at = models.DateTimeField(null=True)
    lag = models.BigIntegerField(null=True)
    owner = models.UUIDField(null=True)
    owned_until = models.DateTimeField(null=True)
    stopped_reason = models.TextField(default="")

    objects = JobsManager["SourcePartition"]()

    class Meta:
        verbose_name = _("source partition")
        verbose_name_plural = _("source partitions")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="django_jobs_partition_unique", fields=["source", "partition"]),
        ]

    def __str__(self) -> str:
        return f"partition {self.partition} of source {self.source_id}"


class ReceivedId(models.Model):
    """The id of a message that was received from a queue: its second delivery makes no job. The inbox.

    ``digest`` is a hash of source and id. Kept for the setting ``RETENTION["INBOX"]``.
    """

    digest = models.UUIDField(primary_key=True)
    received_at = models.DateTimeField()

    objects = JobsManager["ReceivedId"]()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(name="django_jobs_inbox_received", fields=["received_at", "digest"])]

    def __str__(self) -> str:
        return self.digest.hex[:8]


class MessageConsumer(models.Model):
    """A thread of ``manage.py jobs consume`` that reads a source; alive while its heartbeat is fresh."""

    id = models.UUIDField(primary_key=True)
    source = models.ForeignKey(MessageSource, on_delete=models.CASCADE, related_name="consumers")
    hostname = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()

    objects = JobsManager["MessageConsumer"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid} of source {self.source_id}"


class BrokerOutage(models.Model):
    """A broker that does not take messages now, since when, and what it last said; no row: it does."""

    broker = NameField(max_length=MAX_BROKER_NAME_LENGTH, primary_key=True)
    since = models.DateTimeField()
    checked_at = models.DateTimeField()
    error = models.TextField(default="")

    objects = JobsManager["BrokerOutage"]()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.broker} since {self.since}"
