from __future__ import annotations

from pathlib import Path

from .running import environment, run


def test_the_shops_own_tests_pass_as_a_users_would(tmp_path: Path) -> None:
    """They cover the view (202; a rollback enqueues nothing) and the jobs, run by ``drain()``."""
    code, output = run("testproject/manage.py", "test", "testproject.shop", env=environment(SHOP_OUTPUT=str(tmp_path)))

    assert code == 0, output
    assert "OK" in output
