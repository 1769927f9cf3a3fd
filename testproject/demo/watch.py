"""Watch the queue until it has settled."""

from __future__ import annotations

import time
from collections.abc import Callable

from .display import Display
from .errors import DemoFailed
from .events import Events
from .snapshot import Snapshot, take_snapshot

LOOK_SECONDS = 0.1


def watch(
    display: Display,
    events: Events,
    *,
    check: Callable[[], None],
    seconds: float,
    until: Callable[[Snapshot], bool] = lambda snapshot: snapshot.is_settled,
) -> None:
    """Show what happens until ``until`` holds. Raises DemoFailed after ``seconds``; ``check`` may raise it earlier."""
    deadline = time.monotonic() + seconds
    while True:
        check()
        # The events first: what a try left behind is then never shown before the try itself.
        for line, style in events.take():
            display.say(line, style)
        snapshot = take_snapshot()
        display.show(snapshot)
        if until(snapshot):
            for line, style in events.take():
                display.say(line, style)
            return
        if time.monotonic() > deadline:
            raise DemoFailed(
                f"the work has not settled after {seconds:.0f} s:"
                f" {snapshot.total - snapshot.finished} of {snapshot.total} jobs have not ended"
            )
        time.sleep(LOOK_SECONDS)
