"""Shared parts of the admin pages: the base class, paging, filters, labels and permissions."""
