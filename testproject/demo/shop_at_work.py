"""Start and stop everything that the shop needs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import DemoFailed
from .folder import OutputFolder
from .mail_server import MailServer
from .partners import Partners
from .ports import HOST, port_to_listen_on
from .processes import Process

ROOT = Path(__file__).resolve().parents[2]


class ShopAtWork:
    """Mail server and partners in this process; worker and web server in processes of their own.

    Used in a ``with``: whatever happens inside, all of it is stopped at the end, and killed where Ctrl-C
    comes once more.
    """

    def __init__(self, folder: OutputFolder) -> None:
        self.folder = folder
        self.mail_server = MailServer(folder.mails)
        self.partners = Partners()
        self.worker: Process | None = None
        self.web: Process | None = None
        self.consumer: Process | None = None
        self.web_port = 0
        self.metrics_url = ""

    def __enter__(self) -> Self:
        self.mail_server.start()
        self.partners.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = [one for one in (self.web, self.worker, self.consumer) if one is not None]
        try:
            for process in processes:
                process.stop()
        except KeyboardInterrupt:
            for process in processes:
                process.kill()
        self.partners.stop()
        self.mail_server.stop()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.web_port}/"

    def environment(self) -> dict[str, str]:
        """Return what tells the shop's settings where all is."""
        return {
            "DJANGO_SETTINGS_MODULE": "testproject.settings",
            "SHOP_OUTPUT": str(self.folder.path),
            "SHOP_SMTP_PORT": str(self.mail_server.port),
            "SHOP_PARTNERS_URL": self.partners.url,
        }

    def use_environment(self) -> None:
        """Make Django, here and in the processes started from now on, use this shop."""
        os.environ.update(self.environment())

    def start_worker(self) -> None:
        """Start a worker; ``wait_for_worker`` tells when it is at work. With a broker its messages are read, too."""
        from django.conf import settings

        if settings.SHOP_BROKER != "database:":
            self.consumer = Process("jobs", "consume", log=self.folder.consumer_log)
            self.consumer.wait_for_words("consuming (.+)")  # by then it has created the queue
        self.worker = Process("runworker", "--concurrency", "4", "--health-port", "0", log=self.folder.worker_log)

    def wait_for_worker(self, *, seconds: float = 60) -> None:
        """Wait until the worker has said in the database that it is there."""
        from django.conf import settings

        from django_jobs.models import Worker

        deadline = time.monotonic() + seconds
        while not Worker.objects.filter(state=Worker.State.RUNNING).exists():
            self.check()
            if time.monotonic() > deadline:
                words = self.worker.last_words() if self.worker else ""
                raise DemoFailed(f"the worker is not at work after {seconds:.0f} s. {words}")
            time.sleep(0.05)
        if self.worker is not None and settings.DJANGO_JOBS["METRICS"]["PROMETHEUS"]:
            self.metrics_url = self.worker.wait_for_words(r"metrics +(http://\S+)")[1]

    def start_web(self, preferred_port: int = 0) -> None:
        """Start the web server and wait until it listens: an ASGI server, which keeps event streams without threads."""
        port = port_to_listen_on(preferred_port)
        self.web = Process(
            "testproject.demo.web:application",
            *("--app-dir", str(ROOT), "--host", HOST, "--port", str(port), "--lifespan", "off"),
            *("--timeout-graceful-shutdown", "1", "--no-access-log"),
            program=("-m", "uvicorn"),
            log=self.folder.web_log,
        )
        self.web_port = int(self.web.wait_for_words(rf"running on http://{HOST}:(\d+)")[1])

    def check(self) -> None:
        """Raise DemoFailed where a process has ended by itself."""
        for process in (self.worker, self.web, self.consumer):
            if process is not None:
                process.check()
