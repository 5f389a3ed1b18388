"""A boot as an OpenTelemetry trace, sent to a real collector: an HTTP server that decodes what it is sent."""

from __future__ import annotations

import gzip
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.harness import Deployment, Supervised, free_port

pytest.importorskip("opentelemetry.proto")

ERROR = 2  # opentelemetry.proto.trace.v1.Status.STATUS_CODE_ERROR
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Collector:
    """What a collector was sent."""

    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def resources(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [group for body in self.requests for group in ExportTraceServiceRequest.FromString(body).resource_spans]

    @property
    def spans(self) -> dict[str, Any]:
        return {span.name: span for group in self.resources for scope in group.scope_spans for span in scope.spans}

    @property
    def environ(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}


@contextmanager
def collecting(status: int = 200, delay: threading.Event | None = None) -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            if delay is not None:
                delay.wait(30)
            collector.requests.append(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def attributes(of: Any) -> dict[str, Any]:  # noqa: ANN401 - a message of the protocol
    return {
        pair.key.removeprefix("directus_supervisor."): getattr(pair.value, pair.value.WhichOneof("value"))
        for pair in of.attributes
    }


def within(spans: dict[str, Any], child: str, parent: str) -> bool:
    inner, outer = spans[child], spans[parent]
    return bool(
        inner.parent_span_id == outer.span_id
        and outer.start_time_unix_nano <= inner.start_time_unix_nano + 20_000_000
        and inner.end_time_unix_nano <= outer.end_time_unix_nano + 20_000_000
    )


def served_once(deployment: Deployment, **environ: str) -> Supervised:
    deployment.environ |= environ
    with deployment.start("run", "--once") as process:
        process.expect_exit(0)
    return process


def test_a_boot_is_a_trace_of_its_phases_files_and_launch(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_first.sql", "SELECT pg_sleep(0.1);")
    with collecting() as collector:
        served_once(
            deployment,
            **collector.environ,
            OTEL_SERVICE_NAME="rally",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            TRACEPARENT=f"00-{TRACE_ID}-{PARENT_ID}-01",
        )
    spans = collector.spans
    root = spans["boot"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert {span.trace_id for span in spans.values()} == {root.trace_id}
    for name in ("wait_for_postgres", "pre_schema", "bootstrap", "schema_apply", "post_schema"):
        assert within(spans, f"phase {name}", "boot")
    assert within(spans, "sql pre-schema/001_first.sql", "phase pre_schema")
    assert within(spans, "process bootstrap", "phase bootstrap")
    assert within(spans, "launch", "boot")
    assert attributes(spans["phase pre_schema"])["outcome"] == "changed"
    assert attributes(spans["phase schema_apply"])["outcome"] == "skipped"
    assert attributes(spans["launch"])["how"] == "message"
    file = spans["sql pre-schema/001_first.sql"]
    assert file.end_time_unix_nano - file.start_time_unix_nano >= 100_000_000
    assert not any(span.status.code == ERROR for span in spans.values())
    resource = {pair.key: pair.value.string_value for pair in collector.resources[0].resource.attributes}
    assert resource["service.name"] == "rally"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.version"]


def test_a_failure_is_an_event_of_its_phase_and_the_status_of_the_boot(deployment: Deployment) -> None:
    deployment.sql("pre-schema", "001_broken.sql", "SELEKT 'open-sesame';")
    deployment.environ["DB_PASSWORD"] = deployment.environ.get("DB_PASSWORD") or "open-sesame"
    with collecting() as collector:
        deployment.environ |= collector.environ
        deployment.migrate(3)
    spans = collector.spans
    assert spans["boot"].status.code == ERROR
    assert spans["boot"].status.message.startswith("sql.failed: pre-schema/001_broken.sql:1")
    assert attributes(spans["boot"])["exit_code"] == 3
    phase = spans["phase pre_schema"]
    assert phase.status.code == ERROR
    (incident,) = [event for event in phase.events if event.name == "incident"]
    assert attributes(incident)["code"] == "sql.failed"
    assert attributes(incident)["remedy"]
    assert {pair.value.string_value for pair in collector.resources[0].resource.attributes} >= {"directus-supervisor"}


def test_no_secret_gets_into_a_trace(deployment: Deployment) -> None:
    deployment.environ["SECRET"] = "a-planted-secret-of-32-characters"
    deployment.sql("pre-schema", "001_leak.sql", "DO $$ BEGIN RAISE 'a-planted-secret-of-32-characters'; END $$;")
    with collecting() as collector:
        deployment.environ |= collector.environ
        deployment.migrate(3)
    assert collector.spans["boot"].status.code == ERROR
    assert not any(b"a-planted-secret" in body for body in collector.requests)


def test_a_restart_after_the_boot_is_a_span_of_the_same_trace(deployment: Deployment) -> None:
    deployment.environ |= {
        "STAND_IN": "serve-once",
        "STAND_IN_MARK": str(deployment.folder / "mark"),
        "SUPERVISOR_RESTART_BACKOFF_S": "0.01",
        "SUPERVISOR_RESTART_LIMIT": "1",
    }
    with collecting() as collector:
        deployment.environ |= collector.environ
        with deployment.start("run") as process:
            os.kill(process.wait_for("process.ready")["pid"], signal.SIGKILL)
            process.expect_exit(7)
    spans = collector.spans
    assert spans["restart directus"].parent_span_id == spans["boot"].span_id
    assert spans["restart directus"].status.code == ERROR
    assert any(event.name == "incident" for event in spans["restart directus"].events)


def test_a_collector_that_is_not_there_delays_nothing_and_is_told_of_once(deployment: Deployment) -> None:
    deployment.environ |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "SUPERVISOR_LOG_LEVEL": "info",
    }
    with deployment.start("run") as process:
        process.wait_for("state.changed", state="ready")
        process.wait_for("library.line")
        began = time.monotonic()
        process.process.terminate()
        process.expect_exit(0)
        took = time.monotonic() - began
    assert took < 5
    (line,) = process.of("library.line")
    assert str(line["logger"]).startswith(("opentelemetry", "urllib3"))
    assert process.of("supervisor.stopped", exit_code=0)
    assert "Traceback" not in process.text


def test_a_collector_that_hangs_holds_up_the_end_for_a_second_at_the_most(deployment: Deployment) -> None:
    answer = threading.Event()
    with collecting(delay=answer) as collector:
        deployment.environ |= collector.environ
        with deployment.start("migrate") as process:
            process.wait_for("supervisor.stopped")
            began = time.monotonic()
            process.expect_exit(0)
            took = time.monotonic() - began
        answer.set()
    assert took < 3


def test_on_the_console_a_span_is_a_line_of_the_log(deployment: Deployment) -> None:
    process = served_once(deployment, OTEL_TRACES_EXPORTER="console")
    assert process.of("trace.span", span="phase bootstrap", status="UNSET")
    assert all(line.startswith("{") for line in process.text.splitlines() if "trace_id" in line)


def test_variables_that_cannot_be_used_are_told_and_stop_nothing(deployment: Deployment) -> None:
    process = served_once(
        deployment, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_TRACES_EXPORTER="otlp,jaeger"
    )
    (warning,) = [record for record in process.of("config.warning") if "jaeger" in record["message"]]
    assert "otlp, console or none" in warning["remedy"]
