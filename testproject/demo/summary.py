"""What a person wants to see at the end: who did how much, how long requests took, and where the files are."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from django_jobs.models import Attempt, DeadLetter
from django_jobs.policy.error_text import class_text
from django_jobs.policy.outcomes import AttemptOutcome

from .checks import Check
from .events import plain_name, short
from .shopper import Reply


@dataclass(slots=True)
class _Work:
    """What was done under one job name."""

    queue_name: str = ""
    jobs: set[int] = field(default_factory=set)
    tries: int = 0
    again: int = 0
    waited: list[float] = field(default_factory=list)
    ran: list[float] = field(default_factory=list)


def print_work(console: Console) -> None:
    """Print a line for each job name."""
    table = Table(title="The work", title_justify="left", box=None, padding=(0, 1))
    for heading in ("job", "queue", "jobs", "tries", "again", "waited", "ran", "in all"):
        table.add_column(heading, justify="left" if heading in {"job", "queue"} else "right", no_wrap=True)
    for name, work in sorted(_work_by_name().items()):
        table.add_row(
            plain_name(name),
            work.queue_name,
            str(len(work.jobs)),
            str(work.tries),
            str(work.again) if work.again else "",
            f"{statistics.median(work.waited or [0]):.2f} s",
            f"{statistics.median(work.ran or [0]):.2f} s",
            f"{sum(work.ran):.1f} s",
        )
    console.print(table)
    console.print("  (again: tries that failed or snoozed; waited and ran: the median of a try)\n", style="dim")


def print_requests(console: Console, replies: Sequence[Reply]) -> None:
    """Print how long the web requests took beside the work that they started."""
    accepted = [reply.seconds * 1000 for reply in replies if reply.status == 202]
    tries = [one for one in Attempt.objects.all() if one.duration]
    work = sum(one.duration.total_seconds() for one in tries if one.duration)
    span = max(one.finished_at for one in tries) - min(one.started_at for one in tries if one.started_at)
    console.print(
        f"{len(accepted)} requests were answered 202 Accepted: the median after"
        f" {statistics.median(accepted):.0f} ms, the slowest after {max(accepted):.0f} ms.\n"
        f"The work behind them took {work:.1f} s in the background, done within {span.total_seconds():.1f} s.\n",
        highlight=False,
        soft_wrap=True,
    )


def print_dead_letters(console: Console, letters: Iterable[DeadLetter]) -> None:
    """Print each letter as staff would see it."""
    for letter in letters:
        console.print(
            Text.assemble(
                ("  dead letter  ", "red bold"),
                f"{plain_name(letter.job_name)} #{letter.job_id}: {letter.reason} after {letter.attempt}"
                f" {'try' if letter.attempt == 1 else 'tries'}\n",
                f"               {class_text(letter.error_class)}: {short(letter.error_message, 100)}\n",
                (
                    f"               fingerprint {letter.fingerprint}, by which equal errors are grouped",
                    "dim",
                ),
            ),
            soft_wrap=True,
        )


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print what was looked at, and what is wrong."""
    console.print("Looked at and found", style="bold")
    for check in checks:
        mark = ("  ok     ", "green") if check.holds else ("  WRONG  ", "red bold")
        console.print(Text.assemble(mark, check.what), soft_wrap=True)
        if not check.holds:
            console.print(Text(f"         {check.wrong}", style="red"), soft_wrap=True)
    console.print()


def print_files(console: Console, folder: Path) -> None:
    """Print where the produced files are."""
    console.print("The files are yours to look at", style="bold")
    for what, where, pattern in (
        ("invoices", "media/invoices", "*.pdf"),
        ("pictures, smaller", "media/pictures", "[0-9]*/*.jpg"),
        ("mails", "mails", "*.eml"),
        ("the worker's log", ".", "worker.log"),
        ("the web server's log", ".", "web.log"),
        ("the database", ".", "shop.sqlite3"),
    ):
        found = [path for path in (folder / where).glob(pattern) if path.is_file()]
        size = sum(path.stat().st_size for path in found)
        shown = folder / where if len(found) != 1 else found[0]
        number = "file" if len(found) == 1 else "files"
        console.print(
            f"  {what:21} {len(found):3} {number:5} {size / 1e6:6.1f} MB  {shown}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _work_by_name() -> dict[str, _Work]:
    by_name: dict[str, _Work] = defaultdict(_Work)
    for one in Attempt.objects.select_related("job"):
        work = by_name[one.job.name]
        work.queue_name = one.job.queue_name
        work.jobs.add(one.job_id)
        work.tries += 1
        work.again += one.outcome in {AttemptOutcome.FAILED, AttemptOutcome.SNOOZED}
        if one.waited:
            work.waited.append(one.waited.total_seconds())
        if one.duration:
            work.ran.append(one.duration.total_seconds())
    return by_name
