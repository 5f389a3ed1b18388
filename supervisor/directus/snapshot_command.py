"""`snapshot` and `diff`: the live schema as a file, and beside the file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, TypeAlias

from supervisor import errors
from supervisor.configuration import configure
from supervisor.directus.diff import Change
from supervisor.directus.export import Live, read_live
from supervisor.errors import ExitCode, SupervisorError
from supervisor.logs.setup import close, set_up
from supervisor.settings import load_settings

_Act: TypeAlias = Callable[[Path, Live], int]
_DIFFERENT: Final = 1
_COLOURS: Final = {"create": "32", "change": "33", "delete": "31"}
_SIGNS: Final = {"create": "+", "change": "~", "delete": "-"}


class _Stopped(BaseException):
    """A signal asked for the end, wherever the work was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_snapshot(environ: Mapping[str, str], cwd: Path, output: Path | None, *, check: bool) -> int:
    """Write the live schema into the snapshot file, if it says something else.

    Args:
        environ: the process environment.
        cwd: the working directory.
        output: the file; None takes ``SUPERVISOR_SNAPSHOT``.
        check: write nothing, but end with 1 when the file and the live schema differ.

    Returns:
        The status to exit with.
    """

    def act(path: Path, live: Live) -> int:
        if check:
            _show(live, path)
            return _DIFFERENT if live.changes is None or live.changes else ExitCode.STOPPED
        if live.same:
            _say(f"{path} is up to date")
            return ExitCode.STOPPED
        _write(path, live.text)
        _say(f"{path} was written")
        return ExitCode.STOPPED

    return _with_live(environ, cwd, output, act)


def run_diff(environ: Mapping[str, str], cwd: Path, *, as_json: bool) -> int:
    """Show what applying the snapshot would change.

    Returns:
        0 when nothing, 1 when something, else the status of the failure.
    """

    def act(path: Path, live: Live) -> int:
        if live.changes is None:
            raise SupervisorError(errors.SNAPSHOT_INVALID, f"there is no snapshot at {path}")
        if as_json:
            print(json.dumps({"snapshot": str(path), "differences": [_record(change) for change in live.changes]}))  # noqa: T201
        else:
            _show(live, path)
        return _DIFFERENT if live.changes else ExitCode.STOPPED

    return _with_live(environ, cwd, None, act)


def table(changes: Sequence[Change], *, colour: bool) -> str:
    """One line for each change that applying the snapshot would make. Pure."""
    width = max((len(change.kind) for change in changes), default=0)
    lines = []
    for change in changes:
        bare = change.collection if change.field is None else f"{change.collection}.{change.field}"
        line = f"{_SIGNS[change.action]} {change.action:<6}  {change.kind:<{width}}  {bare}"
        lines.append(f"\x1b[{_COLOURS[change.action]}m{line}\x1b[0m" if colour else line)
    return "\n".join(lines)


def _with_live(environ: Mapping[str, str], cwd: Path, output: Path | None, act: _Act) -> int:
    # As PID 1 there is no end by a signal without a handler; and what has begun in Node.js is to end with us.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    settings = load_settings(environ, cwd).settings
    set_up(settings.log_format, settings.log_level)
    try:
        configuration = configure(environ, cwd)
        path = cwd / output if output is not None else configuration.settings.snapshot
        return act(path, read_live(configuration, path))
    except SupervisorError as error:
        print(f"{error.failure.code}: {error.message}\n{error.remedy}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except _Stopped as stopped:
        return 128 + stopped.number
    finally:
        close()


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    # The next one must not break into what this one leads to.
    signal.signal(number, signal.SIG_IGN)
    raise _Stopped(number)


def _show(live: Live, path: Path) -> None:
    if live.changes is None:
        _say(f"there is no snapshot at {path}")
    elif live.changes:
        print(table(live.changes, colour=_in_colour()))  # noqa: T201
        _say(f"applying {path} would change {len(live.changes)} objects of the database")
    else:
        _say(f"{path} and the database hold the same schema")


def _record(change: Change) -> dict[str, str | None]:
    return {
        "action": change.action,
        "kind": change.kind,
        "collection": change.collection,
        "field": change.field,
    }


def _in_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _write(path: Path, text: str) -> None:
    """Put the text in the place of the file, whole or not at all."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        # Through a link, the file that it names is the one to replace.
        Path(temporary).replace(path.resolve())
        temporary = None
    except OSError as error:
        raise SupervisorError(
            errors.EXPORT_FAILED,
            f"{path} cannot be written: {error.strerror}",
            remedy="Give --output a file in a folder that this user may write to.",
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
