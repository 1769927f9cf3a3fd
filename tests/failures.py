"""A plugin of pytest that shows each failure as it comes, in two lines; the tracebacks follow at the end."""

from __future__ import annotations

import pytest


class ShowFailures:
    """Writes by the terminal reporter, also of what the processes of pytest-xdist report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failed test, or a failed fixture."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)
            terminal.write_line(f"    {_first_line(report)}")


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = f"{crash.path}:{crash.lineno}: {crash.message}" if crash else str(report.longrepr)
    return next(iter(text.strip().splitlines()), "")


def pytest_configure(config: pytest.Config) -> None:
    """Register it in the process that has the terminal."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(ShowFailures(config))
