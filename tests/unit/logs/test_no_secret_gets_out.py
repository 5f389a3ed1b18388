"""Secrets, planted everywhere that anything is ever written from: none of them gets out."""

from __future__ import annotations

import json
import logging

import pytest

from supervisor.directus.commands import OutputLog
from supervisor.logs import events, setup
from supervisor.logs.fields import FIELDS
from supervisor.process.output import LONGEST_LINE_BYTES, Batch, LineSplitter
from supervisor.status.observatory import Observatory, as_json
from supervisor.status.recorder import Recorder
from tests.unit.captured import Captured

SETTING = 'hunter"22/ü'
CREDENTIALS = {
    "url": "postgres://app:urlPassw0rd@db/rally",
    "bearer": "Bearer bearerT0ken.aaa.bbb",
    "basic": "Basic dXNlcjpiYXNpYw==",
    "cookie": "Cookie: directus_session_token=cookieValu3",
    "query": "/items?access_token=queryT0ken&limit=1",
    "body": '{"refresh_token":"bodyT0ken"}',
}
NEVER = (
    "hunter",
    "urlPassw0rd",
    "bearerT0ken",
    "dXNlcjpiYXNpYw",
    "cookieValu3",
    "queryT0ken",
    "bodyT0ken",
    "headerValu3",
)
PLANTED = " ; ".join([SETTING, *(f"{text}\n" for text in CREDENTIALS.values())])
HEADERS = {"authorization": "headerValu3", "cookie": "a=headerValu3", "set-cookie": ["b=headerValu3"]}
FORMS = pytest.mark.parametrize("log_format", ["json", "console", "logfmt"])


@pytest.fixture(autouse=True)
def _known(captured: Captured) -> None:
    setup.redactor.know([SETTING])


def assert_clean(text: str) -> None:
    assert text
    assert not [secret for secret in NEVER if secret in text]


def emit_everything() -> None:
    for event in events.CATALOGUE.values():
        # Words of our own are not masked: a password that is the same word would be told by that.
        names = [name for name in event.fields if name not in setup._OWN]
        fields: dict[str, object] = dict.fromkeys(names, PLANTED)
        for name in names:
            if FIELDS[name].kind.startswith("list"):
                fields[name] = [PLANTED, {"headers": HEADERS, SETTING: SETTING}]
        try:
            try:
                raise RuntimeError(PLANTED)
            except RuntimeError as error:
                raise ValueError(f"because of {SETTING}") from error
        except ValueError as error:
            setup.get_log("boot").emit(event, level="error", **fields, exc_info=error)


@FORMS
def test_no_field_of_any_event_and_no_exception_shows_a_secret(captured: Captured, log_format: str) -> None:
    setup.set_up(log_format, "debug")
    emit_everything()
    assert len(captured.lines) == len(events.CATALOGUE)
    assert_clean("\n".join(captured.lines))


@FORMS
def test_no_line_of_a_library_shows_a_secret(captured: Captured, log_format: str) -> None:
    setup.set_up(log_format, "debug")
    logging.getLogger("asyncpg").warning("%s", PLANTED)
    assert_clean("\n".join(captured.lines))


@FORMS
@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("read_bytes", [7, 100_000])
def test_no_line_of_a_process_shows_a_secret(
    captured: Captured, log_format: str, ensure_ascii: bool, read_bytes: int
) -> None:
    setup.set_up(log_format, "debug")
    pino = {
        "level": 30,
        "msg": PLANTED,
        "req": {"url": CREDENTIALS["query"], "headers": HEADERS},
        "err": {"stack": PLANTED, "config": json.dumps({"secret": SETTING, **CREDENTIALS})},
        SETTING: 1,
    }
    escaped = json.dumps(pino, ensure_ascii=ensure_ascii).replace("/", "\\/")
    output = "\n".join(
        [PLANTED, json.dumps(pino, ensure_ascii=ensure_ascii), escaped, json.dumps(PLANTED), "{" + PLANTED]
    )
    data, splitter = output.encode(), LineSplitter(redactor=setup.redactor)
    log = OutputLog("directus", "directus")
    batches = [batch for at in range(0, len(data), read_bytes) for batch in splitter.feed(data[at : at + read_bytes])]
    for batch in [*batches, *splitter.finish()]:
        log.consume("stderr", 7, batch)
    assert_clean("\n".join(captured.lines))


@pytest.mark.parametrize("text", [SETTING, *CREDENTIALS.values()])
def test_no_half_of_a_secret_is_shown_where_a_long_line_is_cut(captured: Captured, text: str) -> None:
    for before in range(1, len(text.encode())):
        splitter = LineSplitter(redactor=setup.redactor)
        line = b"." * (LONGEST_LINE_BYTES - before - 1) + b" " + text.encode() + b" " + b"." * 100
        batches = [*splitter.feed(line + b"\n")]
        assert sum(map(len, batches[0].lines)) < len(line), "it is not cut"
        for batch in batches:
            OutputLog("directus", "directus").consume("stdout", 7, batch)
    assert_clean("\n".join(line.replace("...", "") for line in captured.lines))


def test_nothing_that_the_status_page_gets_shows_a_secret() -> None:
    recorder = Recorder()
    with setup.heard_by(recorder):
        log = setup.get_log("boot")
        log.emit(events.BOOT_STARTED, database=PLANTED, phases=["a"])
        log.emit(events.PHASE_FINISHED, phase="a", outcome="changed", summary=PLANTED, duration_s=1)
        log.emit(events.SQL_APPLIED, phase="a", file=PLANTED, duration_s=1)
        log.emit(events.SQL_PENDING, phase="a", file=PLANTED, extension=PLANTED)
        log.emit(events.POSTGRES_WAITING, phase="a", attempt=1, cause=PLANTED, next_delay_s=1)
        log.emit(events.STATE_CHANGED, before="starting", state="failed", reason=PLANTED)
        log.emit(events.PROCESS_RESTARTING, process="directus", reason=PLANTED, cause="exit", oom=False)
        log.emit(events.INCIDENT, code="c", message=PLANTED, remedy=PLANTED, runbook=PLANTED, last_lines=[PLANTED])
        OutputLog("directus", "directus").consume("stdout", 7, Batch([PLANTED.replace("\n", " ").encode()]))
    assert recorder.misunderstood == 0
    assert_clean(as_json(Observatory(recorder, "11").picture()))
    assert_clean("\n".join(line.text for line in recorder.lines.after(0)))
