"""Specs as people could write them, by hypothesis: as JSON, so that the models are tried with them too."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from airflow_operator.airflow.releases import RELEASES
from airflow_operator.api.config_rules import OWNED_OPTIONS, refused_variable

Json = dict[str, Any]


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def dns_label(longest: int) -> st.SearchStrategy[str]:
    """Names of at most so many characters that begin with a letter."""
    return st.from_regex(rf"[a-z]([a-z0-9-]{{0,{longest - 2}}}[a-z0-9])?", fullmatch=True)


WORD = st.sampled_from(["main", "git", "keys", "regcred", "a", "airflow-keys", "x" * 63, "v1.2"])
CLUSTER_NAME = st.one_of(st.sampled_from(["a", "demo", "x" * 63, "a-" + "9" * 61, "demo-api-server"]), dns_label(63))
NAMESPACE = st.one_of(st.sampled_from(["default", "n" * 63]), dns_label(63))
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("Cc", "Cs")), max_size=12)
LABEL_KEY = st.sampled_from(["team", "example.com/cost-centre", "zone"])

QUANTITIES = st.dictionaries(st.sampled_from(["cpu", "memory", "ephemeral-storage"]), st.sampled_from(["1", "250m", "1Gi", 2]), max_size=3)
RESOURCES = optional(requests=QUANTITIES, limits=QUANTITIES)

POD_DEFAULTS: dict[str, st.SearchStrategy[Any]] = {
    "labels": st.dictionaries(LABEL_KEY, st.sampled_from(["", "data", "x" * 63]), max_size=2),
    "annotations": st.dictionaries(LABEL_KEY, PLAIN, max_size=2),
    "nodeSelector": st.dictionaries(LABEL_KEY, st.just("a"), max_size=2),
    "tolerations": st.lists(st.just({"key": "dedicated", "operator": "Exists"}), max_size=1),
    "affinity": st.just({"nodeAffinity": {}}),
    "priorityClassName": st.just("high"),
    "topologySpreadConstraints": st.lists(
        st.just({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}),
        max_size=1,
    ),
    "podSecurityContext": st.sampled_from([{"fsGroupChangePolicy": "Always"}, {"$retainKeys": ["runAsNonRoot", "seccompProfile"]}]),
    "securityContext": st.just({"readOnlyRootFilesystem": True}),
    "resources": RESOURCES,
}


def _container(name: str, **fields: Any) -> Json:
    return {"name": name, "image": "registry.example.com/c", "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}, **fields}


SCRATCH = {"name": "own-scratch", "emptyDir": {}}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Nobody fills in what the last word leaves out."""

PATCHES: st.SearchStrategy[Json] = st.sampled_from(
    [
        {"spec": {"terminationGracePeriodSeconds": 5}},
        {"metadata": {"annotations": {"zone": "b"}}, "spec": {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["a"]}]}},
        {"spec": {"containers": [_container("own-patched", securityContext=RESTRICTED)]}},
    ]
)


POD_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    **POD_DEFAULTS,
    "initContainers": st.sampled_from([[], [_container("own-init")], [_container("own-proxy", restartPolicy="Always")]]),
    "podTemplate": PATCHES,
}
"""Each of these alone is valid, and so are all together. A list below a component replaces that of `pods`."""


def _with_volume(spec: Json) -> Json:
    """A mount has its volume."""
    return {**spec, "volumes": [SCRATCH], "volumeMounts": [{"name": "own-scratch", "mountPath": "/own"}]}


def settings(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Settings of pods with any of their fields, and of these."""
    plain = optional(**POD_SETTINGS, **fields)
    return st.one_of(plain, plain.map(_with_volume))


VARIABLE_NAME = st.one_of(
    st.sampled_from(
        ["A", "PYTHONUNBUFFERED", "EXPECT", "EXPECTED_VERSION", "ADMIN_DIR", "GITSYNC_REPO", "AIRFLOW__CORE__PARALLELISM", "PATH"],
    ),
    st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True),
).filter(lambda name: refused_variable(name) is None)

KEY_REFERENCE = st.fixed_dictionaries({"name": WORD, "key": st.sampled_from(["a", "password"])}, optional={"optional": st.booleans()})
VALUE_FROM = st.one_of(
    st.fixed_dictionaries({"secretKeyRef": KEY_REFERENCE}),
    st.fixed_dictionaries({"configMapKeyRef": KEY_REFERENCE}),
    st.just({"fieldRef": {"fieldPath": "metadata.name"}}),
)
ENV = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": VARIABLE_NAME, "value": PLAIN}),
        st.fixed_dictionaries({"name": VARIABLE_NAME, "valueFrom": VALUE_FROM}),
    ),
    max_size=4,
    unique_by=lambda variable: variable["name"],
)
WHOLE_REFERENCE = st.fixed_dictionaries({"name": WORD}, optional={"optional": st.booleans()})
ENV_FROM = st.lists(
    st.one_of(
        st.fixed_dictionaries({"secretRef": WHOLE_REFERENCE}, optional={"prefix": st.just("X_")}),
        st.fixed_dictionaries({"configMapRef": WHOLE_REFERENCE}),
    ),
    max_size=2,
)

PULL_SECRETS = st.lists(st.fixed_dictionaries({"name": WORD}), max_size=2, unique_by=lambda ref: ref["name"])
IMAGE = optional(
    repository=st.just("registry.example.com/a/b"),
    tag=st.just("v1"),
    digest=st.just("sha256:" + "a" * 64),
    pullPolicy=st.sampled_from(["Always", "Never"]),
    pullSecrets=PULL_SECRETS,
)


def _airflow_options() -> st.SearchStrategy[Json]:
    pairs = st.tuples(st.sampled_from(["core", "scheduler", "workers", "x"]), st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True))
    known = st.sampled_from([("core", "load_examples"), ("api_auth", "jwt_issuer"), ("workers", "execution_api_timeout")])
    option = st.one_of(pairs, known).filter(lambda pair: pair not in OWNED_OPTIONS)
    values = st.dictionaries(option, st.one_of(PLAIN, st.integers(0, 99), st.booleans()), max_size=4)
    return values.map(_by_section)


def _by_section(values: dict[tuple[str, str], Any]) -> Json:
    made: Json = {}
    for (section, option), value in values.items():
        made.setdefault(section, {})[option] = value
    return made


GIT_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "ref": st.sampled_from(["main", "HEAD", "v1", "0" * 40]),
    "subPath": st.sampled_from(["dags", "a/b"]),
    "period": st.sampled_from(["1s", "24h", "1m30s", "Once"]),
    "depth": st.sampled_from([0, 1]),
    "submodules": st.sampled_from(["Recursive", "Shallow", "Off"]),
}
CREDENTIALS = st.fixed_dictionaries({"name": WORD})
CA = st.sampled_from([{field: {"name": "ca", "key": "ca.crt"}} for field in ("secretKeyRef", "configMapKeyRef")])
GIT = st.one_of(
    st.fixed_dictionaries({"repo": st.just("http://git:8080/dags.git")}, optional={**GIT_FIELDS, "credentialsSecretRef": CREDENTIALS}),
    st.fixed_dictionaries(
        {"repo": st.just("https://git.example.com/a.git")}, optional={**GIT_FIELDS, "credentialsSecretRef": CREDENTIALS, "ca": CA}
    ),
    st.fixed_dictionaries(
        {"repo": st.sampled_from(["ssh://git@git:2222/a.git", "git@git:a.git"]), "credentialsSecretRef": CREDENTIALS},
        optional={**GIT_FIELDS, "knownHosts": st.sampled_from(["git ssh-ed25519 A", "a\nb\n"])},
    ),
)
BUNDLE = st.one_of(
    st.fixed_dictionaries(
        {"repo": st.just("https://git.example.com/b.git"), "delivery": st.just("Bundle")},
        optional={"subPath": st.just("dags"), "credentialsSecretRef": CREDENTIALS, "submodules": st.just("Off")},
    ),
    st.fixed_dictionaries(
        {"repo": st.just("git@git:b.git"), "delivery": st.just("Bundle"), "credentialsSecretRef": CREDENTIALS},
        optional={"knownHosts": st.just("git ssh-ed25519 A")},
    ),
)
SOURCE = st.one_of(
    st.fixed_dictionaries({"git": st.one_of(GIT, BUNDLE)}),
    st.fixed_dictionaries({"volume": st.fixed_dictionaries({"claimName": WORD}, optional={"subPath": st.just("etl")})}),
    st.just({"image": {"path": "/opt/airflow/dags"}}),
)
DAGS = st.lists(
    st.tuples(SOURCE, optional(name=st.one_of(dns_label(40), st.just("x" * 40)))).map(lambda parts: {**parts[0], **parts[1]}),
    max_size=3,
    unique_by=lambda entry: entry.get("name", "dags-folder"),
)

ACCOUNT = st.sampled_from([{}, {"name": "mine"}, {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}}])
TEMPLATES = st.lists(
    st.fixed_dictionaries({"name": dns_label(20), "podTemplate": PATCHES}), max_size=2, unique_by=lambda template: template["name"]
)
PERMISSIONS = st.lists(st.sampled_from(["Pods", "Jobs", "SparkApplications", "ArgoWorkflows"]), max_size=4)

COMPONENT = settings(
    serviceAccount=ACCOUNT,
    replicas=st.integers(0, 9),
    env=ENV,
    envFrom=ENV_FROM,
    extraContainers=st.sampled_from([[], [_container("own-side")]]),
)

SCHEDULER = st.builds(lambda spec, own: {**spec, **own}, COMPONENT, optional(drainTimeout=st.sampled_from(["30s", "1h30m", "168h"])))

POD_TEMPLATE = optional(
    metadata=optional(labels=st.dictionaries(LABEL_KEY, st.just("a"), max_size=1)),
    spec=optional(
        nodeSelector=st.dictionaries(LABEL_KEY, st.just("b"), max_size=1),
        terminationGracePeriodSeconds=st.integers(1, 900),
        containers=st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["base", "helper"]), "image": st.just("registry.example.com/c")},
                optional={
                    "env": st.lists(st.fixed_dictionaries({"name": st.just("A"), "value": PLAIN}), max_size=1),
                    "volumeMounts": st.just(
                        [{"name": "scratch", "mountPath": "/scratch"}, {"name": "logs", "mountPath": "/opt/airflow/logs"}]
                    ),
                },
            ),
            max_size=2,
            unique_by=lambda container: container["name"],
        ),
        volumes=st.just([{"name": "scratch", "emptyDir": {}}]),
    ).map(lambda spec: {**spec, "volumes": [{"name": "scratch", "emptyDir": {}}]}),
)

LOG_VOLUME = st.one_of(
    st.fixed_dictionaries({"size": st.just("1Gi")}, optional={"storageClassName": st.just("shared")}),
    st.fixed_dictionaries({"claimName": WORD}),
)
DATA_REFERENCE = st.fixed_dictionaries({"name": WORD, "key": st.sampled_from(["a", "password"])})
FILE = st.one_of(st.fixed_dictionaries({"secretKeyRef": DATA_REFERENCE}), st.fixed_dictionaries({"configMapKeyRef": DATA_REFERENCE}))
REMOTE_LOGS = st.fixed_dictionaries(
    {"url": st.sampled_from(["s3://bucket/logs", "gs://bucket", "cloudwatch://arn:aws:logs:eu-west-1:1:log-group:a"])},
    optional={"connectionId": st.just("aws_logs")},
).flatmap(lambda it: st.sampled_from([it, {**it, "connectionId": "logs", "connectionSecretRef": {"name": "logs", "key": "uri"}}]))
LOGS = st.one_of(
    st.fixed_dictionaries({"volume": LOG_VOLUME}, optional={"retention": st.sampled_from(["1h", "720h"])}),
    st.fixed_dictionaries({"remote": REMOTE_LOGS}),
)
ROLE = st.sampled_from(["Admin", "Viewer", "Data Team"])
OIDC = st.fixed_dictionaries(
    {"issuerURL": st.just("https://login.example.com/realms/a"), "clientSecretRef": st.fixed_dictionaries({"name": WORD})},
    optional={
        "name": st.just("sso"),
        "scopes": st.just(["openid", "groups"]),
        "usernameClaim": st.just("email"),
        "rolesClaim": st.just("realm_access.roles"),
        "roleMapping": st.dictionaries(PLAIN, ROLE, max_size=2),
        "defaultRole": ROLE,
    },
)
SIMPLE_USERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["ann", "bob.b", "c-1"]), "role": st.sampled_from(["viewer", "user", "op", "admin"])}),
    min_size=1,
    max_size=3,
    unique_by=lambda user: user["name"],
)
SIMPLE = st.one_of(optional(users=SIMPLE_USERS), optional(allAdmins=st.booleans()))
URL = st.sampled_from(["https://airflow.example.com", "http://10.0.0.1:8080/", "https://example.com/team-a/airflow"])
INGRESS = optional(
    className=st.just("nginx"),
    host=st.just("inner.example.com"),
    path=st.sampled_from(["/", "/inner"]),
    annotations=st.dictionaries(LABEL_KEY, PLAIN, max_size=2),
    tls=optional(secretName=WORD),
)
GATEWAY = st.fixed_dictionaries(
    {
        "parentRefs": st.lists(
            st.fixed_dictionaries({"name": WORD}, optional={"namespace": WORD, "sectionName": WORD}), min_size=1, max_size=2
        )
    },
    optional={"hostnames": st.just(["*.example.com"])},
)
NETWORK_POLICY = optional(enabled=st.booleans(), apiServerFrom=st.lists(st.just({"ipBlock": {"cidr": "10.0.0.0/8"}}), max_size=1))
ADMIN = optional(enabled=st.booleans(), secretRef=st.fixed_dictionaries({"name": WORD}))


def _brought(default: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"name": WORD}, optional={"key": st.sampled_from([default, "mine"])})


KEYS = optional(fernet=_brought("fernet-key"), apiSecret=_brought("api-secret-key"), jwt=_brought("jwt-secret"))


def _with_keys_of(spec: Json) -> Json:
    """Each Airflow has keys of its own."""
    if "keys" not in spec or not spec["version"].startswith("2."):
        return spec
    own = {"fernet": spec["keys"].get("fernet"), "webserverSecret": spec["keys"].get("apiSecret")}
    return {**spec, "keys": {name: key for name, key in own.items() if key}}


def _accessible(spec: Json) -> Json:
    """An Ingress needs a URL; simple users need Airflow 3 and one API server."""
    made = spec if "externalURL" in spec else {key: value for key, value in spec.items() if key not in ("ingress", "gateway")}
    if "simple" not in made.get("auth", {}):
        return made
    return {key: value for key, value in made.items() if key != "apiServer"} | ({"auth": {"fab": {}}} if made["version"] < "3" else {})


def _fitting(spec: Json) -> Json:
    """Settings of task pods are refused where no executor makes any, and bundles that an Airflow cannot fetch."""
    spec = _accessible(_with_keys_of(spec))
    made = spec if "KubernetesExecutor" in spec["executors"] else {key: value for key, value in spec.items() if key != "taskPods"}
    if "dags" not in spec:
        return made
    return {**made, "dags": [entry for entry in spec["dags"] if not _refused_bundle(spec["version"], entry.get("git", {}))]}


def _refused_bundle(version: str, git: Json) -> bool:
    if git.get("delivery") != "Bundle":
        return False
    over_ssh = not git["repo"].startswith(("https://", "http://"))
    return version[0] == "2" or (version[:3] == "3.0" and "credentialsSecretRef" in git) or (version[:3] == "3.1" and over_ssh)


METRICS = settings(enabled=st.booleans(), image=IMAGE, mappingsRef=FILE, serviceAccount=ACCOUNT)

CLUSTER_SPEC = st.fixed_dictionaries(
    {
        "baseRef": st.fixed_dictionaries({"name": CLUSTER_NAME}, optional={"namespace": NAMESPACE}),
        "version": st.sampled_from(sorted(RELEASES)),
        "executors": st.permutations(["KubernetesExecutor", "LocalExecutor"]).flatmap(lambda all_: st.sampled_from([all_, all_[:1]])),
    },
    optional={
        "image": IMAGE,
        "config": _airflow_options(),
        "env": ENV,
        "envFrom": ENV_FROM,
        "dags": DAGS,
        "scheduler": SCHEDULER,
        "dagProcessor": COMPONENT,
        "apiServer": COMPONENT,
        "triggerer": st.builds(lambda spec, permissions: {**spec, "permissions": permissions}, COMPONENT, PERMISSIONS),
        "serviceAccount": ACCOUNT,
        "taskPods": settings(templates=TEMPLATES, serviceAccount=ACCOUNT, permissions=PERMISSIONS, env=ENV, envFrom=ENV_FROM).flatmap(
            lambda spec: POD_TEMPLATE.map(lambda patch: {**spec, "podTemplate": patch})
        ),
        "auth": st.one_of(
            st.fixed_dictionaries({"fab": st.one_of(optional(admin=ADMIN, oidc=OIDC), optional(webserverConfigRef=FILE))}),
            st.fixed_dictionaries({"manager": st.just({"className": "a.b.Manager"})}),
            st.fixed_dictionaries({"simple": SIMPLE}),
        ),
        "logs": LOGS,
        "externalURL": URL,
        "ingress": INGRESS,
        "gateway": GATEWAY,
        "networkPolicy": NETWORK_POLICY,
        "metrics": METRICS,
        "trustedCA": FILE,
        "localSettingsRef": FILE,
        "pods": settings(),
        "gitSync": optional(image=IMAGE, resources=RESOURCES, securityContext=st.just({"readOnlyRootFilesystem": True})),
        "jobs": settings(serviceAccount=ACCOUNT),
        "keys": KEYS,
    },
).map(_fitting)

POSTGRES = optional(
    version=st.sampled_from([15, 16, 17, 18]),
    storage=optional(size=st.just("5Gi"), storageClassName=st.just("fast")),
    resources=RESOURCES,
    parameters=st.dictionaries(st.sampled_from(["max_connections", "work_mem"]), st.sampled_from(["200", 100, "4MB"]), max_size=2),
    image=IMAGE,
)
BASE_JOBS = optional(
    image=st.fixed_dictionaries({"repository": st.just("registry.example.com/operator")}, optional={"pullSecrets": PULL_SECRETS}),
    resources=RESOURCES,
)
SELECTOR = optional(
    matchLabels=st.dictionaries(LABEL_KEY, st.just("a"), max_size=2),
    matchExpressions=st.just([{"key": "team", "operator": "In", "values": ["data"]}, {"key": "zone", "operator": "Exists"}]),
)
ALLOWED = optional(
    namespaces=st.one_of(
        optional(**{"from": st.sampled_from(["Same", "All"]), "names": st.just(["team-a", "team-b"])}),
        st.fixed_dictionaries({"from": st.just("Selector"), "selector": SELECTOR}),
    ),
    adopt=st.just([{"namespace": "team-a", "uid": "0f5b"}]),
)
AUTHORITY = st.sampled_from([{"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}, {"secretKeyRef": {"name": "ca", "key": "bundle.pem"}}])
TLS = st.one_of(
    st.fixed_dictionaries({"mode": st.sampled_from(["disable", "require"])}),
    st.fixed_dictionaries({"mode": st.sampled_from(["verify-ca", "verify-full"]), "ca": AUTHORITY}),
)
MANAGED = st.fixed_dictionaries(
    {"host": st.sampled_from(["db.example.com", "10.0.0.1"]), "adminSecretRef": st.fixed_dictionaries({"name": WORD})},
    optional={"port": st.integers(1, 65535), "tls": TLS, "adminDatabase": st.just("defaultdb"), "engine": st.just("postgresql")},
)
UNMANAGED = st.fixed_dictionaries({"host": st.just("db"), "provisioning": st.just("None")}, optional={"tls": TLS})
BROUGHT_DATABASE = st.fixed_dictionaries(
    {"name": st.sampled_from(["airflow", "A-b.c_1"]), "credentialsSecretRef": st.fixed_dictionaries({"name": WORD})}
)


def base_spec(database: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """A base on one kind of server."""
    return st.fixed_dictionaries(
        {"database": database}, optional={"pods": optional(**POD_DEFAULTS), "jobs": BASE_JOBS, "allowedClusters": ALLOWED}
    )


MAKES_DATABASES = st.one_of(st.fixed_dictionaries({"postgres": POSTGRES}), st.fixed_dictionaries({"external": MANAGED}))
BASE_SPEC = base_spec(MAKES_DATABASES)


def resource(kind: str, name: str, namespace: str, spec: Json) -> Json:
    """A whole resource."""
    return {
        "apiVersion": "airflow-operator.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


@st.composite
def deployments(draw: st.DrawFn) -> list[Json]:
    """A base and a cluster on it, both valid."""
    namespace, spec = draw(NAMESPACE), draw(CLUSTER_SPEC)
    brings = draw(st.booleans())
    server = draw(base_spec(st.fixed_dictionaries({"external": UNMANAGED})) if brings else BASE_SPEC)
    if brings:
        spec = {**spec, "database": draw(BROUGHT_DATABASE)}
    base = resource("AirflowBase", spec["baseRef"]["name"], namespace, server)
    return [base, resource("AirflowCluster", draw(CLUSTER_NAME), namespace, spec)]
