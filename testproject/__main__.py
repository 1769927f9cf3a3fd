"""Show the shop at work: ``python3 testproject``, or ``python3 testproject --serve`` to keep it open.

The first start makes a virtual environment in ``.venv-demo``, with nothing but Python; later
ones find it there.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts this folder first on the path; the package "testproject" is found one above.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from testproject.bootstrap import DEMO, ensure_environment  # noqa: E402 - see above

if __name__ == "__main__":
    ensure_environment(DEMO)
    from testproject.demo.command import main

    sys.exit(main(sys.argv[1:]))
