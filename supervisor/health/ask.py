"""The `health` command: one question to the health port, for a HEALTHCHECK in an image that has no curl."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from supervisor.errors import ExitCode, SupervisorError
from supervisor.settings import Settings, load_settings
from supervisor.status_token import read_status_token

_UNHEALTHY: Final = 1
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def ask(environ: Mapping[str, str], cwd: Path, probe: str, timeout_s: float) -> int:
    """Ask one probe of the supervisor that runs with the same settings.

    Args:
        environ: the process environment.
        cwd: the working directory.
        probe: path of the probe.
        timeout_s: seconds to wait for the answer.

    Returns:
        0 when it passes, 1 when it fails or nobody answers, 78 when the settings name no port to ask.
    """
    settings = load_settings(environ, cwd).settings
    if settings.health_port == 0:
        print(  # noqa: T201
            "SUPERVISOR_HEALTH_PORT is 0, so the supervisor took a port that only its log knows; "
            "set a fixed port to use this command",
            file=sys.stderr,
        )
        return ExitCode.CONFIG
    host = _ANY_ADDRESS.get(settings.health_host, settings.health_host)
    connection = http.client.HTTPConnection(host, settings.health_port, timeout=timeout_s)
    try:
        # The token is not needed; with it the answer says why.
        connection.request("GET", probe, headers=_authorization(settings))
        response = connection.getresponse()
        body = response.read(4096).decode("utf-8", "replace").strip()
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        print(f"no answer from http://{host}:{settings.health_port}{probe}: {error}", file=sys.stderr)  # noqa: T201
        return _UNHEALTHY
    finally:
        connection.close()
    print(body)  # noqa: T201
    return ExitCode.STOPPED if response.status == http.client.OK else _UNHEALTHY


def _authorization(settings: Settings) -> dict[str, str]:
    try:
        token = read_status_token(settings)
    except SupervisorError:
        # The supervisor itself says what is wrong with it.
        token = None
    return {"Authorization": f"Bearer {token}"} if token is not None and token.isascii() else {}
