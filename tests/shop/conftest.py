from __future__ import annotations

from tests.databases import chosen_vendor

# The shop is on SQLite whatever the tests are on: once is enough.
collect_ignore_glob = [] if chosen_vendor() == "sqlite" else ["test_*.py"]
