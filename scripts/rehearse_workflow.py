"""Runs the `run:` steps of one job of a workflow on this machine, in order and with its environment, as a runner would.

Actions (`uses:`) are left out, services are the caller's matter. Expressions are understood as far as a job can be read
without a runner: contexts, strings, `==`, `!=`, `&&`, `||`, `!` and brackets. Anything else is an error, never a guess.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

Contexts = Mapping[str, Mapping[str, str]]

_TOKEN: Final = re.compile(r"\s*(?:('(?:[^']|'')*')|(==|!=|&&|\|\||!|\(|\))|([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*))")
_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STEP_TIMEOUT_MINUTES: Final = 45.0
# What `defaults.run.shell: bash` comes to, as GitHub's and Gitea's runners have it.
_BASH: Final = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


class WorkflowError(Exception):
    """The workflow says something that cannot be rehearsed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one step.

    Attributes:
        name: its own name, or the action that it uses.
        outcome: "left out" is an action; "skipped" a step whose condition does not hold, or that a failure came before.
        output: what it wrote.
    """

    name: str
    outcome: Literal["success", "failure", "skipped", "left out"]
    output: str = ""


def evaluate(expression: str, contexts: Contexts) -> str | bool:
    """The value of one expression.

    Raises:
        WorkflowError: for what is not understood, and for a context that is not given.
    """
    tokens = _tokens(expression)
    value = _either(tokens, contexts)
    if tokens:
        raise WorkflowError(f"cannot read {tokens[0]!r} in the expression {expression!r}")
    return value


def _tokens(expression: str) -> list[str]:
    tokens, place = [], 0
    text = expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise WorkflowError(f"cannot read {text[place:]!r} in the expression {expression!r}")
        tokens.append(match[0].strip())
        place = match.end()
    return tokens


def _either(tokens: list[str], contexts: Contexts) -> str | bool:
    value = _both(tokens, contexts)
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        other = _both(tokens, contexts)
        value = value or other
    return value


def _both(tokens: list[str], contexts: Contexts) -> str | bool:
    value = _comparison(tokens, contexts)
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        other = _comparison(tokens, contexts)
        value = value and other
    return value


def _comparison(tokens: list[str], contexts: Contexts) -> str | bool:
    value = _operand(tokens, contexts)
    while tokens[:1] in (["=="], ["!="]):
        same = tokens.pop(0) == "=="
        value = (value == _operand(tokens, contexts)) is same
    return value


def _operand(tokens: list[str], contexts: Contexts) -> str | bool:
    if not tokens:
        raise WorkflowError("an expression ends too early")
    token = tokens.pop(0)
    if token == "!":
        return not _operand(tokens, contexts)
    if token == "(":
        value = _either(tokens, contexts)
        if tokens[:1] != [")"]:
            raise WorkflowError("a bracket is not closed in an expression")
        tokens.pop(0)
        return value
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token in ("true", "false"):
        return token == "true"
    context, _, name = token.partition(".")
    if context not in contexts or not name:
        raise WorkflowError(f"the expression {token!r} is not known here")
    return contexts[context].get(name, "")


def fill_in(text: object, contexts: Contexts) -> str:
    """A value of the workflow with its expressions replaced."""

    def value(match: re.Match[str]) -> str:
        found = evaluate(match[1], contexts)
        return str(found).lower() if isinstance(found, bool) else found

    return _EXPRESSION.sub(value, str(text))


def read_job(workflow: Path, job: str) -> dict[str, Any]:
    """One job of a workflow file, as it is written.

    Raises:
        WorkflowError: when there is no such job, or its steps have another shell than bash.
    """
    document = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    found = document.get("jobs", {}).get(job)
    if not isinstance(found, dict):
        raise WorkflowError(f"{workflow} has no job {job}")
    if document.get("defaults", {}).get("run", {}).get("shell") != "bash":
        raise WorkflowError(f"{workflow} does not set the shell of its steps to bash")
    return found


def run_job(
    job: Mapping[str, Any],
    workspace: Path,
    environ: Mapping[str, str],
    contexts: Contexts,
    *,
    overrides: Mapping[str, str],
    tell: Callable[[Step], None] = lambda _step: None,
) -> list[Step]:
    """Run the steps of a job in order, up to the first failure.

    Args:
        job: as :func:`read_job` gives it.
        workspace: where the steps run: a checkout.
        environ: what the runner itself has in its environment; the `GITHUB_*` variables belong here.
        contexts: `github`, `vars` and `secrets`; `env` and `runner` are made here.
        overrides: variables that win over the job's own, such as where the database really is.
        tell: is told each step when it has ended.
    """
    steps: list[Step] = []
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        runner_temp = Path(temporary)
        exported = runner_temp / "env"
        exported.touch()
        contexts = {**contexts, "runner": {"temp": temporary}}
        written = {str(name): fill_in(value, contexts) for name, value in job.get("env", {}).items()}
        job_env = {**written, **overrides}
        failed = False
        for raw in job["steps"]:
            known = job_env | _read_exported(exported)
            here = {**contexts, "env": known}
            step = _run_step(
                raw, workspace, {**environ, **known}, here, exported=exported, runner_temp=runner_temp, skip=failed
            )
            failed = failed or step.outcome == "failure"
            steps.append(step)
            tell(step)
    return steps


def _run_step(
    raw: Mapping[str, Any],
    workspace: Path,
    environ: dict[str, str],
    contexts: Contexts,
    *,
    exported: Path,
    runner_temp: Path,
    skip: bool,
) -> Step:
    name = str(raw.get("name") or raw.get("uses"))
    condition = raw.get("if")
    if skip or (condition is not None and not evaluate(_bare(str(condition)), contexts)):
        return Step(name, "skipped")
    if "run" not in raw:
        return Step(name, "left out")
    if "${{" in raw["run"]:
        raise WorkflowError(f"the step {name!r} puts an expression into its script; give it a variable")
    environ |= {variable: fill_in(value, contexts) for variable, value in raw.get("env", {}).items()}
    environ |= {"GITHUB_ENV": str(exported), "RUNNER_TEMP": str(runner_temp), "CI": "true"}
    script = runner_temp / "step.sh"
    script.write_text(raw["run"], encoding="utf-8")
    timeout_s = 60 * float(raw.get("timeout-minutes", _STEP_TIMEOUT_MINUTES))
    process = subprocess.Popen(
        [*_BASH, str(script)],
        cwd=workspace,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        output += f"\nnot done after {timeout_s:g} s"
    return Step(name, "success" if process.returncode == 0 else "failure", output)


def _bare(condition: str) -> str:
    match = _EXPRESSION.fullmatch(condition.strip())
    return match[1] if match else condition


def _read_exported(path: Path) -> dict[str, str]:
    """What earlier steps wrote to `GITHUB_ENV`, one `NAME=value` a line."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if not equals or "<<" in name:
            raise WorkflowError(f"GITHUB_ENV has a line of another form than NAME=value: {line!r}")
        found[name] = value
    return found
