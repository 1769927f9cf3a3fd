from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models


class Customer(models.Model):
    """What jobs write to, and take as an argument. ``Visible`` shows that references pass the default manager by."""

    class Visible(models.Manager["Customer"]):
        def get_queryset(self) -> models.QuerySet[Customer]:
            return super().get_queryset().exclude(name="hidden")

    name = models.CharField(max_length=100)
    visits = models.IntegerField(default=0)

    objects = Visible()

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """A model whose key JSON has no word for."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=100)

    objects: ClassVar[models.Manager[Document]]

    def __str__(self) -> str:
        return self.title
