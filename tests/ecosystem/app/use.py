"""Small uses of packages whose source distributions have no tests of their own; ``test_packages`` runs them."""

from __future__ import annotations

import io

from crontask import scheduler
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase
from django.utils.module_loading import import_string
from PIL import Image

from django_jobs.models import Job
from django_jobs.testing import drain

from .models import Book, Profile


class PicturesTest(TestCase):
    def test_upload_is_rendered_by_a_task(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (400, 400)).save(file, "JPEG")
        with self.captureOnCommitCallbacks(execute=True):
            profile = Profile.objects.create(picture=SimpleUploadedFile("ada.jpg", file.getvalue()))
        (picture,) = profile.picture.get_picture_files_list()
        job = Job.objects.get()
        assert (job.queue_name, picture.path.exists()) == ("pictures", False)

        drained = drain()

        assert drained.succeeded == 1
        with Image.open(picture.path) as rendered:
            assert (rendered.format, rendered.width) == ("WEBP", picture.width)


class CrontaskTest(TestCase):
    def test_tick_enqueues_a_task(self) -> None:
        import_string("tests.ecosystem.app.tasks.water_plants")
        (scheduled,) = [job for job in scheduler.get_jobs() if job.name == "water_plants"]

        result = scheduled.func(*scheduled.args, **scheduled.kwargs)
        drain()

        result.refresh()
        assert result.return_value == "watered"

    def test_heartbeat_is_a_task(self) -> None:
        heartbeat = import_string("crontask.tasks.heartbeat")

        result = heartbeat.enqueue()

        assert drain().succeeded == 1
        result.refresh()
        assert result.is_finished


class ModelsearchTest(TestCase):
    """modelsearch imports the backport, ``django_tasks``, whatever the version of Django."""

    def test_saved_object_is_indexed_by_a_task(self) -> None:
        Book.objects.create(title="The Left Hand of Darkness")
        assert list(Book.objects.search("darkness")) == []

        assert drain().succeeded == 1

        assert [book.title for book in Book.objects.search("darkness")] == ["The Left Hand of Darkness"]
