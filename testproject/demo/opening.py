"""Fill an empty shop, open it, and let customers in."""

from __future__ import annotations

import time

from django.core.management import call_command
from rich.console import Console
from rich.progress import Progress

from . import samples
from .shop_at_work import ShopAtWork
from .shopper import Shopper


def open_shop(shop: ShopAtWork, console: Console, *, pictures: int, port: int = 0) -> Shopper:
    """Migrate, load samples, start worker and web server, and return somebody who buys."""
    say(console, f"Migrating a new SQLite database in {shop.folder.path} ...")
    call_command("migrate", verbosity=0)
    call_command("createcachetable")
    samples.add_staff()
    samples.add_products()
    _add_pictures(shop, console, pictures)
    say(console, "Starting a worker and a web server ...")
    shop.start_worker()
    shop.start_web(port)
    shopper = Shopper(shop.web_port)
    shopper.get_home()
    shop.wait_for_worker()
    say(console, f"Started mail server, partners, worker, and a web server at {shop.url}, each with its log")
    return shopper


def place_orders(shopper: Shopper, console: Console, *, orders: int, refused_request: str) -> None:
    """Register customers, place orders and have pictures resized; the work begins meanwhile."""
    customers = samples.add_customers()
    shopper.resize_pictures()
    for at in range(orders):
        shopper.order(at)
    shopper.order_sold_out(refused_request)
    seconds = sum(reply.seconds for reply in shopper.replies)
    say(
        console,
        f"Registered {customers} customers and sent {len(shopper.replies)} requests, {orders} of them orders,"
        f" in {seconds:.2f} s. The work goes on without them.\n",
    )


def say(console: Console, text: str, style: str = "") -> None:
    """Print a paragraph as it is."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def _add_pictures(shop: ShopAtWork, console: Console, number: int) -> None:
    width, height = samples.PICTURE_SIZE
    say(console, f"Painting {number} pictures of {width} x {height} pixels ...")
    began = time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Painting pictures", total=number)
        samples.add_pictures(number, media=shop.folder.media, advance=lambda: progress.advance(task))
    say(console, f"Painted after {time.monotonic() - began:.1f} s")
