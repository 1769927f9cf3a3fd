#!/usr/bin/env python
"""Django's commands for the shop, such as ``manage.py runworker`` and ``manage.py jobs status``."""

import os
import sys
from pathlib import Path

# Python puts this file's folder first on the path; the package "testproject" is found one above.
sys.path[0] = str(Path(__file__).resolve().parent.parent)


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
