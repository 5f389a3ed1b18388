"""The JSON Schema of the picture, made from the model, so that they cannot differ; see ``docs/status.schema.json``."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from supervisor.status.model import SCHEMA_VERSION, Picture

_SIMPLE: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema() -> dict[str, Any]:
    """The schema (draft 2020-12)."""
    definitions: dict[str, Any] = {}
    _of(Picture, definitions)
    whole = definitions.pop(Picture.__name__)
    whole["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The status of a directus-supervisor",
        "description": "Times are RFC 3339 in UTC, durations are in seconds, sizes are in bytes. Fields may be added.",
        **whole,
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any annotation of the model
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    if is_dataclass(kind):
        return _of_class(kind, definitions)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {types.UnionType, Union}:
        return {"anyOf": [_of(argument, definitions) for argument in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    raise TypeError(f"the schema has no word for {kind}")


def _of_class(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a class of the model
    if kind.__name__ not in definitions:
        hints = get_type_hints(kind)
        properties = {field.name: {**_of(hints[field.name], definitions), **field.metadata} for field in fields(kind)}
        definitions[kind.__name__] = {
            "type": "object",
            "description": str(kind.__doc__).partition("\n")[0],
            "properties": properties,
            "required": list(properties),
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}
