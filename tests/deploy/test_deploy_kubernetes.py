"""The manifests are valid for Kubernetes, keep our promises, and break visibly when changed."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.kubernetes_rules import containers, problems

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
VERSIONS = ("1.29", "1.37")  # the oldest that we ask for, and the newest known here
Documents = list[dict[str, Any]]


def documents(name: str) -> Documents:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def schema_problems(found: Documents) -> list[str]:
    told = []
    for document in found:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                told.append(f"{document['kind']} ({version}): {error.message}")
    return told


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_manifest_is_valid_and_keeps_what_we_promise(file: Path) -> None:
    found = documents(file.name)
    assert schema_problems(found) == []
    assert problems(found) == []


def test_there_is_a_sidecar_with_each_engine_and_a_worker_of_its_own() -> None:
    assert [file.name for file in FILES] == [
        "sidecar-remote-engine.yaml",
        "sidecar.yaml",
        "worker.yaml",
    ]
    kinds = {document["kind"] for document in documents("worker.yaml")}
    assert kinds == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    (service,) = (one for one in documents("worker.yaml") if one["kind"] == "Service")
    assert service["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_privilege_of_an_engine_is_said_plainly(file: Path) -> None:
    text = file.read_text()
    privileged = [
        one["name"]
        for one in containers(pod(documents(file.name)))
        if one["securityContext"].get("privileged")
    ]
    assert privileged == ([] if "remote" in file.name else ["engine"])
    assert ("IS PRIVILEGED" if privileged else "IS ROOT ON THAT MACHINE") in text


def pod(found: Documents) -> dict[str, Any]:
    (deployment,) = (one for one in found if one["kind"] == "Deployment")
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def container(found: Documents) -> dict[str, Any]:
    (worker,) = (one for one in pod(found)["containers"] if one["name"] == "worker")
    found_worker: dict[str, Any] = worker
    return found_worker


def set_variable(found: Documents, name: str, value: str) -> None:
    container(found)["env"].append({"name": name, "value": value})


def change_variable(found: Documents, name: str, value: str) -> None:
    (one,) = (one for one in container(found)["env"] if one["name"] == f"AUXOT_WORKER__{name}")
    one["value"] = value


def drop_variable(found: Documents, name: str) -> None:
    kept = [one for one in container(found)["env"] if one["name"] != f"AUXOT_WORKER__{name}"]
    container(found)["env"] = kept


def policy(found: Documents) -> dict[str, Any]:
    (one,) = (one for one in found if one["kind"] == "NetworkPolicy")
    spec: dict[str, Any] = one["spec"]
    return spec


BROKEN: dict[str, tuple[Callable[[Documents], object], str]] = {
    "a word that is no field": (lambda d: pod(d).update(hostnetwork=True), "hostnetwork"),
    "a wrong type": (lambda d: d[0]["spec"].update(replicas="two"), "integer"),
    "no probe": (lambda d: container(d).pop("readinessProbe"), "no readinessProbe"),
    "a probe elsewhere": (
        lambda d: container(d).update(readinessProbe={"grpc": {"port": 50061}}),
        "is not asked by the command health",
    ),
    "a worker without TLS": (lambda d: drop_variable(d, "TLS_CERT"), "can be called without TLS"),
    "TLS given up": (
        lambda d: set_variable(d, "AUXOT_WORKER__ALLOW_PLAINTEXT", "true"),
        "may be called without TLS",
    ),
    "nowhere to ask": (
        lambda d: change_variable(d, "LISTEN", "0.0.0.0:50061"),
        "has no unix socket to be asked at",
    ),
    "a certificate from nowhere": (
        lambda d: change_variable(d, "TLS_KEY", "/elsewhere/tls.key"),
        "has /elsewhere/tls.key in no volume",
    ),
    "a start that waits for the engine": (
        lambda d: container(d).update(startupProbe={"grpc": {"port": 50061}}),
        "ended by its startupProbe while it only waits",
    ),
    "a life that hangs on the engine": (
        lambda d: container(d).update(livenessProbe={"exec": {"command": ["auxot-tools"]}}),
        "ended by its livenessProbe while it only waits",
    ),
    "the cloud's own addresses": (
        lambda d: policy(d)["egress"][1]["to"][0]["ipBlock"]["except"].pop(),
        "leads to addresses of the cloud's own services",
    ),
    "no limits": (lambda d: container(d)["resources"].pop("limits"), "no limits of cpu and memory"),
    "a token": (lambda d: pod(d).pop("automountServiceAccountToken"), "token of the cluster"),
    "root": (lambda d: pod(d)["securityContext"].update(runAsUser=0), "does not run as our user"),
    "privilege": (
        lambda d: container(d).update(securityContext={"privileged": True}),
        "worker: is privileged",
    ),
    "too little time": (
        lambda d: pod(d).update(terminationGracePeriodSeconds=30),
        "needs 95 s to end",
    ),
    "an unknown setting": (
        lambda d: set_variable(d, "AUXOT_WORKER__SLOT", "2"),
        "AUXOT_WORKER__SLOT is not a setting",
    ),
    "a wrong value": (
        lambda d: set_variable(d, "AUXOT_SANDBOX__CHANNEL", "pipe"),
        'sandbox.channel is "pipe"',
    ),
    "a secret's value": (
        lambda d: set_variable(d, "AUXOT_WORKER_KEY", "x"),
        "AUXOT_WORKER_KEY has a secret as its value",
    ),
    "a secret from elsewhere": (
        lambda d: container(d)["env"].append(
            {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
        ),
        "secrets are files here",
    ),
    "no budget": (
        lambda d: d.remove(next(one for one in d if one["kind"] == "PodDisruptionBudget")),
        "evicted at once",
    ),
    "no policy": (
        lambda d: d.remove(next(one for one in d if one["kind"] == "NetworkPolicy")),
        "its network is open",
    ),
    "callers from anywhere": (lambda d: policy(d)["ingress"][0].pop("from"), "not only routers"),
    "every port": (lambda d: policy(d)["egress"][1].pop("ports"), "open to every port"),
    "a way out unlimited": (
        lambda d: policy(d)["policyTypes"].remove("Egress"),
        "its network is open",
    ),
    "a volume too few": (lambda d: pod(d)["volumes"].pop(0), "not both defined and used"),
    "a service elsewhere": (
        lambda d: next(one for one in d if one["kind"] == "Service")["spec"]["selector"].update(
            x="y"
        ),
        "no Service leads to it",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_manifest_that_is_broken_is_found_out(case: str) -> None:
    break_it, sentence = BROKEN[case]
    found = deepcopy(documents("worker.yaml"))
    break_it(found)
    told = schema_problems(found) or problems(found)
    assert sentence in "\n".join(told)
