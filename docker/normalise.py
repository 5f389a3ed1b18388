"""Make a folder the same on every build: bytecode that no source's time can outdate, modes, and times.

Usage: ``normalise.py FOLDER [--bytecode-for PATH]``. With ``--bytecode-for`` its Python files are compiled, to be found
at PATH later. Times become ``SOURCE_DATE_EPOCH`` (seconds, default 0; https://reproducible-builds.org/specs/source-date-epoch/).
"""

from __future__ import annotations

import argparse
import compileall
import os
import stat
import sys
from pathlib import Path
from py_compile import PycInvalidationMode


def main() -> int:
    """Normalise one folder; 1 when a file does not compile."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bytecode-for", metavar="PATH")
    options = parser.parse_args()
    # Nothing changes in an image: a look at the time of each source at each start would find what it knows.
    if options.bytecode_for and not compileall.compile_dir(
        options.folder,
        maxlevels=99,
        quiet=1,
        stripdir=options.folder,
        prependdir=options.bytecode_for,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    ):
        return 1
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    # From the deepest up: a folder's time changes with what it holds.
    for path in [*sorted(options.folder.rglob("*"), reverse=True), options.folder]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (seconds, seconds), follow_symlinks=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
