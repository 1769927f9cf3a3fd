"""Arguments in one short line, as a list has room for: ``order_id=4711, note="thanks"``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_CHARS = 80


def short_arguments(arguments: Mapping[str, Any], *, max_chars: int = MAX_CHARS) -> str:
    """Return stored arguments, cut behind ``max_chars`` characters. A tagged value is the text or key it stands for."""
    line = ", ".join(f"{name}={_text(value)}" for name, value in arguments.items())
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, dict) and "$type" in value:
        if value["$type"] == "model":
            return f"{value.get('model', '')} {_text(value.get('pk'))}".strip()
        return str(value.get("value", value["$type"]))
    return json.dumps(value, ensure_ascii=False)
