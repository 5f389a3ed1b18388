"""The compose files, as Docker Compose itself understands them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.directus.variables import DEFAULTS
from supervisor.directus.variables import variable_named_by_file as named_by_file
from supervisor.settings import CONFIG_VARIABLE, SPECS, load_settings

PROJECT = Path(__file__).parents[3]
DOCKER = PROJECT / "docker"
COMPOSE = Path(sys.executable).with_name("docker-compose")
FILES = ("compose.yaml", "compose.dev.yaml")
# docs/signals.md: what may come on top of the drain and the timeout.
LONGEST_EXTRA_S = 16.5
UNITS = {"h": 3600, "m": 60, "s": 1}


def config(folder: Path, name: str, **environ: str) -> dict[str, Any]:
    """What `docker compose config` makes of a file."""
    done = compose(folder, name, **environ)
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def compose(folder: Path, name: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMPOSE, "--file", folder / name, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def seconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))


@pytest.fixture(params=FILES)
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = config(DOCKER, request.param, DIRECTUS_IMAGE="an-image")["services"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the folder, for an `.env` of its own."""
    for name in (*FILES, ".env.example"):
        shutil.copy2(DOCKER / name, tmp_path / name)
    return tmp_path


def test_the_image_must_be_named() -> None:
    done = compose(DOCKER, "compose.yaml")
    assert done.returncode != 0
    assert "DIRECTUS_IMAGE" in done.stderr


def test_what_directus_is_given_are_settings_that_can_be_used(services: dict[str, Any], tmp_path: Path) -> None:
    environment = services["directus"]["environment"]
    assert not load_settings(environment, tmp_path).problems


def test_docker_waits_longer_than_the_longest_stop(services: dict[str, Any], tmp_path: Path) -> None:
    settings = load_settings(services["directus"]["environment"], tmp_path).settings
    longest = settings.drain_s + settings.stop_timeout_s + LONGEST_EXTRA_S
    assert seconds(services["directus"]["stop_grace_period"]) > longest


def test_a_health_check_gives_a_boot_as_long_as_it_may_wait(services: dict[str, Any], tmp_path: Path) -> None:
    check = services["directus"]["healthcheck"]
    settings = load_settings(services["directus"]["environment"], tmp_path).settings
    longest = settings.postgres_timeout_s + settings.lock_timeout_s + 2 * settings.step_timeout_s
    assert check["test"] == ["CMD", "directus-supervisor", "health"]
    assert seconds(check["start_period"]) > longest


def test_the_ports_that_are_published_are_those_that_are_listened_on(services: dict[str, Any], tmp_path: Path) -> None:
    environment = services["directus"]["environment"]
    settings = load_settings(environment, tmp_path).settings
    listening = {int(environment.get("PORT", str(DEFAULTS["PORT"]))), settings.health_port}
    assert {port["target"] for port in services["directus"]["ports"]} == listening


def test_the_supervisor_is_pid_1_and_starts_after_the_database(services: dict[str, Any]) -> None:
    assert services["directus"]["init"] is False
    assert services["directus"]["depends_on"]["database"]["condition"] == "service_healthy"


def test_the_database_keeps_its_data_where_the_image_writes_it_and_may_take_its_time(services: dict[str, Any]) -> None:
    database = services["database"]
    assert database["image"] == "timescale/timescaledb-ha:pg16.6-ts2.17.2-all"
    (volume,) = database["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", "/home/postgres/pgdata/data")
    check = database["healthcheck"]
    assert check["retries"] >= 20
    assert check["retries"] * seconds(check["interval"]) + seconds(check["start_period"]) >= 200
    assert "--host 127.0.0.1" in check["test"][1], "the setup's server listens on the socket"


def test_both_sides_name_the_same_database(services: dict[str, Any]) -> None:
    server, client = services["database"]["environment"], services["directus"]["environment"]
    assert (server["POSTGRES_DB"], server["POSTGRES_USER"]) == (client["DB_DATABASE"], client["DB_USER"])
    assert client["DB_HOST"] == "database"


def test_production_can_write_nowhere_but_where_it_must() -> None:
    directus = config(DOCKER, "compose.yaml", DIRECTUS_IMAGE="an-image")["services"]["directus"]
    assert directus["read_only"] is True
    assert directus["cap_drop"] == ["ALL"]
    assert directus["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in directus["tmpfs"]] == ["/tmp"]
    assert directus["environment"]["TEMP_PATH"].startswith("/tmp/")
    assert [volume["target"] for volume in directus["volumes"]] == ["/directus/uploads"]


def test_production_keeps_every_secret_in_a_file_that_somebody_reads() -> None:
    document = config(DOCKER, "compose.yaml", DIRECTUS_IMAGE="an-image")
    directus = document["services"]["directus"]
    environment = directus["environment"]
    files = {name: value for name, value in environment.items() if str(value).startswith("/run/secrets/")}
    for name in files:
        assert name.removeprefix("SUPERVISOR_").lower() in SPECS or named_by_file(name), name
    assert set(files.values()) == {secret["target"] for secret in directus["secrets"]}
    assert {secret["source"] for secret in directus["secrets"]} == set(document["secrets"])
    assert not {"DB_PASSWORD", "SECRET", "ADMIN_PASSWORD", "SUPERVISOR_STATUS_TOKEN"} & set(environment)


def test_production_bounds_its_logs_and_hides_the_database() -> None:
    document = config(DOCKER, "compose.yaml", DIRECTUS_IMAGE="an-image")
    for service in document["services"].values():
        assert service["logging"]["options"] == {"max-file": "5", "max-size": "10m"}
    database = document["services"]["database"]
    assert "ports" not in database
    assert [document["networks"][name].get("internal") for name in database["networks"]] == [True]


def test_development_builds_the_image_of_this_project() -> None:
    build = config(DOCKER, "compose.dev.yaml")["services"]["directus"]["build"]
    assert Path(build["context"]) == PROJECT
    assert build["dockerfile"] == "docker/Dockerfile"


# .env


def variables_of_the_example() -> dict[str, str]:
    text = (DOCKER / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_every_variable_that_a_compose_file_reads_is_explained() -> None:
    read = {
        name
        for file in FILES
        for name in re.findall(r"(?<!\$)\$\{([A-Z_]+)", (DOCKER / file).read_text(encoding="utf-8"))
    }
    explained = set(variables_of_the_example())
    assert read <= explained
    assert {name for name in explained if not name.startswith("SUPERVISOR_")} <= read


def test_every_setting_is_explained_but_those_that_compose_says_itself() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    said = {
        name
        for name, value in re.findall(r"^      (SUPERVISOR_\w+): (.*)$", text, re.MULTILINE)
        if not value.startswith("${")
    }
    settings = {spec.variable for spec in SPECS.values()} | {CONFIG_VARIABLE}
    explained = {name for name in variables_of_the_example() if name.startswith("SUPERVISOR_")}
    assert explained == settings - said - {"SUPERVISOR_STATUS_TOKEN"}


def test_the_defaults_that_the_example_names_are_those_that_count(folder: Path) -> None:
    before = config(folder, "compose.yaml", DIRECTUS_IMAGE="an-image")
    example = (folder / ".env.example").read_text(encoding="utf-8")
    settings = re.sub(r"^# ([A-Z][A-Z0-9_]+=)", r"\1", example, flags=re.MULTILINE)
    (folder / ".env").write_text(settings, encoding="utf-8")
    after = config(folder, "compose.yaml", DIRECTUS_IMAGE="an-image")
    assert load_settings(after["services"]["directus"]["environment"], folder).settings == (
        load_settings(before["services"]["directus"]["environment"], folder).settings
    )
    for document in (before, after):
        del document["services"]["directus"]["environment"]
    assert after == before


def test_a_setting_of_the_env_file_reaches_the_supervisor(folder: Path) -> None:
    (folder / ".env").write_text("DIRECTUS_IMAGE=mine\nSUPERVISOR_LOG_LEVEL=debug\n", encoding="utf-8")
    directus = config(folder, "compose.yaml")["services"]["directus"]
    assert directus["image"] == "mine"
    assert directus["environment"]["SUPERVISOR_LOG_LEVEL"] == "debug"
