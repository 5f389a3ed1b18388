"""Known last words of a Directus that cannot start, and what they mean. Pure.

Directus ends with status 1 for all of these, and would at every restart (directus#20348). What time can mend is not
here: a server that refuses connections, starts up or has no slot free, a name that does not resolve yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from supervisor.process.last_words import is_around


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why Directus cannot start, and what to do."""

    cause: str
    remedy: str


_KNOWN: Final = (
    (
        r'"(?P<name>[A-Z0-9_]+)" Environment Variable is missing',
        "the variable {name} is not set",
        "Set {name} for the container.",
    ),
    (
        r"password authentication failed for user \"(?P<name>[^\"]+)\"",
        "Postgres refuses the password of user {name}",
        "Correct DB_USER and DB_PASSWORD.",
    ),
    (
        r"no pg_hba\.conf entry for (?P<name>[^\n]+)",
        "Postgres' pg_hba.conf admits no {name}",
        "Admit it in pg_hba.conf, or correct DB_USER, DB_DATABASE and DB_SSL.",
    ),
    (
        r"role \"(?P<name>[^\"]+)\" (?:does not exist|is not permitted to log in)",
        "Postgres lets no user {name} in",
        "Create it with LOGIN, or correct DB_USER.",
    ),
    (
        r"(?P<what>database|schema) \"(?P<name>[^\"]+)\" does not exist",
        "there is no {what} {name}",
        "Create it, or correct DB_DATABASE or DB_SEARCH_PATH.",
    ),
    (
        r"permission denied for (?P<name>(?:database|schema|table|sequence) \S+)",
        "the database user has no right to use the {name}",
        "GRANT it to DB_USER, or make DB_USER its owner.",
    ),
    (
        r"The server does not support SSL connections",
        "Postgres offers no TLS, and DB_SSL asks for it",
        "Unset DB_SSL, or turn on ssl in postgresql.conf.",
    ),
    (
        r"(?P<name>Port \d+|\S+) is already in use$",
        "{name} is already in use",
        "Set PORT to a free port, or stop the process that holds it.",
    ),
    (
        r"listen (?P<name>EADDRNOTAVAIL|EACCES|ENOENT|ENOTSUP)[^\n]*? (?P<place>\S+)$",
        "it cannot listen on {place} ({name})",
        "Correct HOST, PORT or UNIX_SOCKET_PATH; ports below 1024 need a privilege.",
    ),
    (
        r"Database doesn't have Directus tables installed",
        "the database has no Directus tables",
        "Check DB_SEARCH_PATH, and that the bootstrap used the same database.",
    ),
    (
        r"Migration keys collide",
        "two of Directus' migrations have the same number",
        "Rename one of the files in MIGRATIONS_PATH.",
    ),
    (
        r"Failed to read value from file \"(?P<name>[^\"]+)\"",
        "the file {name} cannot be read",
        "Mount the file, readable for the container's user.",
    ),
    (
        r"default level:(?P<name>\S+) must be included in custom levels",
        "LOG_LEVEL is {name}, which is no level",
        "Set LOG_LEVEL to fatal, error, warn, info, debug, trace or silent.",
    ),
    (
        r"invalid IP address: (?P<name>\S+)$",
        "IP_TRUST_PROXY names {name}, which is no address",
        "Set IP_TRUST_PROXY to true, false, a number of proxies or a list of addresses.",
    ),
    (
        r"Invalid config\.[\s\S]*reason: '(?P<name>[^'\n]+)",
        "it refuses a value: {name}",
        "Correct the variable named.",
    ),
    (
        r"Invalid config\.[\s\S]*provider: '(?P<name>[^']+)'",
        "the configuration of the authentication provider {name} is not complete",
        "Set every AUTH_* variable that the driver of this provider needs.",
    ),
    (
        r"(?P<name>ERR_(?:IDP|SP)_METADATA_\w+)",
        "the metadata of a SAML authentication provider is not complete ({name})",
        "Correct AUTH_*_IDP_METADATA and AUTH_*_SP_METADATA.",
    ),
    (
        r"Location \"(?P<name>[^\"]+)\" doesn't exist",
        "there is no storage location {name}",
        "Correct EXTENSIONS_LOCATION, or add it to STORAGE_LOCATIONS.",
    ),
    (
        r"Cannot override \"(?P<name>[^\"]+)\" auth provider",
        "AUTH_PROVIDERS names {name}, which Directus has itself",
        "Take it out of AUTH_PROVIDERS.",
    ),
    (
        r"The IP based rate limiter needs to be enabled when using the global rate limiter",
        "the global rate limiter does not work without the one by IP address",
        "Set RATE_LIMITER_ENABLED, or unset RATE_LIMITER_GLOBAL_ENABLED.",
    ),
    (
        r"The global rate limiter needs to allow more requests per second than the IP based rate limiter",
        "the global rate limiter allows no more than the one by IP address",
        "Raise RATE_LIMITER_GLOBAL_POINTS.",
    ),
    (
        r"Invalid value for (?P<name>[A-Z0-9_]+) environment variable",
        "the value of {name} cannot be used",
        "Correct {name}.",
    ),
    (
        r"(?P<name>--\S+) is not allowed in NODE_OPTIONS",
        "Node.js does not take {name} from NODE_OPTIONS",
        "Take it out of NODE_OPTIONS.",
    ),
    (
        r"(?:Cannot find (?:module|package)) '(?P<name>[^']+)'",
        "the package {name} is not installed",
        "Install Directus' dependencies again; the image is incomplete.",
    ),
    (
        r"self[- ]signed certificate|unable to verify the first certificate|unable to get local issuer certificate",
        "Postgres' certificate cannot be verified",
        "Set DB_SSL__CA or DB_SSL__CA_FILE to the authority that signed it.",
    ),
)
_PATTERNS: Final = tuple((re.compile(pattern, re.MULTILINE), cause, remedy) for pattern, cause, remedy in _KNOWN)
# With EXTENSIONS_MUST_LOAD these words come first, and whatever error the extension has after them.
_EXTENSION: Final = re.compile(r"EXTENSION_MUST_LOAD is enabled and an extension failed to load")
_SENTENCES: Final = 3
# Said of a lost connection while Directus ends for another reason, or a warning of Node.js: neither ends a process.
_AFTERMATH: Final = re.compile(r"\[ioredis\] Unhandled error event|\(node:\d+\) |\(Use `node ")
# LOG_STYLE=pretty: the level stands in the text.
_LESS_THAN_AN_ERROR: Final = re.compile(r"\[[\d:.]+\] (?:TRACE|DEBUG|INFO|WARN): ")


def explain(errors: Iterable[str]) -> Explanation | None:
    """Find the cause in the last error of a Directus that died before it was ready.

    What was written before that error is left alone: an extension that could not be loaded, or a request that failed,
    did not end the process. What ioredis says of a lost connection is passed over, wherever it stands.

    Args:
        errors: the end of its output without what it called less than an error, in order.
    """
    said = _last_sentences([line for line in errors if not _LESS_THAN_AN_ERROR.match(line)])
    if not said:
        return None
    if any(map(_EXTENSION.search, said)):
        error = said[-1].partition("\n")[0]
        return Explanation(
            f"EXTENSIONS_MUST_LOAD is set, and an extension cannot be loaded: {error}",
            "Mend the extension, or unset EXTENSIONS_MUST_LOAD.",
        )
    for pattern, cause, remedy in _PATTERNS:
        match = pattern.search(said[-1])
        if match is not None:
            return Explanation(cause.format(**match.groupdict()), remedy.format(**match.groupdict()))
    return None


def _last_sentences(lines: list[str]) -> list[str]:
    """The last sentences, in order, each with the lines of its dump."""
    said: list[str] = []
    dump: list[str] = []
    for line in reversed(lines):
        dump.append(line)
        if not is_around(line):
            if not _AFTERMATH.match(line):
                said.append("\n".join(reversed(dump)))
            dump.clear()
            if len(said) == _SENTENCES:
                break
    return said[::-1]
