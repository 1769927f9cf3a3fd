"""Errors that need no server to be understood: the driver or Django refused the data."""

from __future__ import annotations

from django.db import DataError, IntegrityError

REFUSED_BY_DRIVER = (DataError, IntegrityError, ValueError, TypeError, OverflowError)
"""Data that the database or its driver does not take, whatever the vendor: text with NUL, a number of 70 bits."""
