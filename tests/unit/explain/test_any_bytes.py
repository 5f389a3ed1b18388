"""Whatever the bytes are, there is an account or a clear error, never a traceback."""

from __future__ import annotations

import io
import json
from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import SupervisorError
from supervisor.explain.account import Account, Input
from supervisor.explain.judge import judge
from supervisor.explain.ledger import Ledger
from supervisor.explain.lines import Progress
from supervisor.explain.numbering import Numbering
from supervisor.explain.scan import Scanner
from supervisor.explain.text import Style, account_text
from tests.unit.explain.written import FRAMES, Log, framed

BOOTS = (
    Log("aaaaaaaaaaaa").becomes_ready().crashes().stops(),
    Log("bbbbbbbbbbbb", began_s=60).fails(),
    Log("cccccccccccc", began_s=90, numbered=False).becomes_ready(),
)
CONSOLE = (
    "03:00:00.100 [info     ] supervisor.started         component=supervisor version=0.1.0 pid=1 run=run\n"
    "03:00:00.200 [error    ] supervisor.failed          it = 'broken component=supervisor code=sql.failed "
    "remedy='Mend [it]' exit_code=<ExitCode.SQL_FAILED: 3> problems=['a b', 'c=d']\n"
)
LOGFMT = (
    "timestamp=2026-01-31T03:00:00.100Z level=error event=supervisor.failed component=supervisor boot_id=dddddddddddd "
    'seq=1 code=sql.failed message="it \\"is\\" broken" exit_code=3\n'
)
REAL = "".join(log.text for log in BOOTS) + CONSOLE + LOGFMT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
EVENTS = sorted({json.loads(line)["event"] for log in BOOTS for line in log.lines} | {"incident", "postgres.waiting"})
FIELDS = sorted(
    {name for log in BOOTS for line in log.lines for name in json.loads(line)} | {"losses", "changed", "oom"}
)


def account_of(data: bytes, block: int = 1 << 16, *, since_s: float | None = None) -> Account | None:
    """The account; None for a clear error. What can be printed and written as JSON is."""
    stream = io.BytesIO(data)
    numbering = Numbering()
    ledger = Ledger(since_s)
    for record in Scanner(numbering).records(lambda size: stream.read(min(size, block)), Progress()):
        ledger.take(record)
    if not ledger.boots:
        return None
    source = Input(
        files=("x",),
        bytes=0,
        lines=0,
        events=0,
        output_lines=0,
        foreign_lines=0,
        damaged_lines=0,
        unreadable_lines=0,
        unknown_events=0,
        cut_lines=0,
        remarks=(),
    )
    try:
        account = judge(ledger, numbering, source, since_s=since_s, boot=None, last=False)
    except SupervisorError:
        return None
    json.dumps(asdict(account), allow_nan=False)
    account_text(account, Style(80, colour=True, unicode=True))
    assert account_text(account, Style(60, colour=False, unicode=False)).isascii()
    return account


@given(st.binary(max_size=3000))
def test_garbage_does_no_harm(data: bytes) -> None:
    account_of(data)


@settings(max_examples=50)
@given(st.data())
def test_a_mutated_log_does_no_harm(data: st.DataObject) -> None:
    log = bytearray(framed(REAL, data.draw(st.sampled_from(sorted(FRAMES)))).encode())
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(log) - 1))
        log[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=12))
        if not log:
            break
    account_of(bytes(log))


@given(st.integers(0, len(REAL.encode())), st.integers(0, len(REAL.encode())), st.sampled_from(sorted(FRAMES)))
def test_a_log_cut_anywhere_does_no_harm(first: int, second: int, frame: str) -> None:
    begin, end = sorted((first, second))
    account_of(framed(REAL, frame).encode()[begin:end])


@settings(max_examples=40)
@given(st.permutations(REAL.splitlines()), st.none() | st.floats(0, 2e9))
def test_lines_in_any_order_do_no_harm(lines: list[str], since_s: float | None) -> None:
    account_of("\n".join(lines).encode(), since_s=since_s)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(FIELDS), JSON)), max_size=12))
def test_events_with_any_fields_do_no_harm(records: list[tuple[str, dict[str, object]]]) -> None:
    lines = [
        json.dumps({"level": "error", "component": "x", "boot_id": "eeeeeeeeeeee", **fields, "event": event})
        for event, fields in records
    ]
    account_of("\n".join(lines).encode())


@settings(max_examples=25)
@given(st.integers(1, 5000))
def test_the_size_of_the_blocks_does_not_matter(block: int) -> None:
    data = framed(REAL, "docker compose logs").encode()
    assert account_of(data, block) == account_of(data)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(BOOTS), min_size=2, max_size=3, unique_by=id), st.randoms(use_true_random=False))
def test_replicas_interleaved_are_told_as_each_by_itself(logs: list[Log], chance: object) -> None:
    queues = [[f"web-{index}  | {line}" for line in log.lines] for index, log in enumerate(logs)]
    mixed: list[str] = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])  # type: ignore[attr-defined]
        mixed.append(queue.pop(0))
    together = account_of("\n".join(mixed).encode())
    assert together is not None
    for boot in together.boots:
        log = next(log for log in logs if str(boot.boot_id) in log.text)
        alone = account_of(framed(log.text, "docker compose logs").encode())
        assert alone is not None
        assert {**asdict(alone.boots[0]), "replica": 0, "source": ""} == {**asdict(boot), "replica": 0, "source": ""}


def test_a_log_on_the_console_is_understood() -> None:
    account = account_of(CONSOLE.encode())
    assert account is not None
    failure = account.boots[0].failure
    assert failure is not None
    assert (failure.cause, failure.remedy, failure.exit_code) == ("it = 'broken", "Mend [it]", 3)
    assert failure.details["problems"] == ["a b", "c=d"]


def test_a_log_in_logfmt_is_understood() -> None:
    account = account_of(LOGFMT.encode())
    assert account is not None
    failure = account.boots[0].failure
    assert failure is not None
    assert (failure.cause, failure.exit_code) == ('it "is" broken', 3)
