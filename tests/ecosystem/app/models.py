"""Models of a project that uses the packages."""

from __future__ import annotations

from django.db import models
from modelsearch import index
from modelsearch.queryset import SearchableQuerySetMixin
from pictures.models import PictureField


class Profile(models.Model):  # noqa: DJ008 - never shown
    """Has a picture, which django-pictures renders in other sizes."""

    picture = PictureField(upload_to="profiles", aspect_ratios=[None])


class BookQuerySet(SearchableQuerySetMixin, models.QuerySet["Book"]):
    pass


class Book(index.Indexed, models.Model):  # noqa: DJ008 - never shown
    """Is indexed by modelsearch when it is saved."""

    title = models.CharField(max_length=100)

    objects = BookQuerySet.as_manager()
    search_fields = [index.SearchField("title")]
