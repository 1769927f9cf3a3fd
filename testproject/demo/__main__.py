"""Run the demo in the environment at hand: ``python -m testproject.demo``; ``python3 testproject`` makes one."""

import sys

from .command import main

sys.exit(main(sys.argv[1:]))
