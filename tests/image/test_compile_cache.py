"""The compiled code that the image brings: a new container uses it, whoever it runs as, and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.image.conftest import Start
from tests.image.podman import LIMITS, Podman
from tests.image.test_container import BOOT_S, HARDENED

CACHE = "/var/cache/directus-supervisor/directus-supervisor-node-0"
# Of each module that Node.js loads it says whether it took it from its cache; after that the name of what it loads.
_FOUND = re.compile(r"\[compile cache\] cache for (\S+) was (accepted|rejected|not initialized)")
_LIST = f"cd {CACHE} && find . -printf '%P %m %U %T@ %s\\n'"


def _listed(podman: Podman, image: str) -> dict[str, tuple[str, str, float, int]]:
    """Mode, owner, time and size of each file and folder of the cache."""
    options = ("--rm", "--network=host", *LIMITS, "--user=root", "--entrypoint=sh")
    found = {}
    for line in podman.run("run", *options, image, "-c", _LIST).splitlines():
        name, mode, owner, time, size = line.rsplit(" ", 4)
        found[name] = (mode, owner, float(time), int(size))
    return found


def test_any_user_on_a_read_only_root_runs_what_was_compiled_when_the_image_was_built(
    start: Start, migrated_environ: dict[str, str]
) -> None:
    container = start(environ=migrated_environ | {"NODE_DEBUG_NATIVE": "COMPILE_CACHE"}, options=HARDENED)
    container.wait_for("process.ready", BOOT_S)

    # The container's log has each line of Node.js' account.
    found = {match[1]: match[2] for match in _FOUND.finditer(container.text)}
    anew = sorted(module for module, how in found.items() if how != "accepted")
    assert len(found) > 4000
    assert len(anew) <= 5, anew
    assert "writing cache for" not in container.text
    link, *others = container.exec("sh", "-c", "find /tmp/.cache ! -type d").split()
    assert others == []
    assert container.exec("readlink", link).startswith(f"{CACHE}/v")
    assert not [record for record in container.of("config.warning") if "compile cache" in record["message"]]
    assert container.stop() == 0


def test_nobody_but_root_can_write_to_it(podman: Podman, image: str) -> None:
    listed = _listed(podman, image)
    assert len(listed) > 4000
    assert {(mode, owner) for mode, owner, _, _ in listed.values()} == {("755", "0"), ("644", "0")}


def test_two_builds_fill_it_alike_and_its_time_can_be_chosen(
    podman: Podman, image: str, build: Callable[..., str]
) -> None:
    first = _listed(podman, image)
    second = _listed(podman, build(target="compiled", SOURCE_DATE_EPOCH="1700000000"))
    # Not to the byte: V8 leaves addresses of its process in it, and takes up what was compiled at that moment.
    assert {name: entry[:2] for name, entry in first.items()} == {name: entry[:2] for name, entry in second.items()}
    assert {entry[2] for entry in first.values()} == {0.0}
    assert {entry[2] for entry in second.values()} == {1700000000.0}


def test_an_image_can_be_built_without_it_and_says_nothing_of_that(
    podman: Podman,
    image: str,
    build: Callable[..., str],
    migrated_environ: dict[str, str],
    measured: Callable[..., None],
) -> None:
    without = build(COMPILE_CACHE="false")
    measured(
        "the compiled code in the image",
        f"{(podman.image(image)['Size'] - podman.image(without)['Size']) / 1e6:.1f} MB",
    )
    assert [name for name, entry in _listed(podman, without).items() if entry[0] != "755"] == []
    with podman.start(without, "migrate", environ=migrated_environ, options=HARDENED) as container:
        container.expect_exit(0, BOOT_S)
    assert not [record for record in container.of("config.warning") if "compile cache" in record["message"]]
