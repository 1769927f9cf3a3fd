"""Waits before the next attempt: ``Exponential``, ``Linear``, ``Constant``."""

from .policy.backoff import Constant, Exponential, Linear

__all__ = ["Constant", "Exponential", "Linear"]
