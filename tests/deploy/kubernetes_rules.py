"""What our manifests promise beyond Kubernetes's schemas, as sentences for what is missing.

One job: judge documents. It must not read files or know which file they are of.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.deploy.settings_of import environment_problems

Document = Mapping[str, Any]
CLEAN_UP_S = 70  # after worker.grace_s: 45 s for clean-ups, 25 s until every box is removed
NOT_FOR_PODS = frozenset(
    {"169.254.0.0/16", "168.63.129.16/32"}
)  # a node's credentials, and Azure's
ENGINE = "engine"  # the only container that may be privileged


def problems(documents: Sequence[Document]) -> list[str]:
    """One sentence for each thing that is wrong; empty when all is well."""
    by_kind: dict[str, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    found: list[str] = []
    for deployment in by_kind.get("Deployment", []):
        found += _of_pod(deployment["spec"]["template"]["spec"])
        found += _around(deployment, by_kind)
    return found


def containers(spec: Document) -> list[Document]:
    """Of a pod, those that run before the others too."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def environment(container: Document) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", ())}


def _of_pod(spec: Document) -> Iterator[str]:
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token of the cluster"
    security = spec.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("runAsUser") == 10001):
        yield "the pod does not run as our user"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod has no seccomp profile"
    volumes = {one["name"] for one in spec.get("volumes", ())}
    used = {mount["name"] for one in containers(spec) for mount in one.get("volumeMounts", ())}
    for name in sorted(volumes ^ used):
        yield f"the volume {name} is not both defined and used"
    for container in containers(spec):
        for problem in (*_of_container(container), *_ending(container, spec)):
            yield f"{container['name']}: {problem}"


def _of_container(container: Document) -> Iterator[str]:
    security = container.get("securityContext", {})
    if container["name"] == ENGINE:
        if not security.get("privileged"):
            yield "an engine in a container must be privileged"
    else:
        if security.get("privileged"):
            yield "is privileged"
        if not security.get("readOnlyRootFilesystem"):
            yield "can write its root"
        if security.get("allowPrivilegeEscalation") is not False:
            yield "may become more"
        if security.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "keeps capabilities"
    for kind in ("requests", "limits"):
        missing = {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys()
        if missing:
            yield f"has no {kind} of {' and '.join(sorted(missing))}"
    if any("valueFrom" in one for one in container.get("env", ())):
        yield "has a value in its environment from elsewhere; secrets are files here"
    yield from environment_problems(environment(container))
    yield from _probes(container)


def _probes(container: Document) -> Iterator[str]:
    if container["name"] not in {"router", "worker"}:
        return
    if "readinessProbe" not in container:
        yield "has no readinessProbe"
    for name in ("startupProbe", "livenessProbe"):
        if "tcpSocket" not in container.get(name, {"tcpSocket": "none is needed"}):
            yield f"is ended by its {name} while it only waits for what it needs"
    if "AUXOT_WORKER__LISTEN" in environment(container):
        yield from _listening(container)


def _listening(container: Document) -> Iterator[str]:
    """Of a worker. Kubelet cannot ask over gRPC: not at a unix socket, and not with TLS."""
    found = environment(container)
    addresses = found["AUXOT_WORKER__LISTEN"].split(",")
    sockets = [one.removeprefix("unix:") for one in addresses if one.startswith("unix:")]
    if not sockets:
        yield "has no unix socket to be asked at"
    probe = container.get("readinessProbe", {})
    if probe.get("exec", {}).get("command") != ["auxot-tools", "health", "worker"]:
        yield "is not asked by the command health"
    files = [found.get(name, "") for name in ("AUXOT_WORKER__TLS_CERT", "AUXOT_WORKER__TLS_KEY")]
    if len(sockets) < len(addresses) and not all(files):
        yield "can be called without TLS"
    if "AUXOT_WORKER__ALLOW_PLAINTEXT" in found:
        yield "may be called without TLS"
    places = {mount["mountPath"] for mount in container.get("volumeMounts", ())}
    for path in filter(None, (*sockets, *files)):
        if path.rpartition("/")[0] not in places:
            yield f"has {path} in no volume"


def _ending(container: Document, spec: Document) -> Iterator[str]:
    grace = environment(container).get("AUXOT_WORKER__GRACE_S")
    if container["name"] == "worker" and grace is None:
        yield "does not say AUXOT_WORKER__GRACE_S, which the pod's time to end must fit"
    if grace is None:
        return
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needed = float(grace) + CLEAN_UP_S + before
    if spec.get("terminationGracePeriodSeconds", 30) < needed:
        yield f"needs {needed:g} s to end, and the pod is killed before"


def _around(deployment: Document, by_kind: Mapping[str, list[Document]]) -> Iterator[str]:
    name = deployment["metadata"]["name"]
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    if not _fits(deployment["spec"]["selector"]["matchLabels"], labels):
        yield f"{name}: its selector does not select its own pods"
    services = [one for one in by_kind.get("Service", []) if _fits(one["spec"]["selector"], labels)]
    if not services:
        yield f"{name}: no Service leads to it"
    ports = {port["name"] for one in containers(template["spec"]) for port in one.get("ports", ())}
    for service in services:
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"{name}: no container has the port {port['targetPort']}"
    if deployment["spec"]["replicas"] > 1 and not any(
        _fits(one["spec"]["selector"]["matchLabels"], labels)
        for one in by_kind.get("PodDisruptionBudget", [])
    ):
        yield f"{name}: all its pods may be evicted at once"
    yield from _network(name, labels, by_kind.get("NetworkPolicy", []))


def _network(name: str, labels: Document, policies: Sequence[Document]) -> Iterator[str]:
    ours = [
        one["spec"] for one in policies if _fits(one["spec"]["podSelector"]["matchLabels"], labels)
    ]
    if not any({"Ingress", "Egress"} <= set(policy["policyTypes"]) for policy in ours):
        yield f"{name}: its network is open"
    for policy in ours:
        blocks = [to["ipBlock"] for rule in policy.get("egress", ()) for to in _targets(rule)]
        if not all(set(block["except"]) >= NOT_FOR_PODS for block in blocks):
            yield f"{name}: its way out leads to addresses of the cloud's own services"
        for rule in (*policy.get("ingress", ()), *policy.get("egress", ())):
            if not rule.get("ports"):
                yield f"{name}: a rule of its network is open to every port"
        is_worker = labels["app.kubernetes.io/component"] == "worker"
        if is_worker and not all(rule.get("from") for rule in policy.get("ingress", ())):
            yield f"{name}: not only routers may call the worker"


def _targets(rule: Document) -> list[Document]:
    """The networks of a rule."""
    return [one for one in rule.get("to", ()) if "ipBlock" in one]


def _fits(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()
