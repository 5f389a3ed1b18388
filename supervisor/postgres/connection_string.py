"""``DB_CONNECTION_STRING`` as Directus' query builder takes it apart: knex with ``pg-connection-string`` 2.6.

The rules are those of URLs in JavaScript (WHATWG) for an unknown scheme, which are not those of libpq: a
``#`` in a password ends the host part, a ``/`` in it does so too, and ``sslmode=require`` verifies the
certificate.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_to_bytes

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.DOTALL,
)
_NEEDS_ENCODING = re.compile(r" |%[^a-f0-9]|%[a-f0-9][^a-f0-9]", re.IGNORECASE)
_FORBIDDEN_IN_HOST = re.compile(r"[\0 #/:<>?@\[\\\]^|]")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_STRIPPED_FROM_URL = "".join(map(chr, range(0x21)))
_KEPT_BY_ENCODE_URI = ";,/?:@&=+$-_.!~*'()#"
_KEPT_BY_DECODE_URI = ";/?:@&=+$,#"
_ESCAPED_KEPT = re.compile(
    "%(" + "|".join(f"{ord(character):02X}" for character in _KEPT_BY_DECODE_URI) + ")", re.IGNORECASE
)

EXPECTED_FORM = "postgres://user:password@host:port/database"


class ConnectionStringError(ValueError):
    """The string cannot be used; the text says why in half a sentence, and quotes nothing of it."""


def parse_connection_string(text: str, cwd: Path) -> dict[str, object]:
    """Returns the settings in a connection string, by the names that node-postgres gives them.

    Args:
        text: the connection string.
        cwd: the folder that Directus runs in, where relative paths of certificate files start.

    Returns:
        ``user``, ``password``, ``host``, ``port``, ``database`` (text, may be empty or None), ``ssl`` if the
        string speaks of it (a bool, a text, or a dict with ``ca``, ``cert``, ``key``,
        ``rejectUnauthorized``), and every parameter of the query.

    Raises:
        ConnectionStringError: Directus could not use the string either, or would connect somewhere else.
    """
    # knex looks at the string as it is, its parser at an encoded one: both must be URLs.
    _split(text)
    if _NEEDS_ENCODING.search(text):
        text = re.sub(r"%25(\d\d)", r"%\1", quote(text, safe=_KEPT_BY_ENCODE_URI))
    user, password, host, port, path, query = _split(text)
    config: dict[str, object] = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    config["user"] = config.get("user") or _decode_component(user)
    config["password"] = config.get("password") or _decode_component(password)
    if not config.get("host"):
        config["host"] = _decode_component(host)
    elif host[:3].lower() == "%2f":
        path = f"/{host}{path}"
    config["port"] = config.get("port") or port
    config["database"] = _decode_uri(path[1:]) or None
    if (ssl := _ssl(config, cwd)) is not None:
        config["ssl"] = ssl
    return config


def with_address(text: str, host: str, port: int) -> str:
    """The same connection by another address: as parameters, which go before what stands in front of the path."""
    start, sharp, fragment = text.partition("#")
    return f"{start}{'&' if '?' in start else '?'}host={quote(host, safe='')}&port={port}{sharp}{fragment}"


def with_database(text: str, name: str) -> str:
    """The same connection to another database.

    Raises:
        ConnectionStringError: it is no URL.
    """
    match = _URL.fullmatch(re.sub(r"[\t\n\r]", "", text.strip(_STRIPPED_FROM_URL)))
    if match is None:
        raise ConnectionStringError(f"is not a URL of the form {EXPECTED_FORM}")
    query = f"?{match['query']}" if match["query"] else ""
    return f"{match['scheme']}://{match['authority'] or ''}/{quote(name, safe='')}{query}"


def _split(text: str) -> tuple[str, str, str, str, str, str]:
    """Returns user, password, host, port, path and query, none of them decoded."""
    match = _URL.fullmatch(re.sub(r"[\t\n\r]", "", text.strip(_STRIPPED_FROM_URL)))
    if match is None:
        raise ConnectionStringError(f"is not a URL of the form {EXPECTED_FORM}")
    if match["scheme"].lower() not in ("postgres", "postgresql"):
        raise ConnectionStringError(f"does not start with postgres:// or postgresql://; write {EXPECTED_FORM}")
    authority = match["authority"] or ""
    credentials, at, host_port = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    if host_port.startswith("["):
        raise ConnectionStringError(
            "has an IPv6 address in brackets, which Directus takes for a host name; give it as ?host= instead"
        )
    host, _, port = host_port.partition(":")
    if (not host and (at or host_port)) or _FORBIDDEN_IN_HOST.search(host):
        raise ConnectionStringError("has no valid host; percent-encode special characters in user and password")
    if port and not (re.fullmatch("[0-9]+", port) and int(port) <= 65535):
        raise ConnectionStringError("has no valid port; percent-encode special characters in user and password")
    return user, password, host, str(int(port)) if port else "", match["path"], match["query"] or ""


def _ssl(config: dict[str, object], cwd: Path) -> object:
    ssl = config.get("ssl")
    if ssl in ("true", "1"):
        ssl = True
    elif ssl == "0":
        ssl = False
    files = {"cert": "sslcert", "key": "sslkey", "ca": "sslrootcert"}
    mode = config.get("sslmode")
    if not mode and not any(config.get(parameter) for parameter in files.values()):
        return ssl
    settings: dict[str, object] = {}
    for name, parameter in files.items():
        if path := config.get(parameter):
            try:
                settings[name] = Path(cwd, str(path)).read_bytes().decode("utf-8", "replace")
            except (OSError, ValueError) as error:
                raise ConnectionStringError(f"names {path} as {parameter}, which cannot be read") from error
    if mode == "no-verify":
        settings["rejectUnauthorized"] = False
    return False if mode == "disable" else settings


def _decode_component(text: str) -> str:
    def decoded(match: re.Match[str]) -> str:
        return unquote_to_bytes(match[0]).decode("utf-8", "strict")

    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ConnectionStringError("has a percent sign that starts no valid escape; write %25 for a percent sign")
    try:
        return _ESCAPES.sub(decoded, text)
    except UnicodeDecodeError as error:
        raise ConnectionStringError("has percent escapes that are not valid UTF-8") from error


def _decode_uri(text: str) -> str:
    # Escapes of the characters that give a URL its shape stay as they are.
    return _decode_component(_ESCAPED_KEPT.sub(r"%25\1", text))
