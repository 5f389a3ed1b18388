"""What the environment asks for, and what is imported when it asks for nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.tracing.wanted import Wanted, wanted_by

PROJECT = Path(__file__).parents[3]
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "rally"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ()),
        (ENDPOINT, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, ("otlp",)),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, ()),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp, console"}, ("otlp", "console")),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, ()),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "1"}, ("otlp",)),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ("otlp",)),
    ],
)
def test_the_standard_variables_decide(environ: dict[str, str], exporters: tuple[str, ...]) -> None:
    assert wanted_by(environ) == Wanted(exporters)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "no endpoint"),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    ],
)
def test_what_cannot_be_had_is_said_with_the_remedy(environ: dict[str, str], word: str) -> None:
    wanted = wanted_by(environ)
    assert not wanted.exporters
    assert word in (wanted.problem or "")
    assert wanted.remedy


@pytest.mark.parametrize(
    ("environ", "imported"), [({}, False), (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False), (ENDPOINT, True)]
)
def test_nothing_is_imported_that_is_not_needed(environ: dict[str, str], *, imported: bool) -> None:
    code = (
        "import sys; from supervisor.cli import main; from supervisor.process.signals import SignalInbox\n"
        "main(['run'], SignalInbox())\n"
        "assert 'supervisor.tracing.session' in sys.modules\n"
        "print(any(name.startswith(('opentelemetry', 'google.protobuf', 'requests')) for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "SUPERVISOR_LOG_FORMAT": "json", **environ},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == str(imported)


def test_a_missing_extra_is_said_once_and_named() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from supervisor.cli import main; from supervisor.process.signals import SignalInbox\n"
        "main(['run'], SignalInbox())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "SUPERVISOR_LOG_FORMAT": "json", **ENDPOINT},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if "config.warning" in line]
    assert "directus-supervisor[otel]" in line
