"""The house: imports run one way, modules stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MODULES = sorted([*(PROJECT / "supervisor").rglob("*.py"), *(PROJECT / "phases").rglob("*.py")])
LONGEST_MODULE = 400

FOUNDATION = {"errors", "logs", "settings", "concurrency", "yaml_file"}
ENGINE = FOUNDATION | {"configuration", "lifecycle", "phase", "postgres", "directus", "process"}

# What each package, or module right under supervisor/, may import at run time. Imports for types alone are free.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "concurrency": {"errors"},
    "logs": set(),
    "kinds": {"logs"},
    "pm2": set(),
    "yaml_file": {"errors"},
    "settings": {"errors", "kinds", "pm2", "yaml_file"},
    "programs": {"directus", "kinds", "settings"},
    "lifecycle": set(),
    "phase": {"errors"},
    "process": FOUNDATION | {"lifecycle"},
    "incidents": FOUNDATION | {"configuration", "postgres", "process"},
    "status": FOUNDATION | {"lifecycle", "process"},
    "status_token": {"errors", "settings"},
    "notify": {"lifecycle"},
    "health": FOUNDATION | {"configuration", "directus", "lifecycle", "notify", "status", "status_token"},
    "console": FOUNDATION | {"health"},
    "postgres": FOUNDATION | {"directus"},
    "directus": FOUNDATION | {"configuration", "postgres", "process"},
    "configuration": FOUNDATION | {"directus", "postgres", "programs", "status_token"},
    "phases": ENGINE - {"lifecycle", "process"},
    "lineage": FOUNDATION | {"configuration", "postgres"},
    "steps": ENGINE | {"programs"},
    "boot": ENGINE | {"lineage", "phases", "steps"},
    "launch": ENGINE,
    "services": ENGINE | {"incidents", "launch", "programs"},
    "preflight": {"errors", "directus"},
    "state_report": {"process"},
    "signal_actions": FOUNDATION | {"lifecycle", "process", "state_report"},
    "run": ENGINE | {"boot", "health", "incidents", "launch", "preflight", "services", "signal_actions"},
    "report": {"errors", "run", "steps"},
    "commands": FOUNDATION | {"configuration", "directus", "incidents", "lineage", "postgres"},
    "check": {"errors", "settings", "yaml_file", "directus", "postgres"},
    "explain": FOUNDATION | {"incidents", "lifecycle", "process", "status"},
    "tracing": {"logs"},
    "show_config": FOUNDATION | {"configuration", "directus", "programs"},
    "dev": FOUNDATION | {"directus", "process", "report", "run", "configuration", "postgres"},
    "dry_run": FOUNDATION | {"commands", "configuration", "dev", "directus", "postgres"},
    "cli": ENGINE
    | {
        "console",
        "dev",
        "dry_run",
        "health",
        "incidents",
        "launch",
        "report",
        "run",
        "show_config",
        "check",
        "commands",
        "explain",
        "tracing",
    },
    "__main__": {"cli", "process"},
}
# postgres and directus know each other through these alone, which know nothing of either's connections.
POSTGRES_MAY_READ = {
    "supervisor.directus.cast",
    "supervisor.directus.config_object",
    "supervisor.directus.environment",
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    first, *rest = module.split(".")
    return "phases" if first == "phases" else (rest[0] if rest else "")


def imports_of(path: Path) -> Iterator[str]:
    """Modules of ours that this one imports when it runs, wherever the import stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = PROJECT / Path(*node.module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def ours(path: Path) -> list[str]:
    return [name for name in imports_of(path) if name.split(".")[0] in {"supervisor", "phases"}]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    part = part_of(name_of(path))
    if not part:
        assert not ours(path)
        return
    for imported in ours(path):
        other = part_of(imported)
        assert other in {part, ""} or other in MAY_IMPORT[part], f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name == "postgres"], ids=name_of)
def test_postgres_reads_only_what_directus_is_configured_with(path: Path) -> None:
    assert {name for name in ours(path) if part_of(name) == "directus"} <= POSTGRES_MAY_READ


def test_the_engine_reaches_the_phases_in_one_place() -> None:
    reaching = [name_of(path) for path in MODULES if "phases" in ours(path) and part_of(name_of(path)) != "phases"]
    assert reaching == ["supervisor.boot"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_two_modules_import_each_other(path: Path) -> None:
    by_name = {name_of(other): other for other in MODULES}
    reached: set[str] = set()
    waiting = [name for name in ours(path) if name in by_name]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [inner for inner in ours(by_name[name]) if inner in by_name]
    assert name_of(path) not in reached


@pytest.mark.parametrize(
    "module",
    [
        "lifecycle",
        "pm2",
        "process.restart",
        "directus.explain",
        "lineage.release",
        "lineage.standing",
        "incidents.record",
        "incidents.signs",
        "directus.diff",
        "directus.pino",
        "postgres.splitter",
        "postgres.failure",
        "explain.boot",
        "explain.bounded",
        "explain.facts",
        "explain.framing",
        "explain.judge",
        "explain.ledger",
        "explain.narrate",
        "explain.numbering",
        "explain.parse",
        "explain.record",
        "explain.scan",
        "explain.telling",
        "explain.text",
        "explain.trouble",
        "explain.verdict",
    ],
)
def test_a_pure_module_imports_nothing_that_reaches_outside(module: str) -> None:
    path = PROJECT / "supervisor" / (module.replace(".", "/") + ".py")
    reaching = {"os", "socket", "subprocess", "time", "random", "asyncio", "anyio", "threading", "pathlib", "shutil"}
    assert not reaching & set(imports_of(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_MODULE
    assert ast.get_docstring(ast.parse(text))
