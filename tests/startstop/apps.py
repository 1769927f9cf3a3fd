from django.apps import AppConfig

from django_jobs.signals import worker_started, worker_stopping

from . import on_started, on_stopping


class StartStopConfig(AppConfig):
    name = "tests.startstop"

    def ready(self) -> None:
        worker_started.connect(on_started)
        worker_stopping.connect(on_stopping)
