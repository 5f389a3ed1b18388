"""Where spans go. Imports OpenTelemetry: loaded only where traces are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from supervisor.tracing.wanted import OTLP

_SERVICE: Final = "directus-supervisor"
_NS: Final = 1_000_000_000

Say = Callable[[Mapping[str, Any]], None]


class LogExporter(SpanExporter):
    """Tells each span as a line of the log: stdout belongs to the log.

    Args:
        say: takes the fields of one line.
    """

    def __init__(self, say: Say) -> None:
        self._say = say

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Tell of these spans."""
        for span in spans:
            context, parent = span.get_span_context(), span.parent
            if context is None or span.start_time is None or span.end_time is None:
                continue
            self._say(
                {
                    "span": span.name,
                    "trace_id": f"{context.trace_id:032x}",
                    "span_id": f"{context.span_id:016x}",
                    "parent_span_id": f"{parent.span_id:016x}" if parent is not None else None,
                    "duration_s": round((span.end_time - span.start_time) / _NS, 6),
                    "status": span.status.status_code.name,
                    "attributes": dict(span.attributes or {}),
                    "span_events": [event.name for event in span.events],
                }
            )
        return SpanExportResult.SUCCESS


def make_provider(exporters: Sequence[str], attributes: Mapping[str, str], say: Say) -> TracerProvider:
    """Set the SDK up.

    Args:
        exporters: ``otlp``, ``console``.
        attributes: of the resource; what the environment says goes before.
        say: takes spans as lines of the log.

    Raises:
        Exception: whatever the SDK makes of a variable that it cannot use.
    """
    from_environment = Resource.create()
    named = {SERVICE_NAME: _SERVICE} if _is_unnamed(from_environment) else {}
    resource = Resource.create({**attributes, **named}).merge(_without_name(from_environment))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        if exporter == OTLP:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        else:
            provider.add_span_processor(SimpleSpanProcessor(LogExporter(say)))
    return provider


def _is_unnamed(resource: Resource) -> bool:
    return str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")


def _without_name(resource: Resource) -> Resource:
    if not _is_unnamed(resource):
        return resource
    return Resource({name: value for name, value in resource.attributes.items() if name != SERVICE_NAME})


def parent_of(environ: Mapping[str, str]) -> Context:
    """What ``TRACEPARENT`` names as the parent; the empty context where it names none."""
    carrier = {name.lower(): environ[name] for name in ("TRACEPARENT", "TRACESTATE", "BAGGAGE") if environ.get(name)}
    return extract(carrier, Context())
