"""The Kubernetes manifests: built by kustomize, held against Kubernetes' own schemas and against the supervisor."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from supervisor.cli import make_parser
from supervisor.directus.variables import variable_named_by_file
from supervisor.health.probes import PROBES
from supervisor.settings import SPECS, Settings, load_settings

PROJECT = Path(__file__).parents[3]
KUBERNETES = PROJECT / "docker" / "kubernetes"
SECRETS = ("db_password", "directus_secret", "admin_password", "status_token")
# The oldest and the newest that the package knows of among those that are maintained.
VERSIONS = ("1.31", "1.37")
# docs/signals.md: what may come on top of the drain and the timeout.
LONGEST_EXTRA_S = 16.5
MI = 1024 * 1024
UNITS = {"Mi": MI, "Gi": 1024 * MI}

Manifest = dict[str, Any]


def build(folder: Path) -> list[Manifest]:
    """What kustomize makes of a folder."""
    kustomize = shutil.which("kustomize")
    if kustomize is None and shutil.which("kubectl") is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    argv = [kustomize, "build"] if kustomize else ["kubectl", "kustomize"]
    done = subprocess.run([*argv, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the secrets that the example wants."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    (folder / "example" / "secrets").mkdir()
    for name in SECRETS:
        (folder / "example" / "secrets" / name).write_text(f"the {name}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def with_init_container(copied: Path) -> list[Manifest]:
    """The example with its component, as its comment says."""
    folder = copied / "with-init-container"
    shutil.copytree(copied / "example", folder)
    kustomization = folder / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    commented = "# components:\n#   - ../components/init-container\n"
    assert commented in text
    kustomization.write_text(text.replace(commented, commented.replace("# ", "", 1).replace("#", "")), encoding="utf-8")
    return build(folder)


@pytest.fixture(scope="module")
def example(copied: Path) -> list[Manifest]:
    return build(copied / "example")


@pytest.fixture(scope="module")
def base() -> list[Manifest]:
    return build(KUBERNETES / "base")


@pytest.fixture(scope="module")
def job() -> list[Manifest]:
    return build(KUBERNETES / "migration-job")


@pytest.fixture(scope="module")
def everything(
    base: list[Manifest], example: list[Manifest], with_init_container: list[Manifest], job: list[Manifest]
) -> list[Manifest]:
    return [*base, *example, *with_init_container, *job]


def of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]["spec"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["containers"], *pod.get("initContainers", [])]


def settings_of(manifests: list[Manifest], container: Manifest) -> dict[str, str]:
    """The environment of a container, its references followed."""
    maps = {each["metadata"]["name"]: each["data"] for each in manifests if each["kind"] == "ConfigMap"}
    environ: dict[str, str] = {}
    for source in container["envFrom"]:
        environ |= maps[source["configMapRef"]["name"]]
    return environ | {each["name"]: each["value"] for each in container["env"]}


def read_settings(manifests: list[Manifest], container: Manifest, tmp_path: Path) -> Settings:
    loaded = load_settings(settings_of(manifests, container), tmp_path)
    assert not loaded.problems
    return loaded.settings


def quantity(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_one_that_kubernetes_knows(everything: list[Manifest], version: str) -> None:
    with warnings.catch_warnings(record=True):
        for manifest in everything:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_schema_refuses_a_field_that_kubernetes_does_not_know(base: list[Manifest]) -> None:
    deployment = of_kind(base, "Deployment")
    broken = {**deployment, "spec": {**deployment["spec"], "replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_settings_can_be_used(base: list[Manifest], job: list[Manifest], tmp_path: Path) -> None:
    for manifests in (base, job):
        for pod in pods(manifests):
            for container in containers(pod):
                read_settings(manifests, container, tmp_path)


def test_the_probes_ask_what_the_supervisor_answers_where_it_answers(base: list[Manifest], tmp_path: Path) -> None:
    (pod,) = pods(base)
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert [asked[kind]["path"] for kind in asked] == ["/startupz", "/readyz", "/livez"]
    assert {get["path"] for get in asked.values()} == set(PROBES)
    port = read_settings(base, container, tmp_path).health_port
    assert {ports[get["port"]] for get in asked.values()} == {port}


def test_the_port_of_the_service_is_that_of_directus(base: list[Manifest], tmp_path: Path) -> None:
    (pod,) = pods(base)
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service = of_kind(base, "Service")["spec"]["ports"]
    assert {each["name"]: ports[each["targetPort"]] for each in service} == {
        "http": int(settings_of(base, container)["PORT"]),
        "health": read_settings(base, container, tmp_path).health_port,
    }


def test_kubernetes_waits_longer_than_the_longest_stop(
    base: list[Manifest], job: list[Manifest], tmp_path: Path
) -> None:
    for manifests in (base, job):
        (pod,) = pods(manifests)
        settings = read_settings(manifests, pod["containers"][0], tmp_path)
        drain_s = settings.drain_s if pod["containers"][0]["args"] == ["run"] else 0
        assert pod["terminationGracePeriodSeconds"] > drain_s + settings.stop_timeout_s + LONGEST_EXTRA_S


def test_the_drain_outlasts_what_turning_away_takes(base: list[Manifest], tmp_path: Path) -> None:
    (pod,) = pods(base)
    (container,) = pod["containers"]
    probe = container["readinessProbe"]
    slowest = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert read_settings(base, container, tmp_path).drain_s > slowest


def test_no_boot_is_killed_while_it_may_still_wait(base: list[Manifest], job: list[Manifest], tmp_path: Path) -> None:
    (pod,) = pods(base)
    (container,) = pod["containers"]
    settings = read_settings(base, container, tmp_path)
    longest = settings.postgres_timeout_s + settings.lock_timeout_s + 2 * settings.step_timeout_s
    probe = container["startupProbe"]
    allowed = probe["periodSeconds"] * probe["failureThreshold"]
    assert allowed >= longest + settings.ready_timeout_s
    assert of_kind(base, "Deployment")["spec"]["progressDeadlineSeconds"] > allowed
    assert of_kind(job, "Job")["spec"]["activeDeadlineSeconds"] > longest


def test_the_supervisor_restarts_directus_before_the_kernel_kills_it(base: list[Manifest], tmp_path: Path) -> None:
    (pod,) = pods(base)
    (container,) = pod["containers"]
    limit_mb = quantity(container["resources"]["limits"]["memory"]) / 1e6
    # The supervisor itself needs 45 MB.
    assert 0 < read_settings(base, container, tmp_path).memory_limit_mb < limit_mb - 45


def test_every_container_is_unprivileged_and_its_root_is_read_only(everything: list[Manifest]) -> None:
    for pod in pods(everything):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000, "the user `node` of the image"
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        writable = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume or "secret" not in volume}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert mounts["/tmp"]["name"] in writable
            assert set(mounts) <= {"/tmp", "/directus/uploads", "/run/secrets/directus"}


def test_what_selects_pods_selects_those_of_the_deployment_and_not_the_job(
    base: list[Manifest], job: list[Manifest]
) -> None:
    template = of_kind(base, "Deployment")["spec"]["template"]["metadata"]["labels"]
    other = of_kind(job, "Job")["spec"]["template"]["metadata"]["labels"]
    spreads = of_kind(base, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        of_kind(base, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(base, "Service")["spec"]["selector"],
        of_kind(base, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(base, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in spreads),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= template.items()
        assert not selector.items() <= other.items()


def test_secrets_are_files_that_the_secret_has_and_somebody_reads(example: list[Manifest]) -> None:
    secret = of_kind(example, "Secret")
    assert set(secret["data"]) == set(SECRETS)
    (pod,) = pods(example)
    (volume,) = [each for each in pod["volumes"] if "secret" in each]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    (container,) = pod["containers"]
    files = {each["name"]: each["value"] for each in container["env"]}
    assert {Path(path).name for path in files.values()} == set(SECRETS)
    for name, path in files.items():
        assert Path(path).parent == Path("/run/secrets/directus")
        assert name.removeprefix("SUPERVISOR_").lower() in SPECS or variable_named_by_file(name)


def test_a_container_runs_a_command_that_there_is(everything: list[Manifest]) -> None:
    for pod in pods(everything):
        for container in containers(pod):
            assert make_parser().parse_args(container["args"]).command in {"run", "migrate"}


def test_the_example_names_one_image_for_every_container(with_init_container: list[Manifest]) -> None:
    (pod,) = pods(with_init_container)
    images = {container["image"] for container in containers(pod)}
    assert images == {"registry.example.com/owner/directus:0123456789abcdef0123456789abcdef01234567"}


def test_the_init_container_migrates_the_database_that_the_other_one_uses(
    with_init_container: list[Manifest],
) -> None:
    (pod,) = pods(with_init_container)
    (init,), (main,) = pod["initContainers"], pod["containers"]
    assert (init["args"], main["args"]) == (["migrate"], ["run"])
    before, after = settings_of(with_init_container, init), settings_of(with_init_container, main)
    assert {name: value for name, value in after.items() if name in before} == before
    assert set(after) - set(before) == {"SUPERVISOR_STATUS_TOKEN_FILE"}


def test_an_eviction_takes_one_pod_at_a_time_and_a_rollout_none(base: list[Manifest]) -> None:
    assert of_kind(base, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    deployment = of_kind(base, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert deployment["replicas"] > 1
