"""This machine's way to the package registries, for the steps of a build: as secrets, which no layer holds."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

# A path on this machine means nothing inside of a build.
_WITH_ADDRESSES = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
CERTIFICATES = "/run/secrets/ca-certificates"


def build_secrets(folder: Path) -> list[str]:
    """Options of `build` for pip's configuration and, where it names them, the certificates.

    Args:
        folder: where pip's configuration for the build is written; for this user alone.
    """
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings, certificates = pip_settings(answer)
    options = []
    if certificates is not None:
        settings["cert"] = CERTIFICATES
        options.append(f"--secret=id=ca-certificates,src={certificates}")
    file = folder / "pip.conf"
    file.touch(mode=0o600)
    parser = configparser.RawConfigParser()
    parser["global"] = settings
    with file.open("w") as writable:
        parser.write(writable)
    return [*options, f"--secret=id=pip.conf,src={file}"]


def pip_settings(listed: str) -> tuple[dict[str, str], str | None]:
    """What of the output of `pip config list` a build can use: the settings, and the file of certificates."""
    settings: dict[str, str] = {}
    certificates = None
    for line in listed.splitlines():
        key, _, quoted = line.partition("=")
        name, value = key.rpartition(".")[2], quoted.strip().strip("'\"")
        if name == "cert":
            certificates = value
        elif name in _WITH_ADDRESSES or name.removeprefix("default-") in _WITH_ADDRESSES:
            words = [word for word in value.replace("\\n", " ").split() if not word.startswith(("file:", "/"))]
            if words:
                settings[name.removeprefix("default-")] = " ".join(words)
    return settings, certificates
