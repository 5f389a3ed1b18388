from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from supervisor.dev.node import NodeToolchain
from supervisor.dev.npm import npm_environment, remedy_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("npm error code ENOSPC", "disk space"),
        ("npm error code ENOTFOUND\nnpm error network request to the registry failed", "network"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"),
        ("gyp ERR! build error\ngyp ERR! stack Error: not found: make", "compiler"),
        ("npm error code ETARGET", "version"),
        ("npm error code EACCES", "permission"),
    ],
)
def test_the_cause_of_a_failure_leads_to_its_remedy(output: str, word: str) -> None:
    assert word in (remedy_for(output) or "")


def test_an_unknown_cause_has_no_remedy_of_its_own() -> None:
    assert remedy_for("npm error something new") is None


def test_the_users_registry_and_cache_settings_stay(tmp_path: Path) -> None:
    toolchain = NodeToolchain(tmp_path / "bin" / "node", tmp_path / "npm-cli.js", tmp_path, "22.0.0")
    given = {"NPM_CONFIG_CACHE": "/mine", "HTTPS_PROXY": "http://proxy:1", "PATH": "/usr/bin"}
    result = npm_environment(toolchain, tmp_path / "cache", None, given)
    assert "npm_config_cache" not in result
    assert "npm_config_python" not in result
    assert result["NPM_CONFIG_CACHE"] == "/mine"
    assert result["HTTPS_PROXY"] == "http://proxy:1"
    assert result["PATH"] == f"{tmp_path / 'bin'}:/usr/bin"
