"""Bulk actions on everything that matches a list's filter: of dead letters and of jobs, by the same pages."""
