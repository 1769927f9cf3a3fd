"""Build the site of the documentation: ``sphinx-build -W docs test-output/site``.

The navigation is read from the lists of links in ``index.md``, which GitHub shows as they are: a section there is a
caption here. Links to files outside of ``docs`` become addresses in the repository. ``llms.txt``, for language models,
is made from the same lists.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
PACKAGE = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]
REPOSITORY = PACKAGE["urls"]["Source"]

project = "django_jobs"
author = "The django_jobs maintainers"
project_copyright = author
release = re.findall(r'__version__ = "(.+)"', (DOCS.parent / "django_jobs" / "__init__.py").read_text())[0]
extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]
root_doc = "index"
nitpicky = True
exclude_patterns = ["conf.py"]
highlight_language = "none"
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True
html_theme = "furo"
html_title = f"django_jobs {release}"
html_baseurl = PACKAGE["urls"]["Documentation"]
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": ["view", "edit"],
}
LLMS = """\
# django_jobs

> Background jobs for Django, with the project's own database as the queue: SQLite, PostgreSQL, MariaDB or MySQL.
> A job is a function with `@job` in `jobs.py`; `send.enqueue(7)` inserts a row in the caller's transaction;
> `manage.py runworker` runs it. The package on PyPI is `django-jobs-engine`, the import name `django_jobs`.

"""


def navigation(text: str) -> str:
    """Return the trees of the pages that the lists of ``index.md`` name, a caption for each section."""
    trees = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        pages = re.findall(r"^- \[[^\]]+\]\(([^):#]+)\.md\)", body, re.MULTILINE)
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n")
    return "\n".join(trees)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Change what Sphinx reads of a page."""
    source[0] = re.sub(r"\]\((?:\.\./)+(\.github/[^)]+|README\.md)\)", rf"]({REPOSITORY}/blob/main/\1)", source[0])
    if name == root_doc:
        source[0] += "\n" + navigation(source[0])


def llms_txt(index: str) -> str:
    """Return the list of pages for language models: each as the address of its Markdown source."""
    _, *sections = re.split(r"^(?=## )", index, flags=re.MULTILINE)
    source = rf"({html_baseurl}en/stable/_sources/\1.txt)"
    return LLMS + "".join(re.sub(r"\(([^):#]+\.md)\)", source, section) for section in sections)


def write_llms_txt(app: Sphinx, error: Exception | None) -> None:
    """Write the file into the site."""
    if error is None:
        (Path(app.outdir) / "llms.txt").write_text(llms_txt((DOCS / "index.md").read_text()))


def setup(app: Sphinx) -> None:
    """Register what changes the pages."""
    app.connect("build-finished", write_llms_txt)
    app.connect("source-read", read)
