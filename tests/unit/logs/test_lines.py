"""The lines of a process: many at a time, each a record of its own, with no secret in any of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from supervisor.directus import commands
from supervisor.directus.commands import OutputLog
from supervisor.logs import levels, setup
from supervisor.logs.lines import OutputLines
from supervisor.process.output import Batch
from supervisor.status.recorder import Recorder
from tests.unit.captured import Captured

WORDS = st.text(st.sampled_from('"\\{}[]:,.#\nñ€\u2028 amsg\ud83d\r'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("msg"), inner, max_size=3),
    max_leaves=8,
)
PINO = {"level": 30, "time": 1767225600000, "pid": 17, "hostname": "directus-0"}


def pino(message: str, *, ensure_ascii: bool = True, **fields: object) -> bytes:
    text = json.dumps({**PINO, **fields, "msg": message}, ensure_ascii=ensure_ascii)
    return text.encode("utf-8", "backslashreplace")


def consume(
    captured: Captured, *lines: bytes, partial: bool = False, stream: str = "stdout"
) -> Sequence[dict[str, object]]:
    OutputLog("directus", "directus").consume(stream, 7, Batch(list(lines), partial))  # type: ignore[arg-type]
    return captured.records


def test_a_line_says_who_wrote_it(captured: Captured) -> None:
    (record,) = consume(captured, pino("hello", req={"id": 7}))
    assert record.pop("timestamp")
    assert record == {
        "level": "info",
        "event": "process.output",
        "component": "directus",
        "boot_id": setup.boot_id,
        "seq": record["seq"],
        "pid": 7,
        "process": "directus",
        "stream": "stdout",
        "message": "hello",
        "data": {"req": {"id": 7}},
    }


@given(
    fields=st.dictionaries(WORDS.filter(lambda name: name != "msg"), VALUES, max_size=3),
    message=WORDS,
    ensure_ascii=st.booleans(),
)
def test_a_structured_line_keeps_its_message_and_its_values(
    fields: dict[str, object], message: str, ensure_ascii: bool
) -> None:
    captured = Captured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "sink", captured)
        (record,) = consume(
            captured, pino(message, ensure_ascii=ensure_ascii, **{f"x{name}": value for name, value in fields.items()})
        )
    assert record["message"] == message
    assert json.dumps(record.get("data", {})) == json.dumps({f"x{name}": value for name, value in fields.items()})


@given(
    lines=st.lists(
        st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")) | st.just(pino("x", a=1)), min_size=1
    )
)
def test_each_line_is_one_record_in_its_place(lines: list[bytes]) -> None:
    captured = Captured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "sink", captured)
        records = consume(captured, *lines)
    assert len(records) == len(lines)
    numbers = [record["seq"] for record in records]
    assert numbers == list(range(int(str(numbers[0])), int(str(numbers[0])) + len(lines)))


PLAIN = st.lists(
    st.sampled_from([b"", b"plain", "päß €".encode(), b"{", b"{}", b"a-known-secret", b"\x7f"])
    | st.sampled_from([b'"', b"\\n", b"\r", b"\xff", b"\x00", b"\t", b'{"level":50,"msg":"no"}', b"\xed\xa0\x80"]),
    min_size=1,
    max_size=4,
)


@given(lines=PLAIN, stream=st.sampled_from(["stdout", "stderr"]), level=st.sampled_from(["info", "error"]))
def test_plain_lines_are_the_same_whether_they_are_copied_or_looked_at_one_by_one(
    lines: list[bytes], stream: str, level: str
) -> None:
    outcomes = []
    for copied in (True, False):
        captured = Captured()
        log = OutputLog("directus", "directus")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(setup, "sink", captured)
            patch.setattr(setup, "_levels", levels.parse(level))
            if not copied:
                patch.setattr(OutputLines, "write_verbatim", lambda *_: False)
            setup.redactor.know(["a-known-secret"])
            log.consume(stream, 7, Batch(list(lines)))  # type: ignore[arg-type]
        records = [{**record, "timestamp": "", "seq": 0} for record in captured.records]
        outcomes.append((records, list(log.last_lines), list(log.last_errors)))
    assert outcomes[0] == outcomes[1]


def test_of_plain_lines_nothing_is_parsed(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "parse_lines", lambda *_, **__: pytest.fail("parsed"))
    records = consume(captured, b"one", "zwö".encode(), b"")
    assert [record["message"] for record in records] == ["one", "zwö", ""]


def test_a_line_has_the_phase_in_which_its_process_runs(captured: Captured) -> None:
    with structlog.contextvars.bound_contextvars(phase="bootstrap"):
        (record,) = consume(captured, b"a line")
    assert record["phase"] == "bootstrap"


def test_a_line_that_goes_on_is_marked(captured: Captured) -> None:
    records = consume(captured, b"whole", b"half", partial=True)
    assert [record.get("partial") for record in records] == [None, True]


def test_lines_below_the_level_are_left_out(captured: Captured) -> None:
    setup.set_level("warning")
    records = consume(captured, b"information", b'{"level":50,"msg":"an error"}', b'{"level":30,"msg":"no"}')
    assert [record["message"] for record in records] == ["an error"]


@pytest.mark.parametrize("secret", ['pass"word', "päss-wörd", "plain-secret", "back\\slash", "a/b/c", "üüüü"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_secret_is_masked_wherever_it_stands_in_a_line(captured: Captured, secret: str, ensure_ascii: bool) -> None:
    setup.redactor.know([secret])
    inner = json.dumps({"password": secret}, ensure_ascii=ensure_ascii)
    records = consume(
        captured,
        b"nothing here",
        pino(f"it is {secret}", ensure_ascii=ensure_ascii, a=[f"-{secret}-"], inner=inner, **{f"k{secret}": 1}),
        f"plain {secret}".encode(),
        inner.encode(),
        pino("nothing here either", b=2),
    )
    assert [record["message"] for record in records] == [
        "nothing here",
        "it is [redacted]",
        "plain [redacted]",
        '{"password": "[redacted]"}',
        "nothing here either",
    ]
    assert records[1]["data"] == {"a": ["-[redacted]-"], "inner": '{"password": "[redacted]"}', "k[redacted]": 1}
    assert records[4]["data"] == {"b": 2}


@pytest.mark.parametrize("spelling", [r"a\/b\/c", r"\u0061/b/c", "a/b/c", r"p\u00C4ss", r"p\u00e4ss", "päss"])
def test_a_secret_is_masked_however_a_json_line_spells_it(captured: Captured, spelling: str) -> None:
    setup.redactor.know(["a/b/c", "päss", "pÄss"])
    (record,) = consume(captured, f'{{"level":30,"msg":"x","v":"{spelling}"}}'.encode())
    assert record["data"] == {"v": "[redacted]"}


def test_a_number_that_is_a_secret_is_masked(captured: Captured) -> None:
    setup.redactor.know(["12345678"])
    (record,) = consume(captured, pino("x", pin=12345678, other=7))
    assert record["data"] == {"pin": "[redacted]", "other": 7}


def test_many_secrets_are_found_like_few(captured: Captured) -> None:
    setup.redactor.know([f"secret-number-{number:03}" for number in range(100)])
    records = consume(captured, b"it is secret-number-077", b"it is secret-number-abc")
    assert [record["message"] for record in records] == ["it is [redacted]", "it is secret-number-abc"]


def test_who_hears_the_log_gets_a_batch_at_a_time_and_never_a_secret(captured: Captured) -> None:
    setup.redactor.know(["hunter22"])
    recorder = Recorder()
    with setup.heard_by(recorder):
        consume(captured, *[f"{number} hunter22".encode() for number in range(100)])
    kept = list(recorder.lines.after(0))
    assert [json.loads(line.text)["message"] for line in kept] == [f"{number} [redacted]" for number in range(100)]
    assert [line.text for line in kept] == captured.lines
    assert recorder.streams["directus", "stdout"].lines == 100
    assert recorder.streams["directus", "stdout"].bytes == sum(len(line) + 1 for line in captured.lines)


def test_the_console_form_is_used_for_lines_of_processes_too(captured: Captured) -> None:
    setup.set_up("console", "info")
    OutputLog("directus", "directus").consume("stdout", 7, Batch([b'{"level":30,"msg":"hello","a":1}', b"plain"]))
    assert [("hello" in line, "plain" in line) for line in captured.lines] == [(True, False), (False, True)]
    assert not captured.lines[0].startswith("{")


def test_lines_cost_microseconds_not_more(captured: Captured) -> None:
    lines = [pino(f"request {number}", req={"url": "/items", "headers": {"host": "x"}}) for number in range(200)]
    log, batch = OutputLog("directus", "directus"), Batch(lines)
    began = time.process_time()
    for _ in range(20):
        log.consume("stdout", 7, batch)
    # The tenth of it is usual; ten times as much would hold the event loop too long.
    assert (time.process_time() - began) / 4000 < 100e-6
