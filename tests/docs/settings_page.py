"""Write docs/reference/settings.md from the declarations in django_jobs/conf.

``python -m tests.docs`` after a change to a setting; tests/docs/test_made.py compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from django_jobs.conf import Settings
from django_jobs.conf.fields import declarations

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md"
INTRODUCTION = """\
# Settings

<!-- Made from django_jobs/conf by: python -m tests.docs -->

One dict, everything optional. Durations are timedeltas or seconds. An unknown key or a wrong value is an error that
says what was expected, all of them at once; `manage.py check` shows each as `django_jobs.E001`.

```python
DJANGO_JOBS = {
    "JOB_DEFAULTS": {"max_attempts": 8},
    "QUEUES": {"documents": {"timeout": 300}},
    "RETENTION": {"SUCCEEDED": 3600},
    "ALERTS": {"MAIL_ADMINS": True},
}
```

Keys are upper case, as in Django's own `DATABASES`. Inside `JOB_DEFAULTS` and `QUEUES` they are options of `@job`,
spelled as there. Elsewhere in these pages `WORKER["STALE_AFTER"]` is short for `DJANGO_JOBS["WORKER"]["STALE_AFTER"]`.
"""


def _duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600)):
        if seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _default(value: object) -> str:
    if isinstance(value, timedelta):
        return _duration(value)
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _table(values: object, spell: Callable[[str], str]) -> Iterator[str]:
    yield "| key | default | meaning |\n|---|---|---|\n"
    for name, declaration in declarations(type(values)).items():
        value = getattr(values, name)
        key = f"[`{spell(name)}`](#{name})" if declaration.spell else f"`{spell(name)}`"
        yield f"| {key} | {declaration.default_text or _default(value)} | {declaration.doc} |\n"


def settings_page() -> str:
    """Return the text of the page."""
    settings = Settings()
    parts = [INTRODUCTION, "\n", *_table(settings, str.upper)]
    for name, declaration in declarations(Settings).items():
        if spell := declaration.spell:
            parts += [
                f"\n## {name.upper()}\n\n{declaration.doc}\n\n",
                *_table(getattr(settings, name), spell),
            ]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(settings_page())
