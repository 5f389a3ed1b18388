"""How Directus turns the text of a variable into a value: prefix, known type, or guess.

Follows the behaviour of ``@directus/env``. Values are Python's ``None``, ``bool``, ``int``, ``float``,
``str``, ``list`` and ``dict``; a JavaScript number with an integral value is an ``int``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from supervisor.directus.dotenv import js_trim

_PREFIXES = ("string", "number", "regex", "array", "json", "boolean")
_MAX_SAFE_INTEGER = 2**53 - 1

_EXACT_TYPES = {
    name: kind
    for kind, names in {
        "string": (
            "HOST PORT DB_NAME DB_USER DB_PASSWORD DB_DATABASE DB_SSL__CA_FILE IMPORT_TIMEOUT "
            "IMPORT_EXPORT_NAMESPACE REDIS_PASSWORD REDIS_BUS_NAMESPACE REDIS_LOCK_NAMESPACE "
            "REDIS_COUNTERS_NAMESPACE REDIS_PERMISSIONS_NAMESPACE METRICS_HEALTH_CHECK_PREFIX ADMIN_PASSWORD "
            "ADMIN_TOKEN KEY SECRET EMAIL_SMTP_PASSWORD"
        ),
        "number": (
            "DB_PORT CACHE_SCHEMA_MAX_ITERATIONS CACHE_SCHEMA_SYNC_TIMEOUT IMPORT_MAX_CONCURRENCY "
            "GRAPHQL_SCHEMA_GENERATION_MAX_CONCURRENT MAX_BATCH_MUTATION MAX_IMPORT_ERRORS "
            "SERVER_SHUTDOWN_TIMEOUT"
        ),
        "array": (
            "DB_EXCLUDE_TABLES CACHE_AUTO_PURGE_IGNORE_LIST IMPORT_IP_DENY_LIST FILE_METADATA_ALLOW_LIST "
            "LOG_HTTP_IGNORE_PATHS METRICS_TOKENS METRICS_SERVICES"
        ),
        "boolean": (
            "CACHE_SKIP_ALLOWED CACHE_SCHEMA_FREEZE_ENABLED FILES_DELETE_ORIGINAL_ON_MOVE "
            "ASSETS_CACHE_REVALIDATE OPENAPI_ENABLED GRAPHQL_INTROSPECTION REDIS_ENABLED EXTENSIONS_ROLLDOWN"
        ),
    }.items()
    for name in names.split()
}
_PATTERN_TYPES = (
    (re.compile(r"STORAGE_.+_SECRET|AUTH_.+_(BIND_DN|USER_DN|GROUP_DN|BIND_PASSWORD)"), "string"),
    (re.compile(r"AUTH_.+_COOKIE_SECURE"), "boolean"),
)

_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_RADIX = {
    "0x": (16, re.compile("[0-9a-f]+")),
    "0o": (8, re.compile("[0-7]+")),
    "0b": (2, re.compile("[01]+")),
}


@dataclass(frozen=True, slots=True)
class JsRegExp:
    """A value with the prefix ``regex:``; it is never matched here."""

    pattern: str


def cast_prefix(value: object) -> str | None:
    """Returns the type that a value's prefix (``number:`` and the like) asks for."""
    if not isinstance(value, str):
        return None
    prefix, colon, _ = value.partition(":")
    return prefix if colon and prefix in _PREFIXES else None


def default_type(name: str) -> str | None:
    """Returns the type that Directus gives a variable of this name, whatever its value looks like."""
    if name in _EXACT_TYPES:
        return _EXACT_TYPES[name]
    return next((kind for pattern, kind in _PATTERN_TYPES if pattern.fullmatch(name)), None)


def cast(value: object, name: str = "") -> object:
    """Returns the value as Directus sees it.

    Args:
        value: a variable's text, or what a JSON or YAML configuration file holds.
        name: the variable's name; empty for an element of an array.
    """
    prefix = cast_prefix(value)
    kind = prefix or default_type(name) or _guess_type(value)
    if prefix is not None and isinstance(value, str):
        value = value[len(prefix) + 1 :]
    if kind == "string":
        return "" if value is None else js_string(value)
    if kind == "number":
        return js_number(value)
    if kind == "boolean":
        return value is True or value in ("true", "1") or (value == 1 and not isinstance(value, bool))
    if kind == "regex":
        return JsRegExp(js_string(value))
    if kind == "array":
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
        return [element for element in map(cast, parts) if element != ""]
    return _json_or_as_it_is(value)


def parse_json(text: str) -> object:
    """Reads JSON as JavaScript does: no ``NaN`` or ``Infinity``, and numbers in double precision.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_double, parse_float=_double)


def js_number(value: object) -> int | float:
    """Returns JavaScript's ``Number(value)``; NaN for what is none."""
    if isinstance(value, bool) or value is None:
        return int(bool(value))
    if isinstance(value, (int, float)):
        return value
    text = js_trim(js_string(value))
    if not text:
        return 0
    if text[:2].lower() in _RADIX:
        base, digits = _RADIX[text[:2].lower()]
        return _double(Decimal(int(text[2:], base))) if digits.fullmatch(text[2:].lower()) else math.nan
    return _double(text) if _DECIMAL.fullmatch(text) else math.nan


def js_string(value: object) -> str:
    """Returns JavaScript's ``String(value)``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return _number_text(value)
    if isinstance(value, list):
        return ",".join("" if element is None else js_string(element) for element in value)
    if isinstance(value, JsRegExp):
        return f"/{value.pattern}/"
    return "[object Object]" if isinstance(value, Mapping) else str(value)


def _json_or_as_it_is(value: object) -> object:
    try:
        return parse_json(js_string(value))
    except (ValueError, RecursionError):
        return value


def _guess_type(value: object) -> str:
    text = js_string(value)
    if isinstance(value, bool) or value in ("true", "false"):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if text and not text.startswith("0") and -_MAX_SAFE_INTEGER <= js_number(value) <= _MAX_SAFE_INTEGER:
        return "number"
    return "array" if isinstance(value, list) or "," in text else "json"


def _number_text(value: float) -> str:
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    # ECMAScript writes an exponent below 1e-6 and from 1e21 on, Python elsewhere.
    if 1e-6 <= abs(number) < 1e21:
        digits = format(Decimal(repr(number)), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    mantissa, _, exponent = f"{Decimal(repr(number)).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def _double(text: str | Decimal) -> int | float:
    number = float(text)
    return int(number) if math.isfinite(number) and number.is_integer() else number


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
