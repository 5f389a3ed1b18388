"""What can be done through the control socket and the health port."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs

from supervisor.health.http import Request, Response, as_json
from supervisor.logs import events, setup
from supervisor.logs.levels import SETTABLE
from supervisor.logs.setup import get_log

_log = get_log("health")


class Controls:
    """The controls of one run.

    Args:
        reload: restarts Directus in good order; False where there is nothing to restart.
    """

    def __init__(self, reload: Callable[[], bool]) -> None:
        self._reload = reload

    def reload(self, request: Request) -> Response:
        """Stop Directus in good order and start it again."""
        if not self._reload():
            return as_json({"ok": False, "message": "Directus is not there to be reloaded."}, HTTPStatus.CONFLICT)
        _tell("reload", request)
        return as_json({"ok": True, "message": "Directus is restarted in good order."}, HTTPStatus.ACCEPTED)

    def set_log_level(self, request: Request) -> Response:
        """Write lines from the level in the form field ``level`` on, until the end of this run.

        The field ``component`` may name whose lines; without it all are meant, whatever level each had.
        """
        level, component = form_field(request, "level"), form_field(request, "component")
        if level not in SETTABLE:
            message = f"The level is one of {', '.join(SETTABLE)}."
            return as_json({"ok": False, "message": message}, HTTPStatus.BAD_REQUEST)
        try:
            setup.set_level(level, component or None)
        except ValueError as error:
            return as_json({"ok": False, "message": f"{str(error).capitalize()}."}, HTTPStatus.BAD_REQUEST)
        of = f" of {component}" if component else ""
        _tell(f"log level{of} {level}", request)
        return as_json({"ok": True, "message": f"Lines{of} from level {level} on are written."})


def form_field(request: Request, name: str) -> str:
    """One field of a form (``application/x-www-form-urlencoded``); empty where it is missing."""
    try:
        fields = parse_qs(request.body.decode("utf-8"), max_num_fields=10)
    except ValueError:
        return ""
    return fields.get(name, [""])[0]


def _tell(action: str, request: Request) -> None:
    _log.emit(events.CONTROL_USED, action=action, through="socket" if request.peer is None else request.peer)
