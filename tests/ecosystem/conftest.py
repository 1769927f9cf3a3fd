from __future__ import annotations

import os

from tests.ecosystem.sources import SOURCES, wanted_sources

# ``python3 tests/ecosystem`` installs what these need, and sets this.
collect_ignore_glob = [] if os.environ.get(SOURCES) else ["test_*.py"]
if len(wanted_sources()) == 1:
    collect_ignore_glob += ["test_packages.py", "test_themes.py"]
