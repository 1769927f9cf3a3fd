"""Fill the shop: customers, products, and large pictures painted on the spot."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from django.contrib.auth import get_user_model
from django.db import transaction
from PIL import Image, ImageDraw

from testproject.shop.jobs import send_welcome
from testproject.shop.models import Account, Customer, Picture, Product

from .partners import UNREACHABLE_CITY

PICTURE_SIZE = (3000, 2000)
STAFF = "staff"
PEOPLE = [
    ("Ada Lovelace", "London"),
    ("Emmy Noether", "Erlangen"),
    ("Robinson Crusoe", UNREACHABLE_CITY),
    ("Grace Hopper", "New York"),
    ("Hedy Lamarr", "Vienna"),
    ("Katherine Johnson", "Hampton"),
    ("Maria Mitchell", "Nantucket"),
    ("Rosalind Franklin", "London"),
    ("Sofia Kovalevskaya", "Stockholm"),
    ("Wang Zhenyi", "Nanjing"),
]
PRODUCTS = [
    ("lamp", "Reading lamp", "49.90", 500),
    ("chair", "Oak chair", "129.00", 500),
    ("teapot", "Blue teapot", "24.50", 500),
    ("globe", "Celestial globe", "310.00", 500),
    ("orrery", "Brass orrery", "980.00", 0),
]
SOLD_OUT = "orrery"


def add_staff() -> None:
    """Make the superuser staff, whose password is staff."""
    get_user_model().objects.create_superuser(STAFF, "staff@example.org", STAFF)


def add_products() -> None:
    Account.objects.create(name="sales")
    Product.objects.bulk_create(
        Product(sku=sku, name=name, price=Decimal(price), stock=stock) for sku, name, price, stock in PRODUCTS
    )


def add_customers() -> int:
    """Save the customers and enqueue a welcome for each, in one transaction; return how many they are."""
    with transaction.atomic():
        customers = Customer.objects.bulk_create(
            Customer(name=name, email=f"{name.split()[0].lower()}@example.org", city=city) for name, city in PEOPLE
        )
        send_welcome.enqueue_many([{"customer_id": customer.pk} for customer in customers])
    return len(customers)


def add_pictures(number: int, *, media: Path, advance: Callable[[], None]) -> None:
    """Paint ``number`` pictures and save them; ``advance`` is called after each."""
    products = list(Product.objects.exclude(sku=SOLD_OUT))
    names = [f"pictures/originals/{products[at % len(products)].sku}-{at + 1:02}.jpg" for at in range(number)]
    (media / "pictures" / "originals").mkdir(parents=True)

    def paint_and_tell(at: int) -> None:
        paint(media / names[at], seed=at)
        advance()

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works outside of Python's lock
        list(pool.map(paint_and_tell, range(number)))
    Picture.objects.bulk_create(
        Picture(product=products[at % len(products)], original=name) for at, name in enumerate(names)
    )


def paint(path: Path, *, seed: int) -> None:
    """Paint coloured discs on a soft ground: the same for the same seed."""
    chance = random.Random(seed)
    width, height = PICTURE_SIZE
    grounds = [Image.linear_gradient("L").rotate(90 * chance.randrange(4)) for _ in range(3)]
    picture = Image.merge("RGB", grounds).resize(PICTURE_SIZE, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y, radius = chance.randrange(width), chance.randrange(height), chance.randrange(50, 350)
        colour = tuple(chance.randrange(40, 256) for _ in range(3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    picture.save(path, "JPEG", quality=85)
