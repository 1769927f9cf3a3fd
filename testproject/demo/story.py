"""The demo from beginning to end: orders, work, a dead letter, its redrive, and a look at everything."""

from __future__ import annotations

import time

from django.db.models import Q
from rich.console import Console
from rich.rule import Rule

from django_jobs.models import DeadLetter, Job
from django_jobs.operations import redrive
from django_jobs.policy.states import State
from testproject.shop.jobs import charge_card

from .checks import ACTOR, Check, alerts_received, alerts_wanted, look_at_all, look_at_export
from .display import display_for
from .errors import DemoFailed
from .events import Events, plain_name
from .limit_checks import look_at_limits
from .metrics_check import look_at_metrics
from .opening import open_shop, place_orders, say
from .shop_at_work import ShopAtWork
from .summary import print_checks, print_dead_letters, print_files, print_requests, print_work
from .watch import watch

REFUSED_REQUEST = "more-than-there-is"
SECONDS_TO_SETTLE = 120
SECONDS_FOR_ALERTS = 60


def tell(shop: ShopAtWork, console: Console, *, orders: int, pictures: int) -> bool:
    """Run the demo and tell whether all is as it should be. Raises DemoFailed where it cannot go on."""
    began = time.monotonic()
    events = Events()
    _headline(console, "A shop opens")
    shopper = open_shop(shop, console, pictures=pictures)
    place_orders(shopper, console, orders=orders, refused_request=REFUSED_REQUEST)

    _headline(console, "The worker works")
    _show_first_job(shop, console)
    _work(shop, console, events)

    _headline(console, "Dead letters")
    _redrive(shop, console)
    _work(shop, console, events)
    _wait_for_alerts(shop)
    shopper.ask_twice_for_a_receipt()

    _headline(console, "The end")
    export = look_at_export(shopper, shop.folder.media)
    checks = look_at_all(
        mail_server=shop.mail_server,
        partners=shop.partners,
        media=shop.folder.media,
        orders=orders,
        refused_request=REFUSED_REQUEST,
    )
    metrics = [look_at_metrics(shop.metrics_url)] if shop.metrics_url else []
    checks += [*look_at_limits(shop.partners), export, *metrics, _stop_worker(shop)]
    print_work(console)
    print_requests(console, shopper.replies)
    print_checks(console, checks)
    print_files(console, shop.folder.path)
    holds = all(check.holds for check in checks)
    _last_line(shop, console, holds=holds, seconds=time.monotonic() - began)
    return holds


def _headline(console: Console, text: str) -> None:
    if console.is_terminal:
        console.print(Rule(text, align="left", style="bold"))
    else:
        say(console, f"== {text}")


def _show_first_job(shop: ShopAtWork, console: Console) -> None:
    """Wait for the first job that has succeeded and tell of it."""
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while not (job := Job.objects.filter(state=State.SUCCEEDED).order_by("finished_at", "pk").first()):
        shop.check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"no job has succeeded within {SECONDS_TO_SETTLE} s")
        time.sleep(0.05)
    seconds = (job.finished_at - job.enqueued_at).total_seconds() if job.finished_at else 0.0
    say(
        console, f"The first job has finished: {plain_name(job.name)} #{job.pk}, {seconds:.1f} s after it was enqueued."
    )


def _work(shop: ShopAtWork, console: Console, events: Events) -> None:
    began = time.monotonic()
    with display_for(console) as display:
        watch(display, events, check=shop.check, seconds=SECONDS_TO_SETTLE)
    say(console, f"Settled after {time.monotonic() - began:.1f} s: nothing waits, nothing runs.\n")


def _redrive(shop: ShopAtWork, console: Console) -> None:
    """Show the dead letters, mend what killed one of the jobs, and run that one again."""
    unlucky = Q(job_name=charge_card.name)
    letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN).order_by("pk")
    print_dead_letters(console, letters)
    if not letters.filter(unlucky).exists():
        raise DemoFailed("no card was refused for good; the demo expects one dead letter of charge_card")
    shop.partners.mend_bank()
    redriven = redrive(unlucky, by=ACTOR)
    say(
        console,
        f"\nThe bank is mended; {redriven} dead letter is redriven. Where the carrier cannot go, no try helps:"
        " that one stays.\n",
    )


def _wait_for_alerts(shop: ShopAtWork) -> None:
    """Wait for the mails to the admins, which a worker sends in its own time; a check says what is missing."""
    deadline = time.monotonic() + SECONDS_FOR_ALERTS
    while alerts_received(shop.mail_server) < alerts_wanted() and time.monotonic() < deadline:
        shop.check()
        time.sleep(0.1)


def _stop_worker(shop: ShopAtWork) -> Check:
    what = "the worker stopped in order when it was told to"
    code = shop.worker.stop() if shop.worker else None
    return Check(what=what, wrong="" if code == 0 else f"its exit code is {code}; see {shop.folder.worker_log}")


def _last_line(shop: ShopAtWork, console: Console, *, holds: bool, seconds: float) -> None:
    if holds:
        say(console, f"\nAll is as it should be, after {seconds:.0f} s.", style="green")
        say(
            console,
            "See it live, with web server and admin: python3 testproject --serve",
        )
    else:
        worker = shop.worker.last_words() if shop.worker else ""
        say(console, f"\nNot all is as it should be: see WRONG above. {worker}", style="red")
