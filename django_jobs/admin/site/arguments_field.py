"""A form's field for a job's arguments as JSON."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _


class ArgumentsField(forms.JSONField):
    """A JSON object, possibly empty; too deep nesting, or too long a number, is an error of the field."""

    empty_values = (None, "")

    def to_python(self, value: Any) -> Any:
        """Return the parsed JSON."""
        try:
            return super().to_python(value)
        except RecursionError:
            raise ValidationError(_("The JSON is nested too deeply.")) from None
        except ValueError as error:  # Python reads no number of more than 4,300 digits
            raise ValidationError(str(error)) from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the typed text, unparsed if it cannot be read."""
        try:
            parsed = super().bound_data(data, initial)
            json.dumps(parsed, ensure_ascii=False).encode()  # a lone surrogate, which no page can show
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)
        return parsed
