"""Asking the supervisor that runs here, over its control socket; the standard library is all that it takes."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from supervisor import errors
from supervisor.errors import SupervisorError
from supervisor.health.local_socket import places

_CONNECT_S: Final = 5.0
# A control says in its answer why it was not taken.
_REFUSALS: Final = frozenset({http.client.BAD_REQUEST, http.client.CONFLICT})


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_CONNECT_S)
        self.sock.connect(str(self._path))
        self.sock.settimeout(self._timeout_s)


class Client:
    """Speaks to one supervisor.

    Args:
        path: its control socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def find(cls, configured: Path | None, environ: Mapping[str, str]) -> Client:
        """The supervisor that runs with the same settings.

        Raises:
            SupervisorError: ``control.no_supervisor``.
        """
        candidates = [configured] if configured is not None else []
        candidates += [path for path in places(None, environ) if path not in candidates]
        for path in candidates:
            if _is_ours(path) and _answers(path):
                return cls(path)
        raise _nobody(candidates)

    def status(self) -> dict[str, Any]:
        """The picture, see ``docs/status.schema.json``."""
        with self._ask("GET", "/status") as answer:
            document: dict[str, Any] = json.loads(answer.read())
        return document

    def control(self, path: str, body: str = "") -> tuple[bool, str]:
        """Use a control; whether it was taken, and what was said."""
        with self._ask("POST", path, body, _REFUSALS) as answer:
            document = json.loads(answer.read())
        return bool(document["ok"]), str(document["message"])

    def lines(self, query: str) -> Iterator[dict[str, Any]]:
        """Records of the log; with ``follow`` in the query without an end."""
        with self._ask("GET", f"/logs?{query}", timeout_s=None) as answer:
            for line in answer:
                if line.strip():
                    yield json.loads(line)

    @contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        body: str = "",
        understood: frozenset[int] = frozenset(),
        timeout_s: float | None = 10.0,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(self._path, timeout_s)
        try:
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            if answer.status >= http.client.BAD_REQUEST and answer.status not in understood:
                raise SupervisorError(errors.NO_SUPERVISOR, f"{self._path} answered {answer.status} to {path}")
            yield answer
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SupervisorError(errors.NO_SUPERVISOR, f"The supervisor at {self._path} is gone: {error}") from None
        finally:
            connection.close()


def _is_ours(path: Path) -> bool:
    """Whether the socket was made by us or by root: in a folder for everybody another one could stand in its place."""
    try:
        owner = path.lstat().st_uid
    except OSError:
        return False
    return os.geteuid() == 0 or owner in {0, os.geteuid()}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(_CONNECT_S)
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def _nobody(candidates: Sequence[Path]) -> SupervisorError:
    places_text = ", ".join(map(str, candidates))
    return SupervisorError(errors.NO_SUPERVISOR, f"No supervisor that you may talk to answers at {places_text}")
