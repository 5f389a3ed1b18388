"""The commands that talk to a running supervisor."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from supervisor.console.client import Client
from supervisor.console.text import line_text, status_text
from supervisor.errors import ExitCode, SupervisorError
from supervisor.settings import load_settings

FAILED: Final = 1
_LOOK_S: Final = 1.0
_POLL_S: Final = 0.2
_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"


def run(options: argparse.Namespace, environ: Mapping[str, str], cwd: Path) -> int:
    """Run the command of `options`; its status."""
    if options.command == "status":
        return status(environ, cwd, as_json=options.json)
    if options.command == "top":
        return top(environ, cwd)
    if options.command == "log-level":
        return log_level(environ, cwd, level=options.level, component=options.component)
    if options.command == "reload":
        return reload(environ, cwd, timeout_s=options.timeout)
    return logs(
        environ,
        cwd,
        lines=options.lines,
        level=options.level,
        process=options.process,
        follow=options.follow,
        as_json=options.json,
    )


def status(environ: Mapping[str, str], cwd: Path, *, as_json: bool) -> int:
    """Print the picture once."""

    def ask(client: Client) -> int:
        picture = client.status()
        _write(json.dumps(picture, indent=2) + "\n" if as_json else status_text(picture, color=_color(environ)))
        return ExitCode.STOPPED

    return _with_client(environ, cwd, ask)


def top(environ: Mapping[str, str], cwd: Path) -> int:
    """Print the picture again and again, until interrupted."""

    def ask(client: Client) -> int:
        while True:
            picture = client.status()
            _write(_HOME_AND_CLEAR + status_text(picture, color=_color(environ)))
            time.sleep(_LOOK_S)

    return _with_client(environ, cwd, ask)


def logs(
    environ: Mapping[str, str], cwd: Path, *, lines: int, level: str, process: str | None, follow: bool, as_json: bool
) -> int:
    """Print the latest lines of the log, and go on with what comes."""
    query = {"lines": str(lines), "level": level, **({"process": process} if process else {})}
    text = urlencode(query | ({"follow": "1"} if follow else {}))

    def ask(client: Client) -> int:
        for record in client.lines(text):
            shown = json.dumps(record, ensure_ascii=False) if as_json else line_text(record, color=_color(environ))
            _write(shown + "\n")
        return ExitCode.STOPPED

    return _with_client(environ, cwd, ask)


def log_level(environ: Mapping[str, str], cwd: Path, *, level: str | None, component: str | None) -> int:
    """Print from which level on lines are written, or set it until the end of the run, of one component or of all."""
    if component and level is None:
        _complain("Name the level that the component is to have, such as `log-level debug --component postgres`.")
        return ExitCode.USAGE

    def ask(client: Client) -> int:
        if level is None:
            _write(client.status()["log"]["level"] + "\n")
            return ExitCode.STOPPED
        form = {"level": level, **({"component": component} if component else {})}
        taken, message = client.control("/control/log-level", urlencode(form))
        if not taken:
            _complain(message)
            return FAILED
        _write(message + "\n")
        return ExitCode.STOPPED

    return _with_client(environ, cwd, ask)


def reload(environ: Mapping[str, str], cwd: Path, *, timeout_s: float) -> int:
    """Restart Directus in good order, and wait until it is ready again; 0 does not wait."""

    def ask(client: Client) -> int:
        before = _directus(client.status())
        taken, message = client.control("/control/reload")
        _write(message + "\n")
        if not taken:
            return FAILED
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            picture = client.status()
            now = _directus(picture)
            if picture["state"]["ready"] and now.get("started_at") != before.get("started_at"):
                _write(f"Directus is ready again, after {now['ready_after_s']:g} s.\n")
                return ExitCode.STOPPED
            time.sleep(_POLL_S)
        if timeout_s:
            _complain(f"Directus was not ready within {timeout_s:g} s.")
        return FAILED if timeout_s else ExitCode.STOPPED

    return _with_client(environ, cwd, ask)


def _directus(picture: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((process for process in picture["processes"] if process["name"] == "directus"), {})


def _with_client(environ: Mapping[str, str], cwd: Path, run: Callable[[Client], int]) -> int:
    settings = load_settings(environ, cwd).settings
    try:
        return run(Client.find(settings.socket, environ))
    except SupervisorError as error:
        _complain(f"{error.message}. {error.remedy}")
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.STOPPED


def _color(environ: Mapping[str, str]) -> bool:
    return not environ.get("NO_COLOR") and (bool(environ.get("FORCE_COLOR")) or sys.stdout.isatty())


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")
