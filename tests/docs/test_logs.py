"""The examples of the how-to on logs do what it says of them."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog

from django_jobs.testing.fake_context import fake_context
from tests.databases import ROOT

IMPORT_ROWS, READ, JSON_LINES, LOGGING, STRUCTLOG = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "logs.md").read_text(), re.DOTALL
)


@pytest.mark.parametrize("example", [IMPORT_ROWS, READ])
def test_the_examples_are_python(example: str) -> None:
    compile(example, "logs.md", "exec")


def test_the_formatter_can_be_named_in_the_settings(tmp_path: Path) -> None:
    """Django configures logging before it loads apps."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "logs.py").write_text(JSON_LINES)
    (tmp_path / "shop_settings.py").write_text(f"from testproject.test_settings import *\n{LOGGING}")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'shop_settings'\n"
        "import django; django.setup()\n"
        "from tests.worker.contexts import *; from tests.worker.execution.test_end_log import *\n"
        "execute(claim_of(talk, ''), make_context(RecordedEvents()))\n"
        "logging.getLogger('shop').warning('outside')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    own, failed, outside = map(json.loads, ran.stderr.splitlines())
    of_job = {"job_id": 7, "job_name": "tests.end_log.talk", "attempt": 1, "request_id": "f00-1"}
    assert (own["message"], own["logger"]) == ("a line of the job", "shop")
    assert own.items() >= of_job.items()
    assert (failed["level"], failed["logger"], failed["queue_name"]) == ("WARNING", "django_jobs.worker", "mail")
    assert failed.items() >= of_job.items()
    assert failed["traceback"].startswith("Traceback (most recent call last):\n")
    assert failed["traceback"].endswith("ValueError: invalid literal for int() with base 10: 'no number'")
    assert "job_id" not in outside


def test_structlog_renders_its_own_records_and_those_of_others_with_the_job() -> None:
    names: dict[str, Any] = {}
    handler = logging.StreamHandler(stream := StringIO())
    logger = logging.getLogger("docs.structlog")
    logger.addHandler(handler)
    try:
        exec(compile(STRUCTLOG, "structured.py", "exec"), names)
        handler.setFormatter(names["formatter"]())
        with fake_context() as job:
            structlog.get_logger("docs.structlog").warning("no price", row=7)
            logger.warning("another")
        logger.error("is dead", extra={"job_id": 9})
    finally:
        logger.removeHandler(handler)
        structlog.reset_defaults()
    own, another, worker = map(json.loads, stream.getvalue().splitlines())
    assert (own["event"], own["row"], own["job_id"], own["level"]) == ("no price", 7, job.job_id, "warning")
    assert (another["event"], another["job_id"]) == ("another", job.job_id)
    assert (worker["event"], worker["job_id"]) == ("is dead", 9)
