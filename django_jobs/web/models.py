"""Tokens with which services that are not Python enqueue jobs over HTTP."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..models.base import MAX_ACTOR_LENGTH, JobsManager, NameField
from .token_text import KEY_LENGTH

MAX_TOKEN_NAME_LENGTH = 100
SECRET_HASH_LENGTH = 64


class Token(models.Model):
    """The jobs that one service may enqueue: those in ``job_names``; an empty list allows none.

    ``reads_metrics``: it may read the metrics of the service. Of the secret only its hash is stored. A revoked token
    stays as a record. Written by ``web.tokens`` only.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=MAX_TOKEN_NAME_LENGTH)
    key = NameField(_("key"), max_length=KEY_LENGTH, unique=True)
    secret_hash = models.CharField(max_length=SECRET_HASH_LENGTH)
    job_names = models.JSONField(default=list)
    reads_metrics = models.BooleanField(_("may read metrics"), default=False)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=MAX_ACTOR_LENGTH, default="")

    objects = JobsManager["Token"]()

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")
        default_permissions = ("add", "view")
        permissions = [("revoke_token", _("Can revoke tokens"))]

    def __str__(self) -> str:
        return f"{self.name} ({self.key})"

    @property
    def is_revoked(self) -> bool:
        """True if requests with it are refused."""
        return self.revoked_at is not None

    def allows(self, job_name: str) -> bool:
        """Tell whether jobs of this name may be enqueued with it."""
        return job_name in self.job_names
