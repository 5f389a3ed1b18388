"""SQL files, side by side with the bash loop: 1,000 already applied, 1,000 to apply; `check`; ten replicas at once."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import proc
from benchmarks.deployment import Deployment
from benchmarks.parts import Parts, set_up_parts
from benchmarks.table import Figure, print_figures, status_of
from benchmarks.watched import Command, MeasurementError, Watched

_LOOP: Final = Path(__file__).parent / "bash_flow" / "loop.sh"
_READY: Final = Path(__file__).parent / "programs" / "ready.sh"
_GROUPS: Final = ("files", "check", "replicas")
# Small migrations as people write them; of ten, one makes a table, one an index, and the others are about them.
_MIGRATIONS: Final = {
    "create": """\
CREATE TABLE item_{k} (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    made timestamptz NOT NULL DEFAULT now()
);
""",
    "comment": "COMMENT ON TABLE item_{k} IS 'The items of group {k}.';\n",
    "seed": "INSERT INTO item_{k} (name) VALUES ('first'), ('second'), ('third');\n",
    "add_code": "ALTER TABLE item_{k} ADD COLUMN IF NOT EXISTS code text;\n",
    "fill_code": "UPDATE item_{k} SET code = upper(name) WHERE code IS NULL;\n",
    "require_code": "ALTER TABLE item_{k} ALTER COLUMN code SET NOT NULL;\n",
    "check_code": """\
ALTER TABLE item_{k} DROP CONSTRAINT IF EXISTS item_{k}_code;
ALTER TABLE item_{k} ADD CONSTRAINT item_{k}_code CHECK (code <> '');
""",
    "index_name": "CREATE INDEX IF NOT EXISTS item_{k}_name ON item_{k} (name);\n",
    "count": """\
CREATE OR REPLACE FUNCTION item_{k}_count() RETURNS bigint
    LANGUAGE sql STABLE AS $$ SELECT count(*) FROM item_{k} $$;
""",
    "codes": "CREATE OR REPLACE VIEW item_{k}_codes AS SELECT id, code FROM item_{k};\n",
}


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sql", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--files", type=int, default=1000, metavar="N", help="SQL files (1,000)")
    parser.add_argument("--replicas", type=int, default=10, metavar="N", help="replicas at once (10)")
    parser.add_argument("--only", choices=_GROUPS, action="append", help="measure this group alone; repeatable")
    parser.add_argument("-n", type=int, default=3, metavar="N", help="runs per side (3); medians count")
    parser.add_argument("--program", type=Path, help="the directus-supervisor to measure; default: this tree")
    options = parser.parse_args()
    groups = options.only or _GROUPS

    print(f"load at the start: {proc.load()}", file=sys.stderr)
    with set_up_parts(options.program) as parts:
        figures: list[Figure] = []
        if "files" in groups:
            figures += _measure_files(parts, options.files, options.n)
        if "check" in groups:
            figures.append(_measure_check(parts, options.files, options.n))
        if "replicas" in groups:
            figures.append(_measure_replicas(parts, options.replicas, options.n))
    print_figures("SQL files", figures)
    return status_of(figures, check=options.check)


def _measure_files(parts: Parts, count: int, rounds: int) -> list[Figure]:
    apply: list[tuple[float, float]] = []
    skip: list[tuple[float, float]] = []
    for _ in range(rounds):
        ours, theirs = _many(parts.warm(), count), _many(parts.warm(), count)
        # What `migrate` needs without any file is no work on files: start, connection, the other phases.
        nothing_s = _seconds(_many(parts.warm(), 0).ours("migrate"))
        loop = Command((str(_LOOP),), theirs.environ, theirs.folder)
        apply.append((_seconds(ours.ours("migrate")) - nothing_s, _seconds(loop)))
        skip.append((_seconds(ours.ours("migrate")) - nothing_s, _seconds(loop)))
    return [
        _times_faster(f"{count:,} files already applied, s", skip, 100),
        _times_faster(f"{count:,} small files applied, s", apply, 10),
    ]


def _times_faster(name: str, pairs: list[tuple[float, float]], times: float) -> Figure:
    mine = statistics.median(pair[0] for pair in pairs)
    loop = statistics.median(pair[1] for pair in pairs)
    note = "times faster, each pair: " + ", ".join(f"{theirs / ours:.0f}" for ours, theirs in pairs)
    return Figure(name=name, ours=mine, theirs=loop, beside="the bash loop", at_most=loop / times, note=note)


def _measure_check(parts: Parts, count: int, rounds: int) -> Figure:
    deployment = _many(parts.warm(), count)
    spans = []
    for _ in range(rounds):
        before = os.times()
        _seconds(deployment.ours("check"))
        after = os.times()
        spans.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return Figure(name=f"`check` of {count:,} files, s of processor time", ours=statistics.median(spans), at_most=2)


def _measure_replicas(parts: Parts, replicas: int, rounds: int) -> Figure:
    single = [_slowest_ready_s(parts.fresh(), 1) for _ in range(rounds)]
    together = [_slowest_ready_s(parts.fresh(), replicas) for _ in range(rounds)]
    alone_s = statistics.median(single)
    return Figure(
        name=f"{replicas} replicas at once on an empty database: the slowest ready, s",
        ours=statistics.median(together),
        theirs=alone_s,
        beside="a single one",
        at_most=1.3 * alone_s,
    )


def _slowest_ready_s(deployment: Deployment, replicas: int) -> float:
    """Start replicas at once, wait until all are ready, and make sure that each file was applied by one of them."""
    command = deployment.with_variables(SUPERVISOR_COMMAND=str(_READY)).ours("run")
    with ExitStack() as stack, ThreadPoolExecutor(replicas) as threads:
        began = time.monotonic()
        running = [stack.enter_context(Watched(command)) for _ in range(replicas)]
        ready = threads.map(lambda watched: watched.wait_for_output(b'"event":"process.ready"'), running)
        slowest_s: float = max(ready) - began
        applied = [_field(line, "file") for watched in running for line in _events(watched, b'"event":"sql.applied"')]
    if len(applied) != len(set(applied)) or not applied:
        raise MeasurementError(f"applied by {replicas} replicas: {sorted(applied)}")
    return slowest_s


def _events(watched: Watched, pattern: bytes) -> list[bytes]:
    return [line for line in watched.output.splitlines() if pattern in line]


def _field(line: bytes, name: str) -> str:
    return str(json.loads(line)[name])


def _many(deployment: Deployment, count: int) -> Deployment:
    """The same with so many SQL files, and no others, before the schema."""
    folder = deployment.folder / "many"
    (folder / "pre-schema").mkdir(parents=True)
    migrations = itertools.cycle(_MIGRATIONS.items())
    for number, (name, text) in zip(range(count), migrations, strict=False):
        path = folder / "pre-schema" / f"{number + 1:04d}_{name}.sql"
        group = f"{number // len(_MIGRATIONS):03d}"
        path.write_text(f"-- Group {group}: {name}.\n{text.format(k=group)}", encoding="utf-8")
    # Without a snapshot: a thousand new tables would cost Directus' own diff more than all that is measured here.
    nothing = str(deployment.folder / "nothing")
    return deployment.with_variables(SUPERVISOR_SQL_DIR=str(folder), SQL_DIR=str(folder), SUPERVISOR_SNAPSHOT=nothing)


def _seconds(command: Command) -> float:
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - the programs under measurement
        command.argv, env=dict(command.environ), cwd=command.cwd, capture_output=True, check=False
    )
    if done.returncode:
        raise MeasurementError(f"{command.argv} ended with {done.returncode}:\n{done.stdout.decode()[-3000:]}")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
