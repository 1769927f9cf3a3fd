"""What ends a demo early."""

from __future__ import annotations


class DemoFailed(Exception):
    """Something is not as it should be; the message says what, in a sentence for a person."""
