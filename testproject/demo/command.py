"""The demo's command line: what ``python3 testproject`` does once it is in its environment."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

import django
from rich.console import Console

from .errors import DemoFailed
from .folder import OutputFolder
from .shop_at_work import ShopAtWork

ROOT = Path(__file__).resolve().parent.parent.parent
EXIT_FAILED, EXIT_STOPPED = 1, 130
FEWEST_ORDERS = 3
"""With fewer there is no unlucky card, no parcel that cannot be delivered and no call to be retried."""


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return the exit code: 0 where everything was as it should be."""
    options = parse(arguments)
    console = Console()
    # A closed terminal or a plain kill stops everything in order too, and so does Ctrl-C where a shell ignores it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with OutputFolder(options.output) as folder:
            return _run(options, folder, console)
    except DemoFailed as error:
        console.print(f"\nThe demo failed: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 0 if options.serve else EXIT_STOPPED


def _run(options: argparse.Namespace, folder: OutputFolder, console: Console) -> int:
    with ShopAtWork(folder) as shop:
        shop.use_environment()
        django.setup()
        # What uses models can be imported from here on.
        if options.serve:
            from .serve import serve

            serve(shop, console, orders=options.orders, pictures=options.pictures, port=options.port)
            return 0
        from .story import tell

        return 0 if tell(shop, console, orders=options.orders, pictures=options.pictures) else EXIT_FAILED


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python3 testproject",
        description="Show a small shop whose slow work is done in the background by django_jobs.",
        allow_abbrev=False,
    )
    parser.add_argument("--serve", action="store_true", help="keep web server, worker and admin up until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000, help="the web server's, with --serve (8000)")
    parser.add_argument("--orders", type=_orders, default=12, metavar="N", help="orders to place (12)")
    parser.add_argument("--pictures", type=int, default=20, metavar="N", help="pictures to resize (20)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "demo-output", metavar="FOLDER", help="where the files go"
    )
    return parser.parse_args(arguments)


def _orders(text: str) -> int:
    if text.isdecimal() and int(text) >= FEWEST_ORDERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number of at least {FEWEST_ORDERS}, got {text!r}")
