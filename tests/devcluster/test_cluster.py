"""Smoke test of the cluster itself: what the operator's tests take for granted."""

import json
import subprocess
import uuid
from collections.abc import Callable

import pytest
import yaml

from devcluster import images_builtin
from devcluster.images_builtin import BUSYBOX_IMAGE
from devcluster.processes import wait_until

pytestmark = pytest.mark.cluster

WAIT = "90s"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 50000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Namespace:
    """kubectl in one namespace."""

    def __init__(self, cluster, name):
        self._command = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}"]
        self.name = name

    def __call__(self, *args, input=None, check=True):
        command = [*self._command, f"--namespace={self.name}", *args]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args[:4])}: {done.stderr.strip()}")
        return done

    def apply(self, *manifests, check=True):
        return self("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(manifests), check=check)

    def run(self, name, script):
        """A pod's output when it has run to its end."""
        self.apply(pod(name, script, restart="Never"))
        self("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={WAIT}")
        return self("logs", name).stdout


@pytest.fixture(scope="module")
def smoke(cluster, tmp_path_factory):
    cluster.load_image(images_builtin.busybox(tmp_path_factory.mktemp("image") / "busybox.tar"))
    namespace = Namespace(cluster, f"smoke-{uuid.uuid4().hex[:8]}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": labels}})
    yield namespace
    namespace("delete", "namespace", namespace.name, "--wait=false")


def pod(name, script, claim=None, restart="Always", security=RESTRICTED, labels=None):
    container = {"name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script], "imagePullPolicy": "Never"}
    container["securityContext"] = security
    spec = {"containers": [container], "restartPolicy": restart, "terminationGracePeriodSeconds": 1}
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def claim(name, mode="ReadWriteMany"):
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def web(smoke):
    """A Service `web` before one pod that answers with its own name."""
    script = "mkdir /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
    template = pod("web", script, labels={"app": "web"})
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]},
        },
    }
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    smoke.apply(deployment, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service})
    smoke("rollout", "status", "deployment/web", f"--timeout={WAIT}")
    name = smoke("get", "pods", "--selector=app=web", "--output=jsonpath={.items[0].metadata.name}").stdout
    eventually(lambda: smoke("exec", name, "--", "wget", "-qO-", "http://web", check=False).returncode == 0)
    return name


def eventually(condition: Callable[[], bool]):
    wait_until(condition, 60, lambda: "the condition did not come true in a minute")


def test_a_service_is_reached_by_its_short_and_its_full_name(smoke, web):
    said = smoke.run("client", f"wget -qO- http://web && wget -qO- http://web.{smoke.name}.svc.cluster.local")
    assert said.split() == [web, web]


def test_a_pod_reaches_itself_through_its_service(smoke, web):
    assert smoke("exec", web, "--", "wget", "-qO-", "http://web").stdout.strip() == web


def test_the_api_server_is_reached_by_its_service(smoke, web):
    assert smoke("exec", web, "--", "sh", "-c", "echo | nc -w 5 kubernetes.default.svc 443").returncode == 0


def test_a_pods_token_is_that_of_its_account(smoke, web):
    token = smoke("exec", web, "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token").stdout
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = smoke("create", "--output=json", "-f", "-", input=yaml.safe_dump(review)).stdout
    assert json.loads(answer)["status"]["user"]["username"] == f"system:serviceaccount:{smoke.name}:default"


def test_exec_runs_as_the_pods_user_and_returns_the_exit_code(smoke, web):
    assert smoke("exec", web, "--", "id", "-u").stdout.strip() == "50000"
    assert smoke("exec", web, "--", "sh", "-c", "exit 7", check=False).returncode == 7


def test_two_pods_that_are_not_root_share_a_volume(smoke):
    script = "echo $HOSTNAME > /data/$HOSTNAME; exec sleep 600"
    smoke.apply(claim("shared"), *(pod(name, script, claim="shared") for name in ("left", "right")))
    smoke("wait", "pod/left", "pod/right", "--for=condition=Ready", f"--timeout={WAIT}")
    eventually(lambda: smoke("exec", "left", "--", "cat", "/data/right", check=False).stdout.strip() == "right")
    eventually(lambda: smoke("exec", "right", "--", "cat", "/data/left", check=False).stdout.strip() == "left")


def test_a_volume_waits_for_its_first_pod_and_goes_with_its_claim(smoke):
    smoke.apply(claim("late", "ReadWriteOnce"))
    eventually(lambda: "WaitForFirstConsumer" in smoke("describe", "pvc", "late").stdout)
    assert smoke("get", "pvc", "late", "--output=jsonpath={.status.phase}").stdout == "Pending"
    smoke.apply(pod("first", "exec sleep 600", claim="late"))
    smoke("wait", "pod/first", "--for=condition=Ready", f"--timeout={WAIT}")
    volume = smoke("get", "pvc", "late", "--output=jsonpath={.spec.volumeName}").stdout
    smoke("delete", "pod/first", "pvc/late", f"--timeout={WAIT}")
    smoke("wait", f"pv/{volume}", "--for=delete", f"--timeout={WAIT}")


def test_pod_security_admission_refuses_what_is_not_restricted(smoke):
    refused = smoke.apply(pod("too-free", "true", security={}), check=False)
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted' in refused.stderr
    assert smoke("get", "pod", "too-free", "--ignore-not-found").stdout == ""


def test_a_memory_limit_ends_a_greedy_container(smoke):
    greedy = pod("greedy", "exec tail -c 64m /dev/zero", restart="Never")
    greedy["spec"]["containers"][0]["resources"] = {"limits": {"memory": "16Mi"}}
    smoke.apply(greedy)
    smoke("wait", "pod/greedy", "--for=jsonpath={.status.phase}=Failed", f"--timeout={WAIT}")
    state = json.loads(smoke("get", "pod", "greedy", "--output=json").stdout)["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["reason"] == "OOMKilled"


@pytest.fixture(scope="module")
def crd(smoke):
    """A CRD with a rule in CEL, of a group that nobody else has."""
    group = f"{smoke.name}.example"
    replicas = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "replicas may only grow"}]}
    spec = {"type": "object", "properties": {"replicas": replicas}}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Thing", "plural": "things", "singular": "thing"}
    smoke.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"things.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )
    smoke("wait", f"crd/things.{group}", "--for=condition=Established", f"--timeout={WAIT}")
    yield f"{group}/v1"
    smoke("delete", "crd", f"things.{group}", "--wait=false")


def test_a_rule_in_cel_refuses_a_change_with_its_sentence(smoke, crd):
    def thing(replicas):
        return {"apiVersion": crd, "kind": "Thing", "metadata": {"name": "one"}, "spec": {"replicas": replicas}}

    eventually(lambda: smoke.apply(thing(2), check=False).returncode == 0)
    refused = smoke.apply(thing(1), check=False)
    assert refused.returncode != 0
    assert "replicas may only grow" in refused.stderr


def test_server_side_apply_knows_who_owns_a_field(smoke):
    def config(value):
        return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"key": value}})

    smoke("apply", "--server-side", "--field-manager=first", "-f", "-", input=config("one"))
    refused = smoke("apply", "--server-side", "--field-manager=second", "-f", "-", input=config("two"), check=False)
    assert refused.returncode != 0
    assert 'conflict with "first"' in refused.stderr
    smoke("apply", "--server-side", "--field-manager=second", "--force-conflicts", "-f", "-", input=config("two"))
    assert smoke("get", "configmap", "owned", "--output=jsonpath={.data.key}").stdout == "two"
