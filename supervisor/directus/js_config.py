"""A configuration file in JavaScript, evaluated by the Node.js that Directus runs on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from supervisor.directus.config_file import EvaluateJs
from supervisor.errors import CONFIG_INVALID, SupervisorError

_LIMIT_S: Final = 30.0
# What @directus/env does with such a file; the marker sets the answer apart from what the file itself prints.
_MARKER: Final = "directus-supervisor:"
_SCRIPT: Final = f"""
const loaded = require(process.argv[1]);
const exported = 'default' in loaded ? loaded.default : loaded;
const values = typeof exported === 'function' ? exported(process.env) : exported;
if (values === null || typeof values !== 'object') throw new Error('it exports neither an object nor a function');
process.stdout.write('\\n{_MARKER}' + JSON.stringify(values) + '\\n');
"""


def evaluator(node: Path, environ: Mapping[str, str], cwd: Path) -> EvaluateJs:
    """What evaluates such a file.

    Args:
        node: the Node.js binary.
        environ: the environment that Directus gets, which the file may read.
        cwd: the folder that Directus runs in.
    """

    def evaluate(path: Path) -> Mapping[str, object]:
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own file
                [node, "-e", _SCRIPT, str(path)],
                env=dict(environ),
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SupervisorError(CONFIG_INVALID, str(error)) from None
        answer = [line for line in done.stdout.splitlines() if line.startswith(_MARKER)]
        if done.returncode or not answer:
            raise SupervisorError(CONFIG_INVALID, _reason(done.stderr))
        values = json.loads(answer[-1].removeprefix(_MARKER))
        return {str(name): value for name, value in values.items()}

    return evaluate


def _reason(stderr: str) -> str:
    errors = [line.strip() for line in stderr.splitlines() if "Error" in line]
    return errors[0] if errors else "Node.js did not say why"
