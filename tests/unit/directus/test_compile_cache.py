"""The folder for compiled code: what lies there is run, so only we may be able to write to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from supervisor.directus.compile_cache import CacheRefusedError, prepare_cache

NAME = f"directus-supervisor-node-{os.geteuid()}"


def test_it_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = prepare_cache(tmp_path / "volume" / "cache", {})
    assert folder == tmp_path / "volume" / "cache" / NAME
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert prepare_cache(tmp_path / "volume" / "cache", {}) == folder


@pytest.mark.parametrize(
    ("environ", "below"),
    [
        ({"XDG_CACHE_HOME": "xdg", "HOME": "home"}, "xdg"),
        ({"HOME": "home"}, "home/.cache"),
    ],
)
def test_unless_configured_it_is_with_the_users_other_caches(
    environ: dict[str, str], below: str, tmp_path: Path
) -> None:
    absolute = {name: str(tmp_path / path) for name, path in environ.items()}
    assert prepare_cache(None, absolute) == tmp_path / below / NAME


def test_there_is_none_for_a_user_without_a_home() -> None:
    assert prepare_cache(None, {"XDG_CACHE_HOME": "relative", "HOME": ""}) is None


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(CacheRefusedError, match="others can write"):
        prepare_cache(tmp_path, {})


def test_a_folder_of_somebody_else_a_link_and_a_file_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / NAME).symlink_to(elsewhere)
    with pytest.raises(CacheRefusedError, match="not a folder"):
        prepare_cache(tmp_path, {})
    with pytest.raises(CacheRefusedError, match="cannot be made"):
        prepare_cache(Path("/proc/nowhere"), {})
    if os.geteuid() == 0:
        (tmp_path / NAME).unlink()
        (tmp_path / NAME).mkdir(mode=0o700)
        os.chown(tmp_path / NAME, 12345, 12345)
        with pytest.raises(CacheRefusedError, match="others can write"):
            prepare_cache(tmp_path, {})
