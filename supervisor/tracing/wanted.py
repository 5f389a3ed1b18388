"""Whether traces are wanted, and where they are to go, by OpenTelemetry's own environment variables. Pure.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and the variables of the OTLP
exporter, https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

OTLP: Final = "otlp"
CONSOLE: Final = "console"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OUR_PROTOCOL: Final = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted.

    Attributes:
        exporters: ``otlp`` and ``console``; none for no traces.
        problem: what was asked for and cannot be; None when nothing is wrong.
        remedy: what to do about it.
    """

    exporters: tuple[str, ...] = ()
    problem: str | None = None
    remedy: str = ""


def wanted_by(environ: Mapping[str, str]) -> Wanted:
    """What the environment asks for.

    Args:
        environ: the process environment; an empty variable counts as unset, as the specification says.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted()
    names = [name.strip().lower() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()]
    endpoint = any(environ.get(name) for name in _ENDPOINTS)
    if not names:
        return _by_protocol(environ, (OTLP,)) if endpoint else Wanted()
    if "none" in names:
        return Wanted()
    strange = [name for name in names if name not in {OTLP, CONSOLE}]
    if strange:
        return Wanted(
            problem=f"OTEL_TRACES_EXPORTER names {strange[0]}, which is not known; there are no traces",
            remedy="Set it to otlp, console or none.",
        )
    if OTLP in names and not endpoint:
        return Wanted(
            problem="OTEL_TRACES_EXPORTER is otlp, and no endpoint is set; there are no traces",
            remedy="Set OTEL_EXPORTER_OTLP_ENDPOINT, as http://collector:4318.",
        )
    return _by_protocol(environ, tuple(dict.fromkeys(names)))


def _by_protocol(environ: Mapping[str, str], exporters: tuple[str, ...]) -> Wanted:
    protocol = next((environ[name].strip() for name in _PROTOCOLS if environ.get(name)), _OUR_PROTOCOL)
    if OTLP in exporters and protocol != _OUR_PROTOCOL:
        return Wanted(
            problem=f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, which is not spoken here; there are no traces",
            remedy="Set it to http/protobuf, and the endpoint to the collector's HTTP port (4318).",
        )
    return Wanted(exporters)
