"""How the end of a process is told."""

from __future__ import annotations

import signal

from django_jobs.worker.system.exit_codes import describe_exit


def test_the_end_by_any_signal_has_a_description() -> None:
    """Real-time signals, which profilers and debuggers send, have numbers without a name of their own."""
    told = [describe_exit(-number) for number in range(1, signal.NSIG)]
    assert len(set(told)) == signal.NSIG - 1
    assert told[signal.SIGKILL - 1] == "killed by SIGKILL"
    assert told[signal.SIGRTMIN + 5] == f"killed by signal {signal.SIGRTMIN + 6}"
