"""What the columns of an Arrow schema hold."""

from __future__ import annotations

from typing import Any


def file_columns(schema: Any) -> list[str]:
    """Names of the columns of whole files, {bytes, path}, as the hub stores compressed images and sounds."""
    from pyarrow import types

    return [field.name for field in schema if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0]
