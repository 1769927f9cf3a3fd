"""Work off the limit's jobs in a process with nothing but the driver.

Arguments: the vendor, the database's name, and whether to ``serve`` until stopped or to ``drain`` what is there once a
line comes in; then it tells when it began and ended (seconds since the epoch), and how many jobs it had, as JSON. The
limit's tables are there already.
"""

from __future__ import annotations

import json
import sys
import time

from tests.benchmarks.limits import base, open_limit
from tests.benchmarks.servers import open_server


def main(vendor: str, name: str, way: str) -> None:
    limit = open_limit(vendor, open_server(vendor, name), makes_tables=False)
    print("ready", flush=True)
    if way == "serve":
        base.serve(limit, sys.maxsize)
    sys.stdin.readline()
    since_epoch = time.time() - time.monotonic()
    stamps = base.drain(limit, None)
    ends = (stamps[0][0], stamps[-1][0]) if stamps else ()
    print(json.dumps([*(since_epoch + seconds for seconds in ends), sum(jobs for _, jobs in stamps)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
