"""The ``PM2_*`` variables that the official image's ``ecosystem.config.cjs`` reads, translated. Pure.

Deployments have set them for pm2-runtime; those with a meaning here keep it, the others are named in a warning, so that
nobody believes in a setting that does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[KMG]?)B?", re.IGNORECASE)
_MEGABYTES: Final = {"": 1 / 1024 / 1024, "K": 1 / 1024, "M": 1.0, "G": 1024.0}
_TIME: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[hms]?)")
_SECONDS: Final = {"": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# pm2 knows no cap of the delay: a longer one than ours raises it.
_LONGEST_DELAY_S: Final = 30.0


def _milliseconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError("a number of milliseconds")
    return float(text) / 1000


def _time(text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a number of milliseconds, or a time such as 10s, 5m or 1h")
    return round(float(match["number"]) * _SECONDS[match["unit"]], 3)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number")
    return int(text)


def _megabytes(text: str) -> float:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("a size such as 512M or 1G")
    return round(float(match["number"]) * _MEGABYTES[match["unit"].upper()], 3)


_TRANSLATED: Final[dict[str, tuple[str, Callable[[str], float]]]] = {
    "PM2_KILL_TIMEOUT": ("stop_timeout_s", _milliseconds),
    "PM2_MAX_MEMORY_RESTART": ("memory_limit_mb", _megabytes),
    "PM2_MAX_RESTARTS": ("restart_limit", _count),
    "PM2_MIN_UPTIME": ("restart_stable_s", _time),
    "PM2_RESTART_DELAY": ("restart_backoff_s", _milliseconds),
}
_IGNORED: Final = {
    "PM2_INSTANCES": "one Directus runs in a container; start more containers instead",
    "PM2_EXEC_MODE": "there is no cluster mode; start more containers instead",
    "PM2_LISTEN_TIMEOUT": "pm2 takes a Directus that is late for ready; see SUPERVISOR_READY_TIMEOUT_S",
    "PM2_KILL_SIGNAL": "Directus is stopped with SIGTERM",
    "PM2_LOG_ERROR_FILE": "the log goes to stdout",
    "PM2_LOG_OUT_FILE": "the log goes to stdout",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """What the variables amount to.

    Attributes:
        values: the setting's name to its value and the variable that it comes from.
        ignored: variable to the reason why it does nothing here.
        problems: one sentence for each value that cannot be read.
    """

    values: Mapping[str, tuple[object, str]]
    ignored: Mapping[str, str]
    problems: tuple[str, ...]


def translate(environ: Mapping[str, str]) -> Translation:
    """Translate what is set; an empty variable counts as unset, as in the ecosystem file."""
    values: dict[str, tuple[object, str]] = {}
    problems: list[str] = []
    for variable, (name, read) in _TRANSLATED.items():
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            values[name] = (read(text), variable)
        except ValueError as error:
            problems.append(f"{variable} is {text!r}, but must be {error}")
    delay_s, variable = values.get("restart_backoff_s", (0.0, ""))
    if isinstance(delay_s, float) and delay_s > _LONGEST_DELAY_S:
        values["restart_backoff_max_s"] = (delay_s, variable)
    automatic = environ.get("PM2_AUTO_RESTART", "").strip()
    if automatic.lower() == "false":
        # Without any restart the first death is the last.
        values["restart_limit"] = (0, "PM2_AUTO_RESTART")
    elif automatic.lower() not in {"", "true"}:
        # The ecosystem file takes all but "true" for false, which is not what "yes" or "1" means.
        problems.append(f"PM2_AUTO_RESTART is {automatic!r}, but must be true or false")
    ignored = {variable: reason for variable, reason in _IGNORED.items() if _differs(environ, variable)}
    return Translation(values, ignored, tuple(problems))


def _differs(environ: Mapping[str, str], variable: str) -> bool:
    value = environ.get(variable, "").strip()
    return value != "" and (variable, value) not in {("PM2_INSTANCES", "1"), ("PM2_EXEC_MODE", "fork")}
