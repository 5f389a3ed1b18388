"""Known last words of Directus, as the real 11.17.4 wrote them; some are provoked anew in tests/system."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus.commands import OutputLog
from supervisor.directus.explain import explain
from supervisor.errors import ExitCode, SupervisorError
from supervisor.process.output import Batch
from supervisor.services import explain_early_death
from tests.unit.captured import Captured


def pino(level: int, message: str, **fields: object) -> str:
    return json.dumps({"level": level, "time": 1795434792189, "pid": 13, "hostname": "a", **fields, "msg": message})


def postgres_error(message: str, code: str) -> str:
    return f"""\
error: {message}
    at parseErrorMessage (/directus/node_modules/pg-protocol/dist/parser.js:306:11)
    at Parser.handlePacket (/directus/node_modules/pg-protocol/dist/parser.js:143:27)
    at TCP.onStreamRead (node:internal/stream_base_commons:189:23) {{
  length: 104,
  severity: 'FATAL',
  code: '{code}',
  detail: undefined,
  file: 'auth.c',
  line: '334',
  routine: 'auth_failed'
}}"""


def uncaught(message: str, code: str) -> str:
    return f"""\
file:///directus/node_modules/@directus/api/dist/server.js:142
\t\t}} else throw err;
\t\t       ^

Error: {message}
    at Server.setupListenHandle [as _listen2] (node:net:1918:21)
    at listenInCluster (node:net:1997:12) {{
  code: '{code}',
  errno: -99,
  syscall: 'listen',
  port: 8055
}}

Node.js v22.20.0"""


NO_SCHEMA = """\
error: \t
\t\t SELECT
\t\t\trel.relname AS name
\t\t FROM
\t\t\tpg_class rel
\t\t WHERE
\t\t\trel.relnamespace IN ('nowhere'::regnamespace)
\t\t ORDER BY rel.relname
\t   - schema "nowhere" does not exist
    at parseErrorMessage (/directus/node_modules/pg-protocol/dist/parser.js:306:11) {
  length: 101,
  code: '3F000'
}"""
BAD_LEVEL = """\
/directus/node_modules/pino/lib/levels.js:194
    throw Error(`default level:${defaultLevel} must be included in custom levels`)
          ^

Error: default level:loud must be included in custom levels
    at assertDefaultLevelFound (/directus/node_modules/pino/lib/levels.js:194:11)

Node.js v22.20.0"""
BAD_PROVIDER = f"""\
{pino(50, "Invalid provider config")}
Error [DirectusError]: Invalid config.
    at new OpenIDAuthDriver (file:///directus/node_modules/@directus/api/dist/auth/drivers/openid.js:38:10)
    at registerAuthProviders (file:///directus/node_modules/@directus/api/dist/auth.js:49:20) {{
  extensions: {{ provider: 'keycloak' }},
  code: 'INVALID_PROVIDER_CONFIG',
  status: 503
}}"""
BAD_WEBSOCKETS = """\
Error [DirectusError]: Invalid config.
    at SocketController.getEnvironmentConfig (file:///directus/node_modules/@directus/api/dist/websocket.js:92:28) {
  extensions: {
    provider: 'ws',
    reason: 'WEBSOCKETS_REST_AUTH: expected "public" or "strict"'
  },
  code: 'INVALID_PROVIDER_CONFIG',
  status: 503
}"""
NO_LOCATION = pino(50, "Failed to sync extensions") + "\n" + pino(50, 'Location "nowhere" doesn\'t exist.')
MISSING_PACKAGE = "Cannot find package 'no-such-package' imported from /directus/extensions/mine/index.js"
MUST_LOAD = f"""\
{pino(50, "EXTENSION_MUST_LOAD is enabled and an extension failed to load.")}
{pino(50, "Couldn't register hook mine")}
{pino(50, MISSING_PACKAGE, err={"type": "Error", "message": MISSING_PACKAGE})}"""
UNUSABLE_EXTENSION = f"""\
{pino(40, "Couldn't register hook mine")}
{pino(40, MISSING_PACKAGE, err={"type": "Error", "message": MISSING_PACKAGE})}
{pino(30, "Extensions loaded")}"""


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (pino(50, '"DB_HOST" Environment Variable is missing.'), "the variable DB_HOST is not set"),
        ('[12:00:00.123] ERROR: "DB_HOST" Environment Variable is missing.', "the variable DB_HOST is not set"),
        (
            postgres_error('password authentication failed for user "app"', "28P01"),
            "Postgres refuses the password of user app",
        ),
        (
            postgres_error('no pg_hba.conf entry for host "10.0.0.7", user "app", database "rally"', "28000"),
            'Postgres\' pg_hba.conf admits no host "10.0.0.7", user "app", database "rally"',
        ),
        (postgres_error('role "app" does not exist', "28000"), "Postgres lets no user app in"),
        (postgres_error('database "rally" does not exist', "3D000"), "there is no database rally"),
        (NO_SCHEMA, "there is no schema nowhere"),
        (
            postgres_error("select * from directus_settings - permission denied for table directus_settings", "42501"),
            "the database user has no right to use the table directus_settings",
        ),
        ("Error: The server does not support SSL connections", "Postgres offers no TLS, and DB_SSL asks for it"),
        (pino(50, "Database doesn't have Directus tables installed."), "the database has no Directus tables"),
        (pino(50, "Port 8055 is already in use"), "Port 8055 is already in use"),
        (
            uncaught("listen EADDRNOTAVAIL: address not available 192.0.2.1:8055", "EADDRNOTAVAIL"),
            "it cannot listen on 192.0.2.1:8055 (EADDRNOTAVAIL)",
        ),
        (
            uncaught("listen EACCES: permission denied /no/such/dir/sock", "EACCES"),
            "it cannot listen on /no/such/dir/sock (EACCES)",
        ),
        (BAD_LEVEL, "LOG_LEVEL is loud, which is no level"),
        ("TypeError: invalid IP address: floppy", "IP_TRUST_PROXY names floppy, which is no address"),
        (BAD_PROVIDER, "the configuration of the authentication provider keycloak is not complete"),
        (
            BAD_WEBSOCKETS,
            'it refuses a value: WEBSOCKETS_REST_AUTH: expected "public" or "strict"',
        ),
        (
            "/usr/bin/node: --no-such-option is not allowed in NODE_OPTIONS",
            "Node.js does not take --no-such-option from NODE_OPTIONS",
        ),
        (MUST_LOAD, f"EXTENSIONS_MUST_LOAD is set, and an extension cannot be loaded: {MISSING_PACKAGE}"),
        (
            NO_LOCATION,
            "there is no storage location nowhere",
        ),
        (
            "Error: ERR_IDP_METADATA_MISSING\n    at new IdpMetadata (/directus/x.js:105:23)",
            "the metadata of a SAML authentication provider is not complete (ERR_IDP_METADATA_MISSING)",
        ),
        (
            pino(50, "The IP based rate limiter needs to be enabled when using the global rate limiter."),
            "the global rate limiter does not work without the one by IP address",
        ),
        (
            pino(50, 'Cannot override "default" auth provider.'),
            "AUTH_PROVIDERS names default, which Directus has itself",
        ),
        (
            "Error: Invalid value for PRESSURE_LIMITER_SAMPLE_INTERVAL environment variable\n    at a (b.js:1:9)",
            "the value of PRESSURE_LIMITER_SAMPLE_INTERVAL cannot be used",
        ),
        (
            "Error: Cannot find package 'knex' imported from /directus/node_modules/x.js\n    at a (b:1:1)",
            "the package knex is not installed",
        ),
        (
            'Error: Failed to read value from file "/run/secrets/key", defined in environment variable "KEY_FILE".',
            "the file /run/secrets/key cannot be read",
        ),
    ],
)
def test_the_last_error_is_explained(output: str, cause: str, captured: Captured) -> None:
    error = explained(f"{pino(30, 'Loading')}\n{UNUSABLE_EXTENSION}\n{output}\n{pino(30, 'a line of another pipe')}")
    assert error is not None
    assert error.message == f"Directus cannot start: {cause}"
    assert error.exit_code == ExitCode.CONFIG
    assert error.remedy
    assert "Extensions loaded" in error.facts["last_lines"]


@pytest.mark.parametrize(
    "output",
    [
        "Error: connect ECONNREFUSED 127.0.0.1:5432\n    at TCPConnectWrap (node:net:1637:16) {\n  errno: -111\n}",
        "Error: getaddrinfo ENOTFOUND postgres\n    at GetAddrInfoReqWrap (node:dns:122:26) {\n  errno: -3008\n}",
        "Error: getaddrinfo EAI_AGAIN postgres",
        "Error: connect ETIMEDOUT",
        "Error: connect EADDRNOTAVAIL 10.0.0.1:5432 - Local (0.0.0.0:0)",
        "Error: Connection terminated unexpectedly",
        postgres_error("the database system is starting up", "57P03"),
        postgres_error('database "rally" is not currently accepting connections', "55000"),
        postgres_error("sorry, too many clients already", "53300"),
        "[ioredis] Unhandled error event: Error: connect ECONNREFUSED 127.0.0.1:6379",
        "TypeError: Cannot read properties of undefined (reading 'x')",
        "Segmentation fault",
    ],
)
def test_what_time_may_mend_or_nobody_knows_is_not_explained(output: str, captured: Captured) -> None:
    assert explained(f"{UNUSABLE_EXTENSION}\n{output}") is None


@pytest.mark.parametrize(
    "line",
    [
        pino(40, 'password authentication failed for user "app"'),
        pino(30, "Port 8055 is already in use"),
        '[12:00:00.123] WARN: "DB_HOST" Environment Variable is missing.',
    ],
)
def test_a_line_that_calls_itself_less_than_an_error_explains_nothing(line: str, captured: Captured) -> None:
    assert explained(line) is None


IOREDIS = """\
[ioredis] Unhandled error event: Error: connect ECONNREFUSED 127.0.0.1:6379
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1637:16)
[ioredis] Unhandled error event: AggregateError [ECONNREFUSED]:
    at internalConnectMultiple (node:net:1134:18)
(node:13) Warning: Setting the NODE_TLS_REJECT_UNAUTHORIZED environment variable to '0' is insecure."""


def test_what_ioredis_says_after_the_fatal_error_does_not_hide_it(captured: Captured) -> None:
    fatal = postgres_error('password authentication failed for user "app"', "28P01")
    error = explained(f"{IOREDIS}\n{fatal}\n{IOREDIS}\n{IOREDIS}")
    assert error is not None
    assert error.message == "Directus cannot start: Postgres refuses the password of user app"
    assert explained(IOREDIS) is None


def test_an_error_that_did_not_end_the_process_explains_nothing(captured: Captured) -> None:
    of_an_extension = pino(50, 'password authentication failed for user "reader"')
    assert explained(f"{of_an_extension}\nTypeError: x is undefined\n    at y (z.js:1:1)") is None


def explained(output: str) -> SupervisorError | None:
    log = OutputLog("directus", "directus")
    for line in output.splitlines():
        log.consume("stdout" if line.startswith(("{", "[")) else "stderr", 7, Batch([line.encode()]))
    return explain_early_death(log)


def test_silence_is_not_explained() -> None:
    assert explain([]) is None


@given(st.lists(st.text()))
def test_garbage_is_never_an_error(lines: list[str]) -> None:
    explain(lines)
