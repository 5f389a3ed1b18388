"""The folders for compiled code: what lies there is run, so only we and root may be able to write to them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.directus.compile_cache import CacheRefusedError, CompileCache, filled_mark, filled_with, find_cache
from supervisor.directus.install import Installation

NAME = f"directus-supervisor-node-{os.geteuid()}"
ROOTS = "directus-supervisor-node-0"
OTHER_USER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder as an image has it: root's, filled, closed to everyone else."""
    # pytest keeps its folders to this user; the other one is to get through.
    for path in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(path):
            path.chmod(0o755)
    parent = tmp_path / "image"
    tag = parent / ROOTS / "v22-x64-0"
    tag.mkdir(parents=True)
    (tag / "filled-abc").touch()
    for path in (parent, parent / ROOTS, tag):
        path.chmod(0o755)
    return parent


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that everybody can write to, as /tmp."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def test_it_is_made_for_this_user_and_nobody_else_can_write_to_it(tmp_path: Path) -> None:
    cache = find_cache(tmp_path / "volume" / "cache", {})
    assert cache == CompileCache(tmp_path / "volume" / "cache" / NAME)
    assert cache.own is not None
    # What root fills, others are to read.
    assert stat.S_IMODE(cache.own.stat().st_mode) == (0o755 if os.geteuid() == 0 else 0o700)
    assert find_cache(tmp_path / "volume" / "cache", {}) == cache


@as_root
@pytest.mark.usefixtures("image")
def test_that_of_any_other_user_cannot_even_be_read_by_others(home: Path) -> None:
    with acting_as(OTHER_USER):
        own = find_cache(home, {}).own
    assert own is not None
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


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
    assert find_cache(None, absolute).own == tmp_path / below / NAME


def test_there_is_none_for_a_user_without_a_home() -> None:
    assert find_cache(None, {"XDG_CACHE_HOME": "relative", "HOME": ""}) == CompileCache(None)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(CacheRefusedError, match="others can write"):
        find_cache(tmp_path, {})


def test_a_folder_of_somebody_else_a_link_and_a_file_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / NAME).symlink_to(elsewhere)
    with pytest.raises(CacheRefusedError, match="not a folder"):
        find_cache(tmp_path, {})
    with pytest.raises(CacheRefusedError, match="cannot be made"):
        find_cache(Path("/proc/nowhere"), {})
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).touch()
    with pytest.raises(CacheRefusedError, match="not a folder"):
        find_cache(tmp_path, {})
    if os.geteuid() == 0:
        (tmp_path / NAME).unlink()
        (tmp_path / NAME).mkdir(mode=0o700)
        os.chown(tmp_path / NAME, OTHER_USER, OTHER_USER)
        with pytest.raises(CacheRefusedError, match="others can write"):
            find_cache(tmp_path, {})


@as_root
def test_roots_folder_is_read_by_any_user_who_keeps_a_place_for_a_link_at_home(image: Path, home: Path) -> None:
    with acting_as(OTHER_USER):
        cache = find_cache(image, {"HOME": str(home)})
        assert filled_with(cache, "filled-abc") == [image / ROOTS / "v22-x64-0"]
        assert filled_with(cache, "filled-other") == []
    assert cache == CompileCache(home / ".cache" / f"directus-supervisor-node-{OTHER_USER}", (image / ROOTS,))


@as_root
def test_without_a_home_roots_folder_is_no_reason_to_complain(image: Path) -> None:
    with acting_as(OTHER_USER):
        assert find_cache(image, {}).own is None
        assert find_cache(image, {"HOME": "/proc/nowhere"}).own is None


@as_root
@pytest.mark.parametrize(
    "spoil",
    [
        lambda roots: roots.chmod(0o777),
        lambda roots: os.chown(roots, 54321, 54321),
        lambda roots: (roots.rename(roots.with_name("moved")), roots.symlink_to(roots.with_name("moved"))),
    ],
    ids=["open", "of another user", "a link"],
)
def test_a_folder_in_its_place_to_which_others_could_write_is_not_read(
    image: Path, home: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(image / ROOTS)
    with acting_as(OTHER_USER), pytest.raises(CacheRefusedError):
        find_cache(image, {"HOME": str(home)})


@as_root
def test_a_folder_of_nodes_in_it_that_others_can_write_to_is_not_read(image: Path, home: Path) -> None:
    (image / ROOTS / "v22-x64-0").chmod(0o777)
    with acting_as(OTHER_USER):
        assert filled_with(find_cache(image, {"HOME": str(home)}), "filled-abc") == []


@as_root
@pytest.mark.usefixtures("image")
def test_the_users_own_folder_on_a_read_only_device_is_read(home: Path) -> None:
    volume = home / "volume"
    with acting_as(OTHER_USER):
        own = find_cache(volume, {}).own
        assert own is not None
        # As good as a mount that is read-only.
        own.chmod(0o500)
        assert find_cache(volume, {"HOME": str(home)}) == CompileCache(home / ".cache" / own.name, (own,))


def test_the_mark_is_that_of_one_directus_at_one_place(tmp_path: Path) -> None:
    def mark(version: str, api: str) -> str:
        return filled_mark(Installation(tmp_path, tmp_path, tmp_path / api, version, tmp_path / "node"))

    assert mark("11.17.4", "api") == mark("11.17.4", "api")
    assert len({mark("11.17.4", "api"), mark("11.17.5", "api"), mark("11.17.4", "other")}) == 3
