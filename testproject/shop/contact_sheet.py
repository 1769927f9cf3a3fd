"""Put many small pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from PIL import Image

COLUMNS, CELL = 10, 200
SHEET = "contact-sheets/pictures.jpg"


def draw_contact_sheet(names: Sequence[str]) -> str:
    """Write a sheet of the pictures of these names, below MEDIA_ROOT, and return its own; it is written over."""
    media = Path(settings.MEDIA_ROOT)
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, max(rows, 1) * CELL), "white")
    for at, name in enumerate(names):
        with Image.open(media / name) as file:
            file.thumbnail((CELL, CELL))
            sheet.paste(file, (at % COLUMNS * CELL, at // COLUMNS * CELL))
    (media / SHEET).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(media / SHEET, "JPEG")
    return SHEET
