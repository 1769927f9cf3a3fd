"""Keep the shop open: web server, worker and admin stay up until Ctrl-C."""

from __future__ import annotations

from rich.console import Console
from rich.panel import Panel

from testproject.shop.jobs import charge_card

from .display import display_for
from .events import Events
from .opening import open_shop, place_orders, say
from .samples import STAFF
from .shop_at_work import ShopAtWork
from .snapshot import Snapshot
from .story import REFUSED_REQUEST
from .watch import watch

FOR_EVER = float("inf")


def serve(shop: ShopAtWork, console: Console, *, orders: int, pictures: int, port: int) -> None:
    """Open the shop, place some orders, and stay. The bank is mended once a card has been refused for good."""
    shopper = open_shop(shop, console, pictures=pictures, port=port)
    place_orders(shopper, console, orders=orders, refused_request=REFUSED_REQUEST)
    _welcome(shop, console)

    def never(snapshot: Snapshot) -> bool:
        if any(letter.job_name == charge_card.name for letter in snapshot.dead_letters):
            shop.partners.mend_bank()
        return False

    with display_for(console) as display:
        watch(display, Events(), check=shop.check, seconds=FOR_EVER, until=never)


def _welcome(shop: ShopAtWork, console: Console) -> None:
    text = (
        f"The shop       {shop.url}\n"
        f"The admin      {shop.url}admin/   user {STAFF}, password {STAFF}\n"
        f"Dead letters   {shop.url}admin/django_jobs/deadletter/   redrive that of charge_card\n"
        f"Schedules      {shop.url}admin/django_jobs/cronschedule/\n"
        f"Mails          {shop.folder.mails}\n"
        + (f"Metrics        {shop.metrics_url}\n" if shop.metrics_url else "")
        + "To stop        Ctrl-C"
    )
    if console.is_terminal:
        console.print(Panel(text, title="Open", title_align="left", expand=False))
    else:
        say(console, text)
