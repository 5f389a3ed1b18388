"""Builds the rally collections on a live Directus through its REST API, then exports the snapshot.

``snapshots/schema.yaml`` is never written by hand: change the tables below, then run this on a throw-away
Directus::

    directus-supervisor dev
    python scripts/build_rally_schema.py --url http://127.0.0.1:8055 --email admin@example.com --password ...

What exists already is left as it is, so an interrupted run is simply started again; to change a field that
exists, start from an empty database. Needs httpx.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

DIRECTUS_VERSION = "11.17.4"
DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "snapshots" / "schema.yaml"

Json = dict[str, Any]
JsonValue = str | bool | int | None


@dataclass(frozen=True)
class Field:
    """One column, as Directus' ``POST /fields`` takes it.

    Attributes:
        name: column name.
        type: Directus' type; ``timestamp`` is ``timestamptz`` in Postgres.
        interface: the editor that the admin app shows.
        required: NOT NULL, and asked for by the admin app.
        unique: unique over the whole table.
        references: the collection that a many-to-one relation points to.
        on_delete: what the foreign key does when the referenced row goes.
        default: the column's default.
        note: the line under the field in the admin app.
        meta: further keys of ``directus_fields``.
        schema: further keys of the column.
    """

    name: str
    type: str = "string"
    interface: str = "input"
    required: bool = False
    unique: bool = False
    references: str | None = None
    on_delete: str = "RESTRICT"
    default: str | None = None
    note: str | None = None
    meta: Json = field(default_factory=dict)
    schema: Json = field(default_factory=dict)

    def payload(self, position: int | None) -> Json:
        """The body of ``POST /fields``; ``position`` (from 1) is the place in the form, None the last."""
        return {
            "field": self.name,
            "type": self.type,
            "meta": {
                "interface": self.interface,
                "required": self.required,
                "note": self.note,
                "sort": position,
                "width": "half",
                **self.meta,
            },
            "schema": {
                "is_nullable": not self.required,
                "is_unique": self.unique,
                "default_value": self.default,
                **self.schema,
            },
        }


@dataclass(frozen=True)
class Collection:
    """One table, as Directus' ``POST /collections`` takes it; the primary key ``id`` comes on top."""

    name: str
    icon: str
    note: str
    template: str
    fields: tuple[Field, ...]
    meta: Json = field(default_factory=dict)

    def payload(self, position: int) -> Json:
        """The body of ``POST /collections``, fields included; ``position`` is the place in the menu."""
        fields = (PRIMARY_KEY, *self.fields)
        return {
            "collection": self.name,
            "meta": {
                "icon": self.icon,
                "note": self.note,
                "display_template": self.template,
                "sort": position,
                **self.meta,
            },
            "schema": {"name": self.name},
            "fields": [each.payload(place) for place, each in enumerate(fields, start=1)],
        }


def choice(name: str, values: str, *, required: bool = True, default: str | None = None) -> Field:
    """A string out of a fixed list, shown as a dropdown with readable labels."""
    choices = [
        {"text": LABELS.get(value, value.replace("-", " ").capitalize()), "value": value} for value in values.split()
    ]
    return Field(
        name,
        interface="select-dropdown",
        required=required,
        default=default,
        meta={
            "options": {"choices": choices},
            "display": "labels",
            "display_options": {"choices": choices, "showAsDot": True},
        },
    )


def many_to_one(
    name: str, to: str, *, required: bool = True, on_delete: str = "RESTRICT", note: str | None = None
) -> Field:
    """A uuid that references another collection, shown as a dropdown by that one's display template."""
    template = PERSON_TEMPLATE if to == "directus_users" else next(c.template for c in COLLECTIONS if c.name == to)
    return Field(
        name,
        "uuid",
        "select-dropdown-m2o",
        required=required,
        references=to,
        on_delete=on_delete,
        note=note,
        meta={
            "special": ["m2o"],
            "options": {"template": template},
            "display": "related-values",
            "display_options": {"template": template},
        },
    )


def moment(name: str, *, required: bool = False, note: str | None = None) -> Field:
    """A point in time, stored with its time zone."""
    return Field(name, "timestamp", "datetime", required=required, note=note, meta={"display": "datetime"})


def text(name: str, *, note: str | None = None) -> Field:
    """Free text of any length, over the full width of the form."""
    return Field(name, "text", "input-multiline", note=note, meta={"width": "full"})


def stamp(name: str, special: str) -> Field:
    """A time that Directus itself sets; read-only and out of the way."""
    return Field(
        name,
        "timestamp",
        "datetime",
        meta={
            "special": [special],
            "readonly": True,
            "hidden": True,
            "display": "datetime",
            "display_options": {"relative": True},
        },
    )


LABELS = {
    "dnf": "Did not finish",
    "dns": "Did not start",
    "dsq": "Disqualified",
    "org-admin": "Organization admin",
}
PERSON_TEMPLATE = "{{first_name}} {{last_name}}"
PRIMARY_KEY = Field(
    "id",
    "uuid",
    meta={"special": ["uuid"], "readonly": True, "hidden": True},
    schema={"is_primary_key": True, "has_auto_increment": False, "is_nullable": False},
)
STAMPS = (stamp("created_at", "date-created"), stamp("updated_at", "date-updated"))
MONOSPACE: Json = {"options": {"font": "monospace", "trim": True}}
SLUG: Json = {"options": {"slug": True, "font": "monospace", "trim": True}}

# In the order of creation: a collection comes after those it references.
COLLECTIONS: list[Collection] = []


def collection(name: str, icon: str, note: str, template: str, *fields: Field, **meta: JsonValue) -> None:
    """Adds one collection to the schema; ``meta`` holds further keys of ``directus_collections``."""
    COLLECTIONS.append(Collection(name, icon, note, template, fields, meta))


collection(
    "organizations",
    "corporate_fare",
    "Clubs and companies that run events and own vehicles and devices.",
    "{{name}}",
    Field("name", required=True),
    Field("slug", required=True, unique=True, note="Part of public addresses.", meta=SLUG),
    *STAMPS,
)
collection(
    "vehicles",
    "directions_car",
    "Anything that takes part under its own number plate, hull or frame.",
    "{{make}} {{model}} {{plate}}",
    Field("make", required=True),
    Field("model"),
    Field("year", "integer", note="Year of manufacture."),
    Field("cc", "integer", note="Engine displacement in cubic centimetres."),
    Field("vin", note="Vehicle identification number.", meta=MONOSPACE),
    Field("plate", note="Registration plate.", meta=MONOSPACE),
    *STAMPS,
)
collection(
    "devices",
    "gps_fixed",
    "Trackers that report where they are, each known by its IMEI.",
    "{{imei}} ({{model}})",
    Field("imei", required=True, unique=True, note="Digits only, as the device reports it.", meta=MONOSPACE),
    Field("model", required=True),
    *STAMPS,
)
collection(
    "organization_users",
    "badge",
    "Who belongs to an organization, and in which role; once per person.",
    "{{user_id.first_name}} {{user_id.last_name}} ({{role}})",
    many_to_one("organization_id", "organizations"),
    many_to_one("user_id", "directus_users"),
    choice("role", "org-admin race-director marshal timekeeper participant viewer"),
)
collection(
    "organization_vehicles",
    "garage",
    "Which vehicles are registered with an organization.",
    "{{vehicle_id.make}} {{vehicle_id.model}} {{vehicle_id.plate}}",
    many_to_one("organization_id", "organizations"),
    many_to_one("vehicle_id", "vehicles"),
    moment("registered_at"),
)
collection(
    "organization_devices",
    "devices_other",
    "Which devices are registered with an organization.",
    "{{device_id.imei}}",
    many_to_one("organization_id", "organizations"),
    many_to_one("device_id", "devices"),
    moment("registered_at"),
)
collection(
    "events",
    "flag",
    "Competitions; the slug is unique within the organization.",
    "{{name}}",
    many_to_one("organization_id", "organizations"),
    Field("name", required=True),
    Field("slug", required=True, note="Part of public addresses.", meta=SLUG),
    choice("discipline", "rally time-trial regatta trail-run hike"),
    moment("starts_at", required=True),
    moment("ends_at", required=True),
    Field("regulation_doc_url", "text", note="Where the regulations can be read.", meta={"width": "full"}),
    text("notes"),
    *STAMPS,
)
collection(
    "classes",
    "category",
    "Classes within an event; the code is unique within it.",
    "{{code}} {{name}}",
    many_to_one("event_id", "events"),
    Field("code", required=True, meta=MONOSPACE),
    Field("name", required=True),
    text("description"),
    Field("sort", "integer", meta={"hidden": True}),
    *STAMPS,
    sort_field="sort",
)
collection(
    "entries",
    "sports_score",
    "One start in one event; the race number is unique within it.",
    "{{race_number}} {{class_id.code}}",
    many_to_one("event_id", "events"),
    many_to_one("vehicle_id", "vehicles", required=False, note="None on foot."),
    many_to_one("class_id", "classes"),
    # A string: sail numbers (GER 1234), bibs (M017) and leading zeros are race numbers too.
    Field("race_number", required=True, note="As it is painted or worn, leading zeros included.", meta=MONOSPACE),
    choice("status", "registered confirmed started finished dnf dns dsq withdrawn", default="registered"),
    moment("start_at"),
    moment("finish_at"),
    text("notes"),
    *STAMPS,
    archive_field="status",
    archive_value="withdrawn",
    unarchive_value="registered",
    archive_app_filter=True,
)
collection(
    "entry_crew",
    "groups",
    "Who takes part in an entry, and as what; once per person.",
    "{{user_id.first_name}} {{user_id.last_name}} ({{role}})",
    many_to_one("entry_id", "entries"),
    many_to_one("user_id", "directus_users"),
    choice("role", "pilot co-pilot navigator mechanic rider runner hiker"),
)
collection(
    "entry_devices",
    "settings_input_antenna",
    "Which devices an entry carries, and who wears them.",
    "{{device_id.imei}}",
    many_to_one("entry_id", "entries"),
    many_to_one("device_id", "devices"),
    many_to_one(
        "assigned_user_id",
        "directus_users",
        required=False,
        on_delete="SET NULL",
        note="Who wears it; none when it is fixed to the vehicle.",
    ),
    text("notes"),
)

USER_FIELDS = (
    Field("phone", note="With country code.", meta={"options": {"iconLeft": "phone", "trim": True}}),
    Field("birth_date", "date", "datetime", meta={"display": "datetime"}),
    Field("nationality", note="ISO 3166-1 alpha-3 code, as on results lists."),
)


class Directus:
    """The few calls that building a schema needs; every refusal ends the run with Directus' own words."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def login(self, email: str, password: str) -> None:
        """Authenticates as an administrator for the calls that follow."""
        token = self.call("POST", "/auth/login", {"email": email, "password": password})["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Json | None = None) -> Any:  # noqa: ANN401 - a list or an object, as the endpoint has it
        """Makes one call and returns what ``data`` holds.

        Raises:
            SystemExit: Directus refused, or could not be reached.
        """
        return self._send(method, path, body=body).json()["data"]

    def snapshot(self) -> str:
        """The schema as YAML, formatted as ``schema snapshot`` of the CLI does."""
        return self._send("GET", "/schema/snapshot", query={"export": "yaml"}).text

    def _send(
        self, method: str, path: str, *, body: Json | None = None, query: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error}") from error
        if response.is_error:
            raise SystemExit(f"{method} {path}: {response.status_code} {response.text}")
        return response


def build(directus: Directus) -> None:
    """Creates the collections, fields and relations that are missing."""
    # Untracked tables are listed too, with null meta: one of ours must be Directus' own to count as existing.
    tracked = {each["collection"] for each in directus.call("GET", "/collections") if each["meta"] is not None}
    existing_fields = {(each["collection"], each["field"]) for each in directus.call("GET", "/fields")}
    existing_relations = {(each["collection"], each["field"]) for each in directus.call("GET", "/relations")}

    for place, each in enumerate(COLLECTIONS, start=1):
        if each.name not in tracked:
            directus.call("POST", "/collections", each.payload(place))
            print(f"created collection {each.name}")
            continue
        for position, column in enumerate((PRIMARY_KEY, *each.fields), start=1):
            create_field(directus, each.name, column, position, existing_fields)
    for column in USER_FIELDS:
        create_field(directus, "directus_users", column, None, existing_fields)
    for each in COLLECTIONS:
        for column in each.fields:
            if column.references is not None and (each.name, column.name) not in existing_relations:
                directus.call("POST", "/relations", relation_payload(each.name, column))
                print(f"created relation {each.name}.{column.name} -> {column.references}")


def create_field(
    directus: Directus,
    collection_name: str,
    column: Field,
    position: int | None,
    existing: set[tuple[str, str]],
) -> None:
    """Creates one field of an existing collection unless it is there."""
    if (collection_name, column.name) not in existing:
        directus.call("POST", f"/fields/{collection_name}", column.payload(position))
        print(f"created field {collection_name}.{column.name}")


def relation_payload(collection_name: str, column: Field) -> Json:
    """The body of ``POST /relations`` for a many-to-one field without a field on the other side."""
    return {
        "collection": collection_name,
        "field": column.name,
        "related_collection": column.references,
        "meta": {"one_field": None, "sort_field": None, "one_deselect_action": "nullify"},
        "schema": {"on_delete": column.on_delete},
    }


def unexpected(snapshot: Json) -> list[str]:
    """What the snapshot holds that this script did not build, such as a table that a SQL file owns."""
    ours = {each.name for each in COLLECTIONS}
    wanted_fields = {(each.name, column.name) for each in COLLECTIONS for column in (PRIMARY_KEY, *each.fields)}
    wanted_fields |= {("directus_users", column.name) for column in USER_FIELDS}
    found = [f"collection {each['collection']}" for each in snapshot["collections"] if each["collection"] not in ours]
    found += [
        f"field {each['collection']}.{each['field']}"
        for each in snapshot["fields"]
        if (each["collection"], each["field"]) not in wanted_fields
    ]
    return found


def export(directus: Directus, output: Path) -> None:
    """Writes the snapshot to ``output`` once it is known to hold the rally schema and nothing else.

    Raises:
        SystemExit: another version of Directus, or something in the snapshot that is not of this schema.
    """
    content = directus.snapshot()
    snapshot: Json = yaml.safe_load(content)
    if snapshot["directus"] != DIRECTUS_VERSION or snapshot["vendor"] != "postgres":
        raise SystemExit(
            f"this is Directus {snapshot['directus']} on {snapshot['vendor']}; "
            f"the snapshot is made on {DIRECTUS_VERSION} on postgres"
        )
    if strangers := unexpected(snapshot):
        raise SystemExit(f"not part of the rally schema, start from an empty database: {', '.join(strangers)}")
    output.write_text(content if content.endswith("\n") else content + "\n", encoding="utf-8", newline="\n")
    print(f"wrote {output}: {len(snapshot['collections'])} collections, {len(snapshot['relations'])} relations")


def main() -> None:
    """Reads the command line, builds, exports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", default="http://127.0.0.1:8055", help="address of Directus (default: %(default)s)")
    parser.add_argument("--email", default=os.environ.get("ADMIN_EMAIL"), help="administrator (default: $ADMIN_EMAIL)")
    parser.add_argument(
        "--password", default=os.environ.get("ADMIN_PASSWORD"), help="the password (default: $ADMIN_PASSWORD)"
    )
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="snapshot to write (default: %(default)s)")
    arguments = parser.parse_args()
    if not arguments.email or not arguments.password:
        parser.error("--email and --password are needed")
    with Directus(arguments.url) as directus:
        directus.login(arguments.email, arguments.password)
        build(directus)
        export(directus, arguments.output)


if __name__ == "__main__":
    main()
