"""Podman with a storage of its own below the cache, so that it sees no other image and container, and theirs not it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.dev.paths import cache_folder
from tests.harness import Supervised

# Podman asks for more than an account that is not the machine's first may have.
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
_LIMIT_S = 900


class PodmanError(Exception):
    """A podman command failed; the message ends in what it wrote."""


class Podman:
    """The commands that the tests need.

    Args:
        cache: the folder that keeps images, and the layers of earlier builds, between runs.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache_folder() / "image" if cache is None else cache
        self.cache.mkdir(parents=True, exist_ok=True)
        program = shutil.which("podman")
        if program is None:
            raise FileNotFoundError("podman")
        # Without systemd podman complains at each container that no timer runs its health check.
        self._argv = (
            program,
            "--log-level=fatal",
            "--cgroup-manager=cgroupfs",
            # The driver that podman falls back to would copy a gigabyte for each step of a build.
            "--storage-driver=overlay",
            f"--root={self.cache / 'storage'}",
            "--runroot=/run/directus-supervisor-image",
        )

    def run(self, *arguments: str, input_file: Path | None = None) -> str:
        """One podman command to its end.

        Args:
            arguments: its words.
            input_file: what it reads.

        Returns:
            What it wrote to its standard output.

        Raises:
            PodmanError: it ended with another status than 0.
        """
        result = self.attempt(*arguments, input_file=input_file)
        if result.returncode != 0:
            raise PodmanError(f"podman {arguments[0]} ended with {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def attempt(self, *arguments: str, input_file: Path | None = None) -> subprocess.CompletedProcess[str]:
        """One podman command to its end, whatever that is."""
        with (input_file or Path(os.devnull)).open("rb") as file:
            return subprocess.run(
                [*self._argv, *arguments], stdin=file, capture_output=True, text=True, timeout=_LIMIT_S, check=False
            )

    def has_image(self, name: str) -> bool:
        """Whether an image is in the storage."""
        return self.attempt("image", "exists", name).returncode == 0

    def image(self, name: str) -> dict[str, Any]:
        """What podman knows of an image."""
        (found,) = json.loads(self.run("image", "inspect", name))
        assert isinstance(found, dict)
        return found

    def build(self, context: Path, name: str, *options: str) -> None:
        """Build docker/Dockerfile of a checkout; the Docker format is the one that has a HEALTHCHECK."""
        self.run(
            "build", "--quiet", "--format=docker", "--network=host", *LIMITS, *options,
            f"--file={context / 'docker' / 'Dockerfile'}", f"--tag={name}", str(context),
        )  # fmt: skip

    def start(self, image: str, *arguments: str, environ: Mapping[str, str], options: Sequence[str] = ()) -> Container:
        """Start a container on the machine's own network, its log followed from the first line."""
        return Container(self, image, arguments, environ, options)

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a podman command."""
        return [*self._argv, *arguments]


class Container(Supervised):
    """A container and the `podman run` that follows it; removed at the end, whatever becomes of it."""

    def __init__(
        self,
        podman: Podman,
        image: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        options: Sequence[str],
    ) -> None:
        self.podman = podman
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        variables = [f"--env={name}={value}" for name, value in environ.items()]
        argv = podman.argv(
            "run", "--pull=never", f"--name={self.name}", "--network=host", *LIMITS, *options, *variables, image
        )
        super().__init__([*argv, *arguments], os.environ, Path.cwd())

    def end(self) -> None:
        """Remove the container, running or not."""
        self.podman.attempt("rm", "--force", "--time=5", "--ignore", self.name)
        super().end()

    def inspect(self) -> dict[str, Any]:
        """What podman knows of it."""
        (found,) = json.loads(self.podman.run("container", "inspect", self.name))
        assert isinstance(found, dict)
        return found

    @property
    def init_pid(self) -> int:
        """Its PID 1, as the machine numbers it."""
        return int(self.inspect()["State"]["Pid"])

    def exec(self, *argv: str) -> str:
        """Run a program in it, to its end."""
        return self.podman.run("exec", self.name, *argv)

    def check_health(self) -> str:
        """Run its HEALTHCHECK once; what podman counts it as: nothing for a pass, `starting` or `unhealthy`."""
        return self.podman.attempt("healthcheck", "run", self.name).stdout.strip()

    def stop(self) -> int:
        """`podman stop`, as an operator does; the status of PID 1."""
        self.podman.run("stop", self.name)
        return int(self.inspect()["State"]["ExitCode"])
