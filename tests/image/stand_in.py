"""A stand-in for the image directus/directus, where no registry of images can be reached.

It has the layout of the real one (``/directus/cli.js``, the user ``node``, Node.js in ``/usr/local/bin``, no Python,
its ``ENV``), the same Directus from npm and a real Node.js, but a Debian below. ``python -m tests.image.stand_in``
makes it and prints its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from supervisor.dev.directus import DIRECTUS_VERSION, ensure_directus
from supervisor.dev.lock import wait_for
from supervisor.dev.node import NodeToolchain, find_node
from supervisor.dev.progress import PlainProgress
from tests.image.podman import Podman

SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
# As the official image has it.
_CHANGES = (
    "USER node",
    "WORKDIR /directus",
    "ENV DB_CLIENT=sqlite3",
    "ENV DB_FILENAME=/directus/database/database.sqlite",
    "ENV NODE_ENV=production",
    "ENV NPM_CONFIG_UPDATE_NOTIFIER=false",
    "EXPOSE 8055",
    'CMD ["node", "/directus/cli.js", "start"]',
)
_WRITABLE = ("database", "extensions", "uploads")
_NODE_ID = "1000"


def ensure_stand_in(podman: Podman) -> str:
    """The name of the stand-in; made when the storage has none of this recipe, which takes minutes.

    Args:
        podman: where it is kept.
    """

    async def ensure() -> str:
        node = find_node()
        recipe = f"{Path(__file__).read_text()}{DIRECTUS_VERSION}{node.version}"
        name = f"localhost/directus-stand-in:{DIRECTUS_VERSION}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        if podman.has_image(name):
            return name
        async with wait_for(podman.cache / "stand-in.lock", lambda _pid: None):
            if not podman.has_image(name):
                directus = await ensure_directus(DIRECTUS_VERSION, PlainProgress(), toolchain=node)
                await anyio.to_thread.run_sync(_make, podman, name, directus, node)
        return name

    return anyio.run(ensure)


def _make(podman: Podman, name: str, directus: Path, node: NodeToolchain) -> None:
    with tempfile.TemporaryDirectory(prefix="stand-in-", dir=podman.cache) as temporary:
        root, archive = Path(temporary, "root"), Path(temporary, "root.tar")
        _debian(root)
        _command("chroot", str(root), "groupadd", "--gid", _NODE_ID, "node")
        _command("chroot", str(root), "useradd", "--uid", _NODE_ID, "--gid", _NODE_ID, "--create-home", "node")
        shutil.copy2(node.node, root / "usr/local/bin/node")
        _command("tar", "--create", f"--file={archive}", "--numeric-owner", f"--directory={root}", ".")
        _append_directus(archive, directus, Path(temporary))
        changes = [word for change in _CHANGES for word in ("--change", change)]
        podman.run("import", "--quiet", *changes, "-", name, input_file=archive)


def _debian(root: Path) -> None:
    mirror = _mirror()
    _command("debootstrap", "--variant=minbase", SUITE, str(root), mirror)
    for path in (*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")):
        path.unlink()


def _mirror() -> str:
    """The mirror that this machine's apt uses, when it is a Debian."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)", "Origin: Debian"],
        capture_output=True,
        text=True,
        check=False,
    )
    sites = [site for site in answer.stdout.split() if "security" not in site]
    return sites[0] if sites else _MIRROR


def _append_directus(archive: Path, directus: Path, temporary: Path) -> None:
    # Owned by `node` as in the official image, and without source maps as there; the cache itself stays as it is.
    append = ("tar", "--append", f"--file={archive}", f"--owner=node:{_NODE_ID}", f"--group=node:{_NODE_ID}")
    writable = [f"directus/{name}" for name in _WRITABLE]
    for name in writable:
        (temporary / name).mkdir(parents=True)
    _command(*append, f"--directory={temporary}", *writable)
    # The package is its own folder and, since `@directus/api` imports it by name, in node_modules, too.
    _command(*append, f"--directory={directus / 'node_modules'}", "directus")
    rename = "--transform=s,^node_modules,directus/node_modules,S"
    _command(*append, f"--directory={directus}", "--exclude=*.map", rename, "node_modules")


def _command(*argv: str) -> None:
    environ = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} ended with {result.returncode}\n{result.stdout}{result.stderr}"[-4000:])


if __name__ == "__main__":
    sys.stdout.write(ensure_stand_in(Podman()) + "\n")
