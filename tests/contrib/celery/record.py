"""Record what real Celery does with ``original/``: ``python tests/contrib/celery/record.py``, with celery.

It runs the calls of ``cases.py`` with task_always_eager and writes ``recorded.txt``, to which tests hold django_jobs.
"""

from __future__ import annotations

import logging
import sys
from io import StringIO
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    import celery

    sys.path.insert(0, str(HERE / "original"))
    from bakery.cases import CASES, GROUPS
    from bakery.celery import app

    lines = StringIO()
    logging.basicConfig(level=logging.INFO, stream=lines, format="%(message)s")
    app.conf.task_always_eager = True
    app.loader.import_default_modules()
    text = [f"Celery {celery.__version__}, eager"]
    for label, call in CASES.items():
        lines.truncate(lines.seek(0))
        result = call()
        diary = [line for line in lines.getvalue().splitlines() if line.startswith("DIARY")]
        text += [f"# {label}", *diary, f"{result.state} {result.result!r}"]
    for label, call in GROUPS.items():
        text += [f"# {label}", f"{call().get()!r}"]
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "recorded.txt"
    target.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
