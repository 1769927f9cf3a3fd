"""Start and stop everything that the shop needs."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

from .errors import DemoFailed
from .folder import OutputFolder
from .mail_server import MailServer
from .partners import Partners
from .ports import HOST, free_port, wait_until_listening
from .processes import Process


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
        self.web_port = 0

    def __enter__(self) -> Self:
        self.mail_server.start()
        self.partners.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = [one for one in (self.web, self.worker) if one is not None]
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
        """Start a worker; ``wait_for_worker`` tells when it is at work."""
        self.worker = Process("runworker", "--concurrency", "4", log=self.folder.worker_log)

    def wait_for_worker(self, *, seconds: float = 30) -> None:
        """Wait until the worker has said in the database that it is there."""
        from django_jobs.models import Worker

        deadline = time.monotonic() + seconds
        while not Worker.objects.filter(state=Worker.State.RUNNING).exists():
            self.check()
            if time.monotonic() > deadline:
                words = self.worker.last_words() if self.worker else ""
                raise DemoFailed(f"the worker is not at work after {seconds:.0f} s. {words}")
            time.sleep(0.05)

    def start_web(self, preferred_port: int = 0) -> None:
        """Start the web server and wait until it listens. Django's own, which also serves the admin's style."""
        self.web_port = free_port(preferred_port)
        self.web = Process("runserver", "--noreload", "--insecure", f"{HOST}:{self.web_port}", log=self.folder.web_log)
        wait_until_listening(self.web_port, check=self.web.check)

    def check(self) -> None:
        """Raise DemoFailed where a process has ended by itself."""
        for process in (self.worker, self.web):
            if process is not None:
                process.check()
