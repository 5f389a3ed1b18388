from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.dev import paths
from supervisor.dev.account import Account, can_enter, server_account
from supervisor.dev.failures import explained
from supervisor.errors import DEV_SETUP_FAILED, SupervisorError

STRANGER = Account("stranger", 54321, 54321)


def test_the_xdg_folders_are_used_when_they_are_absolute(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert paths.cache_folder(home) == tmp_path / ".cache" / "directus-supervisor"
    assert paths.data_root(home) == tmp_path / ".local" / "share" / "directus-supervisor"
    assert paths.cache_folder({**home, "XDG_CACHE_HOME": "/var/x"}) == Path("/var/x/directus-supervisor")
    assert paths.data_root({**home, "XDG_DATA_HOME": "relative"}) == paths.data_root(home)


def test_two_projects_of_one_name_have_different_data_folders(tmp_path: Path) -> None:
    environ = {"XDG_DATA_HOME": "/srv/data"}
    first = paths.project_data_folder(tmp_path / "a" / "shop", environ)
    second = paths.project_data_folder(tmp_path / "b" / "shop", environ)
    assert first != second
    assert first.name.endswith("-shop")
    assert paths.project_data_folder(tmp_path / "a" / "shop", environ) == first


def test_a_project_name_never_leads_out_of_the_data_root(tmp_path: Path) -> None:
    folder = paths.project_data_folder(tmp_path / "…/ü 'x'", {"XDG_DATA_HOME": "/srv"})
    assert folder.parent == Path("/srv/directus-supervisor")
    assert folder.name.isascii()


@pytest.mark.skipif(os.geteuid() != 0, reason="another account is needed for root alone")
def test_root_leaves_a_data_folder_that_the_servers_account_cannot_enter(tmp_path: Path) -> None:
    closed, open_ = tmp_path / "closed", tmp_path / "open"
    for folder, mode in ((closed, 0o700), (open_, 0o755)):
        folder.mkdir()
        folder.chmod(mode)
    account = server_account()
    assert account is not None
    place = paths.data_root({"XDG_DATA_HOME": str(closed)}, account)
    assert place == Path("/var/lib/directus-supervisor")
    assert paths.shared_cache_folder(account, {"XDG_CACHE_HOME": str(closed)}) == Path("/var/cache/directus-supervisor")


def test_entering_a_folder_needs_the_search_permission_on_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = {"/": 0o755, "/a": 0o700, "/a/b": 0o755, "/c": 0o755, "/c/d": 0o701}

    def stat(self: Path) -> SimpleNamespace:
        if str(self) not in modes:
            raise FileNotFoundError
        return SimpleNamespace(st_mode=0o040000 | modes[str(self)], st_uid=0, st_gid=0)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(Path, "resolve", lambda self: self)
    assert can_enter(Path("/c/d/not yet there"), STRANGER)
    assert not can_enter(Path("/a/b"), STRANGER)
    assert can_enter(Path("/a/b"), Account("owner", 0, 0))


def test_an_ordinary_user_starts_the_server_as_himself() -> None:
    assert server_account(1000) is None


def test_root_without_another_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(SupervisorError, match="does not run as root"):
        server_account(0)


def test_a_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorError) as caught:
        paths.make_folder(tmp_path / "file" / "folder", variable="XDG_CACHE_HOME")
    assert caught.value.failure is DEV_SETUP_FAILED
    assert str(tmp_path / "file") in caught.value.message
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_a_narrow_umask_does_not_close_a_folder_that_others_must_enter(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = paths.make_folder(tmp_path / "parent" / "folder", variable="XDG_DATA_HOME", mode=0o711)
        private = paths.make_folder(tmp_path / "own" / "folder", variable="XDG_DATA_HOME")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o711
    assert folder.parent.stat().st_mode & 0o777 == 0o755
    assert private.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_called_a_full_disk() -> None:
    with pytest.raises(SupervisorError) as caught, explained("step", "XDG_DATA_HOME"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/file")
    assert "/data/file" in caught.value.message
    assert "disk space" in caught.value.remedy


def test_too_little_room_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="MiB are needed"):
        paths.require_space(tmp_path, 2**60, step="step", variable="XDG_CACHE_HOME")


def test_only_a_marked_folder_is_wiped(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(SupervisorError, match="not ours"):
        paths.wipe_data_folder(foreign)
    with pytest.raises(SupervisorError, match="not ours"):
        paths.claim_data_folder(foreign, mode=0o700)
    assert (foreign / "thesis.txt").read_text() == "years of work"

    own = tmp_path / "own"
    paths.claim_data_folder(own, mode=0o700)
    (own / "postgres").mkdir()
    (own / "postgres" / "data").touch()
    (own / "dev.lock").touch()
    (own / "link").symlink_to(foreign)
    paths.wipe_data_folder(own, keep=frozenset({"dev.lock"}))
    assert {entry.name for entry in own.iterdir()} == {paths.MARKER, "dev.lock"}
    assert (foreign / "thesis.txt").exists()


def test_a_link_to_a_marked_folder_is_not_followed(tmp_path: Path) -> None:
    paths.claim_data_folder(tmp_path / "own", mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(SupervisorError, match="not ours"):
        paths.wipe_data_folder(tmp_path / "link")
