"""Write the pages of the documentation that are made from code: ``python -m tests.docs``."""

from __future__ import annotations

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.test_settings")
    django.setup()
    from .made import write_all

    write_all()
