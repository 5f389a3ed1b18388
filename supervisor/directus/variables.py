"""Directus' variables by name: their defaults, which may come from a file, which hold a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from supervisor.directus.cast import js_string

if TYPE_CHECKING:
    from collections.abc import Iterator

# As of Directus 11; a variable that is not listed has no default that concerns the supervisor.
DEFAULTS: dict[str, object] = {
    "HOST": "0.0.0.0",  # noqa: S104 - Directus' default, not ours
    "PORT": 8055,
    "PUBLIC_URL": "/",
    "TEMP_PATH": "./node_modules/.directus",
    "DB_EXCLUDE_TABLES": "spatial_ref_sys,sysdiagrams",
    "SERVER_SHUTDOWN_TIMEOUT": 1000,
    "EXTENSIONS_PATH": "./extensions",
    "MIGRATIONS_PATH": "./migrations",
}

# Directus reads `X_FILE` for the variables that it lists itself (KEY and UNIX_SOCKET_PATH are not among
# them); here are those of the list that the supervisor reads or must keep out of the log.
_FROM_FILE = re.compile(
    r"HOST|PORT|PUBLIC_URL|TEMP_PATH|LOG_LEVEL|LOG_STYLE|SERVER_.+|DB_.+|SECRET|ADMIN_(EMAIL|PASSWORD|TOKEN)"
    r"|EXTENSIONS_PATH|MIGRATIONS_PATH|REDIS|REDIS_PASSWORD|STORAGE_.+_(KEY|SECRET|ACCOUNT_KEY)"
    r"|AUTH_.+_(CLIENT_SECRET|BIND_PASSWORD|IDP.+|SP.+)|EMAIL_SMTP_PASSWORD|EMAIL_MAILGUN_API_KEY"
    r"|EMAIL_SES_CREDENTIALS__(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|METRICS_TOKENS|TELEMETRY_AUTHORIZATION"
    r"|LANGFUSE_SECRET_KEY|BRAINTRUST_API_KEY"
)

_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|PASS|SECRET|TOKENS?|KEY|CREDENTIALS?|AUTHORIZATION)\Z", re.IGNORECASE
)
# Names of fields, and keys that are public by their nature: redacting "email" everywhere would help nobody.
_PUBLIC_NAME = re.compile(r"PUBLIC_?KEY\Z|AUTH_.+_(IDENTIFIER|EMAIL|FIRST_NAME|LAST_NAME)_KEY\Z", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:([^\s/]+)@")
_QUERY_PASSWORD = re.compile(r"[?&]password=([^&#\s]+)")
# Header fields as `name=value,…`: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
_HEADERS_NAME = re.compile(r"OTEL_EXPORTER_OTLP_([A-Z]+_)?HEADERS")
_SHORTEST_SECRET = 4


def variable_named_by_file(name: str) -> str | None:
    """Returns the variable that ``name``, such as ``DB_PASSWORD_FILE``, fills from a file; None if none."""
    variable = name.removesuffix("_FILE")
    return variable if variable != name and _FROM_FILE.fullmatch(variable) else None


def secrets_in(name: str, value: object) -> Iterator[str]:
    """Yields the texts in a variable's value that must not be seen in a log.

    These are the whole value where the name speaks of a secret, and the password of a URL under any name. Of a list of
    headers it is each one's value, by the name of the header.
    What is shorter than 4 characters is left out, for it would blot out parts of other words.
    """
    for text in _texts(value):
        if _HEADERS_NAME.fullmatch(name):
            for pair in text.split(","):
                header, _, content = pair.partition("=")
                yield from secrets_in(header.strip(), content)
            continue
        found = [match[1] for pattern in (_URL_PASSWORD, _QUERY_PASSWORD) for match in pattern.finditer(text)]
        if _SECRET_NAME.search(name) and not _PUBLIC_NAME.search(name) and text not in ("true", "false", "null"):
            found.append(text)
        for secret in found:
            yield from (form for form in (secret, secret.strip(), _unquoted(secret)) if len(form) >= _SHORTEST_SECRET)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _texts(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from _texts(element)
    else:
        yield js_string(value)


def _unquoted(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 - most configurations have no URL

    return unquote(text) if "%" in text else text
