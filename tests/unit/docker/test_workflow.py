"""The build workflow: read by linters, held to what it promises, and the same for Gitea and GitHub."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.rehearse_workflow import WorkflowError, evaluate, fill_in, read_job, run_job
from supervisor.cli import make_parser

PROJECT = Path(__file__).parents[3]
WORKFLOW = PROJECT / ".gitea" / "workflows" / "build.yml"
COPY = PROJECT / ".github" / "workflows" / "build.yml"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def document() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def triggers(document: dict[Any, Any]) -> dict[str, Any]:
    # YAML 1.1 takes `on` for a boolean.
    found: dict[str, Any] = document[True]
    return found


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return read_job(WORKFLOW, "image")


@pytest.fixture(scope="module")
def steps(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in job["steps"] if "name" in step}


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    argv = [PROGRAMS / "actionlint", "-no-color", "-shellcheck", PROGRAMS / "shellcheck", path]
    return subprocess.run([str(each) for each in argv], capture_output=True, text=True, check=False)


def test_actionlint_and_shellcheck_find_nothing() -> None:
    done = lint(WORKFLOW)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("timeout-minutes: 45", "timeout-minute: 45"),
        ("github.event_name == 'pull_request'", "github.event_nam == 'pull_request'"),
        ('if [ -z "$REGISTRY" ]', "if [ -z $REGISTRY ]"),
    ],
)
def test_the_linters_would_find_a_mistake(tmp_path: Path, text: str, mistake: str) -> None:
    broken = tmp_path / "build.yml"
    original = WORKFLOW.read_text(encoding="utf-8")
    assert text in original
    broken.write_text(original.replace(text, mistake, 1), encoding="utf-8")
    assert lint(broken).returncode == 1


def test_github_runs_the_same_file() -> None:
    assert COPY.read_bytes() == WORKFLOW.read_bytes()
    assert not COPY.is_symlink(), "GitHub does not follow it"


# What triggers it


def triggering(patterns: list[str], path: str) -> bool:
    """As both read a filter: the last pattern that fits decides."""
    verdict = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(path, pattern.removeprefix("!").replace("**", "*")):
            verdict = not pattern.startswith("!")
    return verdict


@pytest.mark.parametrize("event", ["push", "pull_request"])
@pytest.mark.parametrize(
    "path",
    [
        "snapshots/schema.yaml",
        "sql/pre-schema/002_positions.sql",
        "phases/bootstrap.py",
        "supervisor/logs/events.py",
        "extensions/hooks/index.js",
        "docker/Dockerfile",
        "requirements.lock",
        ".gitea/workflows/build.yml",
        ".github/workflows/build.yml",
    ],
)
def test_what_goes_into_the_image_triggers_the_build(triggers: dict[str, Any], event: str, path: str) -> None:
    assert triggering(triggers[event]["paths"], path)


@pytest.mark.parametrize("event", ["push", "pull_request"])
@pytest.mark.parametrize("path", ["README.md", "docs/schema.md", "tests/conftest.py", "docker/kubernetes/README.md"])
def test_documents_and_tests_do_not(triggers: dict[str, Any], event: str, path: str) -> None:
    assert not triggering(triggers[event]["paths"], path)


def test_only_main_is_pushed_from(triggers: dict[str, Any], steps: dict[str, dict[str, Any]]) -> None:
    assert triggers["push"]["branches"] == ["main"]
    for name in ("Push", "Tell Portainer"):
        for event, ref, allowed in [
            ("push", "refs/heads/main", True),
            ("workflow_dispatch", "refs/heads/main", True),
            ("workflow_dispatch", "refs/heads/other", False),
            ("pull_request", "refs/heads/main", False),
        ]:
            contexts = {"github": {"event_name": event, "ref": ref}, "env": {"HAS_WEBHOOK": "true"}}
            assert evaluate(steps[name]["if"], contexts) is allowed, (name, event, ref)


# What it does


def test_the_order_of_the_gate(steps: dict[str, dict[str, Any]]) -> None:
    assert list(steps) == [
        "Name the image",
        "Check the SQL files and the snapshot",
        "Build the image",
        "Migrate an empty database",
        "Compare the database with the snapshot",
        "Migrate again, with nothing to change",
        "Push",
        "Tell Portainer",
    ]


def test_the_commands_that_it_runs_exist(steps: dict[str, dict[str, Any]]) -> None:
    scripts = "\n".join(step["run"] for step in steps.values())
    ran = re.findall(r'(?:-m supervisor|"\$IMAGE:\$GITHUB_SHA") ((?:check|migrate|snapshot)[^\n]*)', scripts)
    assert ran == [
        "check --strict --format github",
        "migrate",
        "snapshot --check",
        "migrate --expect-unchanged",
    ]
    for arguments in ran:
        make_parser().parse_args(arguments.split())


def test_the_database_is_the_service_on_a_port_of_the_host(job: dict[str, Any]) -> None:
    service, env = job["services"]["database"], job["env"]
    assert service["image"] == "timescale/timescaledb-ha:pg16.6-ts2.17.2-all"
    assert service["ports"] == ["15432:5432"]
    assert "--health-retries 20" in service["options"]
    assert (env["DB_HOST"], env["DB_PORT"]) == ("localhost", "15432")
    assert {
        key.removeprefix("POSTGRES_").replace("DB", "DATABASE"): value for key, value in service["env"].items()
    } == {key.removeprefix("DB_"): env[key] for key in ("DB_DATABASE", "DB_USER", "DB_PASSWORD")}


def test_every_run_of_the_image_reaches_the_service(steps: dict[str, dict[str, Any]]) -> None:
    for step in steps.values():
        if "docker run" in step["run"]:
            assert "--network host" in step["run"]
            for name in ("DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USER", "DB_PASSWORD", "SECRET"):
                assert f"-e {name} " in step["run"], step["name"]


def test_actions_are_pinned_to_commits(job: dict[str, Any]) -> None:
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)


def test_no_build_action_hides_the_image_from_docker_run(job: dict[str, Any]) -> None:
    assert not [step for step in job["steps"] if "build-push" in step.get("uses", "")]


def test_the_webhook_fails_on_an_error_of_the_other_side_and_is_left_out_without_a_secret(
    job: dict[str, Any], steps: dict[str, dict[str, Any]]
) -> None:
    step = steps["Tell Portainer"]
    assert step["run"].startswith("curl -fsS ")
    github = {"event_name": "push", "ref": "refs/heads/main"}
    for secrets, told in [({"PORTAINER_WEBHOOK": "https://portainer.invalid"}, True), ({}, False)]:
        contexts = {"secrets": secrets, "github": github}
        env = {"HAS_WEBHOOK": fill_in(job["env"]["HAS_WEBHOOK"], contexts)}
        assert evaluate(step["if"], {**contexts, "env": env}) is told


def test_it_may_do_no_more_than_it_must_and_not_for_ever(document: dict[Any, Any], job: dict[str, Any]) -> None:
    assert document["permissions"] == {"contents": "read", "packages": "write"}
    assert document["concurrency"]["group"] == "build-${{ github.ref }}"
    assert job["timeout-minutes"] <= 60
    for step in job["steps"]:
        if "docker" in step.get("run", ""):
            assert step["timeout-minutes"] < job["timeout-minutes"], step["name"]


# The rehearsal's reading of expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a.x == 'one'", True),
        ("a.x != 'one' || a.y == ''", True),
        ("a.x == 'two' && a.x", False),
        ("a.missing || 'other'", "other"),
        ("!(a.x == 'one')", False),
        ("'it''s'", "it's"),
    ],
)
def test_an_expression_is_read_as_a_runner_reads_it(expression: str, value: str | bool) -> None:
    assert evaluate(expression, {"a": {"x": "one", "y": ""}}) == value


@pytest.mark.parametrize("expression", ["hashFiles('x')", "b.x", "a.x ==", "(a.x", "a.x a.y", "a.x < 1", "a"])
def test_an_expression_that_is_not_understood_is_no_guess(expression: str) -> None:
    with pytest.raises(WorkflowError):
        evaluate(expression, {"a": {"x": "one"}})


def test_steps_share_what_they_export_and_end_at_the_first_failure(tmp_path: Path) -> None:
    job = {
        "env": {"GIVEN": "${{ vars.GIVEN }}", "OVERRIDDEN": "no"},
        "steps": [
            {"uses": "actions/checkout@v4"},
            {"name": "export", "run": 'echo "NAME=$GIVEN-$OVERRIDDEN" >> "$GITHUB_ENV"'},
            {"name": "read", "run": "echo $NAME", "if": "env.NAME == 'given-yes'"},
            {"name": "fail", "run": "false | true"},
            {"name": "never", "run": "true"},
        ],
    }
    done = run_job(
        job, tmp_path, {"PATH": "/usr/bin:/bin"}, {"vars": {"GIVEN": "given"}}, overrides={"OVERRIDDEN": "yes"}
    )
    assert [step.outcome for step in done] == ["left out", "success", "success", "failure", "skipped"]
    assert done[2].output == "given-yes\n"
