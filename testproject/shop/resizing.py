"""Make smaller files of one large picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from PIL import Image

WIDTHS = (1600, 800, 400, 200)
QUALITY = 85


def resize(original: str, *, widths: tuple[int, ...] = WIDTHS) -> Iterator[tuple[int, str]]:
    """Write one file a width and yield ``(width, name)`` as each is done; names are below MEDIA_ROOT.

    Each width is made of the one before, which costs a third of going back to the original. Files of an
    earlier run are written over: a job may run twice.
    """
    media = Path(settings.MEDIA_ROOT)
    with Image.open(media / original) as file:
        picture: Image.Image = file
        shape = file.height / file.width
        for width in sorted(widths, reverse=True):
            picture = picture.resize((width, round(width * shape)), Image.Resampling.LANCZOS)
            name = f"pictures/{width}/{Path(original).stem}.jpg"
            (media / name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(media / name, "JPEG", quality=QUALITY, optimize=True)
            yield width, name
