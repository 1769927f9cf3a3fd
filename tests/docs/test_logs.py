"""The examples of the how-to on logs do what it says of them."""

from __future__ import annotations

import re

import pytest

from tests.databases import ROOT

IMPORT_ROWS, READ = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "logs.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", [IMPORT_ROWS, READ])
def test_the_examples_are_python(example: str) -> None:
    compile(example, "logs.md", "exec")
