"""Write the Python of each page into a file of its own, for mypy: ``python -m tests.docs.typed FOLDER``.

What a page leaves out (a model, a helper of the reader's) is no error; a wrong option, argument or import of
django_jobs is. tests/docs/typed.ini says which errors count.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .pages import DOCS, PAGES, blocks

HEAD = "# mypy: ignore-missing-imports\n"


def main(folder: Path) -> None:
    """Write them, one file for each page."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for page in PAGES:
        parts = [text for language, text in blocks(page) if language == "python"]
        if parts:
            name = page.relative_to(DOCS) if page.is_relative_to(DOCS) else Path("readme.md")
            file = folder / ("_".join(name.with_suffix("").parts).replace("-", "_").lower() + ".py")
            file.write_text(HEAD + "\n".join(parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
