"""What a change can lose, and how far each mode lets it go."""

from __future__ import annotations

import random
from typing import Any

import pytest

from supervisor.directus.approval import digest
from supervisor.directus.decision import ghosts, refusal
from supervisor.directus.diff import Change
from supervisor.directus.losses import Link, Loss, What, judge, may_lose, target_type, with_dependants

SPONSORS = Change("collection", "delete", "sponsors", None)
COLOUR = Change("field", "delete", "vehicles", "colour")
MODEL = Change("field", "change", "vehicles", "model", alters_column=True)
YEAR = Change("field", "change", "vehicles", "year", alters_column=True)

REFERENCE = {"foreign_key_table": "owners", "foreign_key_column": "id", "on_delete": "RESTRICT"}
DROPPED = Loss(SPONSORS, What.DROP, 12, 1001)
EMPTIED = Loss(COLOUR, What.DROP, 1, 1002, 7)
NARROWED = Loss(MODEL, What.CONVERT, 3, 1002, 3, "text to character varying(10)")
IN_THE_WAY = Loss(YEAR, What.REQUIRED, 2, 1002, 4)


def field(kind: str, **schema: object) -> dict[str, Any]:
    return {"type": kind, "schema": schema}


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (field("string", max_length=10), {}, "character varying(10)"),
        (field("string", max_length=None), field("string", max_length=40), "character varying(255)"),
        (field("string"), field("string", max_length=40), "character varying(40)"),
        (field("float"), field("float", data_type="double precision"), "real"),
        (field("decimal"), {}, "numeric(10,5)"),
        (field("decimal", numeric_precision=8, numeric_scale=0), {}, "numeric(8,0)"),
        (field("dateTime"), {}, "timestamp without time zone"),
        (field("integer", has_auto_increment=True), {}, None),
        (field("geometry.Point"), {}, None),
        (field("unknown"), {}, None),
    ],
)
def test_the_type_is_the_one_that_directus_casts_to(
    after: dict[str, Any], before: dict[str, Any], expected: str | None
) -> None:
    assert target_type(after, before) == expected


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (SPONSORS, True),
        (COLOUR, True),
        (MODEL, True),
        (Change("field", "change", "vehicles", "model"), False),
        (Change("relation", "delete", "vehicles", "owner"), False),
        (Change("relation", "create", "vehicles", "owner", after={"schema": None}), False),
        (Change("relation", "create", "vehicles", "owner", after={"schema": REFERENCE}), True),
        (Change("relation", "change", "vehicles", "owner", {"schema": REFERENCE}, {"schema": REFERENCE}), False),
        (Change("collection", "change", "vehicles", None, alters_column=True), False),
        (Change("field", "create", "vehicles", "a", after=field("string", is_nullable=True)), False),
        (Change("field", "create", "vehicles", "a", after=field("string", is_nullable=False)), True),
        (Change("field", "create", "vehicles", "a", after=field("string", is_unique=True)), True),
        (Change("field", "create", "vehicles", "a", after=field("alias")), False),
    ],
)
def test_the_database_is_asked_about_what_can_meet_rows(change: Change, asked: bool) -> None:
    assert may_lose(change) is asked


@pytest.mark.parametrize(
    ("mode", "losses", "approved", "action", "left_out", "lost"),
    [
        ("safe", (), False, "apply", (), ()),
        ("safe", (DROPPED,), False, "refuse", (), (DROPPED,)),
        ("safe", (DROPPED,), True, "apply", (), (DROPPED,)),
        ("safe", (IN_THE_WAY,), False, "refuse", (), (IN_THE_WAY,)),
        # No approval makes rows fit that do not.
        ("safe", (DROPPED, IN_THE_WAY), True, "refuse", (), (DROPPED, IN_THE_WAY)),
        ("additive", (DROPPED, IN_THE_WAY), False, "apply", (DROPPED, IN_THE_WAY), ()),
        ("additive", (DROPPED, IN_THE_WAY), True, "apply", (IN_THE_WAY,), (DROPPED,)),
        ("plan", (DROPPED,), True, "show", (), (DROPPED,)),
        ("plan", (), False, "show", (), ()),
        ("force", (DROPPED, IN_THE_WAY), False, "apply", (), (DROPPED,)),
    ],
)
def test_each_mode_goes_as_far_as_it_says(
    mode: str,
    losses: tuple[Loss, ...],
    approved: bool,
    action: str,
    left_out: tuple[Loss, ...],
    lost: tuple[Loss, ...],
) -> None:
    verdict = judge(mode, losses, approved=approved)
    assert (verdict.action, verdict.left_out, verdict.lost) == (action, left_out, lost)


def test_what_hangs_on_a_left_out_change_is_left_out_too() -> None:
    links = (Link("rides", "sponsor", "sponsors", "rides"), Link("rides", "car", "vehicles", "rides"))
    assert with_dependants([DROPPED], links) == {
        SPONSORS.key,
        ("relation", "rides", "sponsor"),
        ("field", "rides", "sponsor"),
        ("field", "sponsors", "rides"),
    }
    car = Loss(Change("field", "delete", "rides", "car"), What.DROP, 1, 1, 2)
    assert with_dependants([car], links) == {
        ("field", "rides", "car"),
        ("relation", "rides", "car"),
        ("field", "vehicles", "rides"),
    }


def test_one_plan_has_one_digest_in_any_order_and_with_any_counts() -> None:
    losses = [DROPPED, EMPTIED, NARROWED]
    expected = digest(losses, 5, 0)
    for seed in range(5):
        random.Random(seed).shuffle(losses)
        assert digest(losses, 5, 0) == expected
    assert digest([Loss(SPONSORS, What.DROP, 99, 1001), EMPTIED, NARROWED], 5, 0) == expected
    assert digest([*losses, IN_THE_WAY], 5, 0) == expected


def test_another_loss_has_another_digest() -> None:
    digests = [
        digest([DROPPED], 5, 0),
        digest([DROPPED, EMPTIED], 5, 0),
        digest([NARROWED], 5, 0),
        digest([Loss(MODEL, What.CONVERT, 3, 1002, 3, "text to character varying(9)")], 5, 0),
        # The same name made anew, another database, an approval used meanwhile.
        digest([Loss(SPONSORS, What.DROP, 12, 2001)], 5, 0),
        digest([Loss(COLOUR, What.DROP, 1, 1002, 8)], 5, 0),
        digest([DROPPED], 6, 0),
        digest([DROPPED], 5, 1),
    ]
    assert len(set(digests)) == len(digests)


def test_the_refusal_says_what_how_much_and_the_two_ways_on() -> None:
    error = refusal((DROPPED, EMPTIED, NARROWED, IN_THE_WAY), "00ff", "dead")
    assert "collection sponsors (12 rows), field vehicles.colour (1 value)" in error.message
    assert "vehicles.model from text to character varying(10) (3 values would not stay the same)" in error.message
    assert "in the way of vehicles.year becoming required (2 rows without a value)" in error.message
    assert "SUPERVISOR_APPROVE_PLAN is dead, which is not this plan" in error.message
    assert "Export a new snapshot" in error.remedy
    assert "SUPERVISOR_APPROVE_PLAN=00ff" in error.remedy


def test_nothing_is_offered_for_approval_that_no_approval_helps() -> None:
    error = refusal((IN_THE_WAY,), "", "")
    assert "SUPERVISOR_APPROVE_PLAN" not in error.message + error.remedy


def test_what_sql_files_own_is_left_alone_whatever_would_happen_to_it() -> None:
    changes = (
        Change("collection", "delete", "positions", None),
        Change("field", "change", "positions", "speed", alters_column=True),
        Change("collection", "create", "audit", None),
        Change("field", "create", "audit", "id", after=field("integer", data_type="integer")),
        Change("field", "create", "vehicles", "vat", after=field("string", data_type="text")),
        Change("field", "create", "vehicles", "new", after=field("string", data_type="text")),
        # An alias that becomes a column is deleted, and created anew.
        Change("field", "delete", "vehicles", "turned", before=field("alias")),
        Change("field", "create", "vehicles", "turned", after=field("string", data_type="text")),
        SPONSORS,
    )
    columns = frozenset({("audit", "id"), ("vehicles", "vat"), ("vehicles", "turned")})
    found = ghosts(changes, frozenset({"positions"}), frozenset({"audit", "vehicles", "sponsors"}), columns)
    assert found.collections == {"positions", "audit"}
    assert found.objects == {("field", "vehicles", "vat")}
