"""Finding Directus and the real Node.js binary."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from supervisor import errors
from supervisor.directus import install
from supervisor.directus.install import Installation, find_directus, find_installation, find_node
from supervisor.errors import SupervisorError


@pytest.fixture(autouse=True)
def _no_directus_in_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "IMAGE_DIR", tmp_path / "image")


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def executable(path: Path, text: str) -> Path:
    put(path, text).chmod(0o755)
    return path


def directus_at(folder: Path, version: object = "11.17.4") -> Path:
    """What `npm install directus` leaves behind, as far as it matters here."""
    cli = put(folder / "node_modules" / "directus" / "cli.js")
    put(cli.parent / "package.json", json.dumps({"name": "directus", "version": version}))
    put(folder / "node_modules" / "@directus" / "api" / "package.json", "{}")
    return cli


NODE = Path(os.path.realpath(sys.executable))  # any ELF binary does


def installation(folder: Path, node: Path = NODE) -> Installation:
    return find_installation(folder, node, {"PATH": os.defpath}, folder)


def test_cli_js_in_the_folder_itself_is_found_first(tmp_path: Path) -> None:
    directus_at(tmp_path)
    cli = put(tmp_path / "cli.js")
    assert find_directus(tmp_path, tmp_path) == (tmp_path, cli)


def test_cli_js_of_an_npm_installation_is_found(tmp_path: Path) -> None:
    cli = directus_at(tmp_path)
    assert find_directus(tmp_path, tmp_path) == (tmp_path, cli)


def test_without_a_setting_the_image_s_folder_goes_before_the_working_directory(tmp_path: Path) -> None:
    here = put(tmp_path / "here" / "cli.js")
    assert find_directus(None, here.parent)[1] == here
    image = put(tmp_path / "image" / "cli.js")
    assert find_directus(None, here.parent)[1] == image


def test_a_setting_is_the_only_place(tmp_path: Path) -> None:
    put(tmp_path / "image" / "cli.js")
    with pytest.raises(SupervisorError) as caught:
        find_directus(tmp_path / "other", tmp_path)
    assert caught.value.failure is errors.DIRECTUS_NOT_FOUND
    assert caught.value.facts["looked_at"] == [
        f"{tmp_path}/other/cli.js",
        f"{tmp_path}/other/node_modules/directus/cli.js",
    ]


def test_version_and_api_are_read(tmp_path: Path) -> None:
    directus_at(tmp_path)
    found = installation(tmp_path)
    assert found.version == "11.17.4"
    assert found.api == tmp_path / "node_modules" / "@directus" / "api"
    assert found.migrations == found.api / "dist" / "database" / "migrations"


def test_the_api_of_pnpm_is_found_behind_the_link(tmp_path: Path) -> None:
    store = directus_at(tmp_path / "store")
    link = tmp_path / "app" / "node_modules" / "directus"
    link.parent.mkdir(parents=True)
    link.symlink_to(store.parent)
    assert installation(tmp_path / "app").api == tmp_path / "store" / "node_modules" / "@directus" / "api"


def test_a_missing_api_is_named(tmp_path: Path) -> None:
    put(tmp_path / "cli.js")
    with pytest.raises(SupervisorError, match="@directus/api is not in any node_modules") as caught:
        installation(tmp_path)
    assert caught.value.failure is errors.DIRECTUS_NOT_FOUND


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"name": "other", "version": "1"}', '{"name": "directus"}'])
def test_a_version_that_nobody_tells_is_unknown(tmp_path: Path, manifest: str) -> None:
    put(directus_at(tmp_path).parent / "package.json", manifest)
    assert installation(tmp_path).version == "unknown"


def test_the_command_goes_past_the_question_for_updates_where_it_can(tmp_path: Path) -> None:
    cli = directus_at(tmp_path)
    found = installation(tmp_path)
    assert found.command("start") == (str(NODE), str(cli), "start")
    direct = put(found.api / "dist" / "cli" / "run.js")
    assert found.command("schema", "apply") == (str(NODE), str(direct), "schema", "apply")


def test_a_binary_is_taken_as_it_is() -> None:
    assert find_node(NODE, {}) == NODE


def test_node_is_looked_up_on_path(tmp_path: Path) -> None:
    (tmp_path / "node").symlink_to(NODE)
    assert find_node(None, {"PATH": str(tmp_path)}) == NODE


def test_a_wrapper_is_resolved_to_the_binary_that_it_starts(tmp_path: Path) -> None:
    wrapper = executable(tmp_path / "node", f'#!/bin/sh\n[ "$*" = "-p process.execPath" ] && echo "{NODE}"\n')
    assert find_node(wrapper, {"PATH": os.defpath}) == NODE


def test_the_real_node_behind_a_wrapper(tmp_path: Path, node_binary: Path) -> None:
    wrapper = executable(tmp_path / "node", f'#!/bin/sh\nexec "{node_binary}" "$@"\n')
    assert find_node(None, {"PATH": f"{tmp_path}:{os.defpath}"}) == node_binary.resolve()
    assert wrapper.exists()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\nexit 3\n", "does not run as Node.js"),
        ("#!/no/such/interpreter\n", "does not run as Node.js"),
        ("not a program", "does not run as Node.js"),
        ("#!/bin/sh\necho /no/such/node\n", "names /no/such/node as its binary, which does not exist"),
        ("#!/bin/sh\necho\n", "which does not exist"),
        ("#!/bin/sh\nprintf '\\377\\376'\n", "does not run as Node.js"),
    ],
)
def test_a_wrapper_that_leads_nowhere_is_told(tmp_path: Path, script: str, told: str) -> None:
    wrapper = executable(tmp_path / "node", script)
    with pytest.raises(SupervisorError) as caught:
        find_node(wrapper, {"PATH": os.defpath})
    assert caught.value.failure is errors.NODE_NOT_FOUND
    assert told in caught.value.message


def test_a_configured_node_that_is_absent_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match=r"SUPERVISOR_NODE is .*/absent, which is not an executable file"):
        find_node(tmp_path / "absent", {})


def test_no_node_on_path_is_told(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="no node on PATH"):
        find_node(None, {"PATH": str(tmp_path)})
