"""Every reason that a condition or an event can have, with what to do about it: for `airflow-operator status` and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Advice(NamedTuple):
    """What a reason means, and what a person does about it; nothing where it goes on by itself."""

    meaning: str
    todo: str = ""


_AGAIN = "It is tried again by itself once the cause is gone"

WELL: Mapping[str, Advice] = {
    "Applied": Advice("The API server takes every object."),
    "Answers": Advice("The external database server answered when it was last asked."),
    "AsExpected": Advice("Nothing is wrong."),
    "Available": Advice("Every pod of the component is ready."),
    "Found": Advice("What the spec refers to is there."),
    "Healthy": Advice("Airflow says that it is healthy."),
    "Provisioned": Advice("Database and role are there."),
    "Ready": Advice("The declared state is the running state."),
    "ScaledToZero": Advice("The component has no pods, as declared.", "Raise its `replicas` where that is not meant."),
    "Settled": Advice("Nothing is under way."),
    "Shared": Advice("Every pod that reads DAGs can mount their volumes."),
    "Synced": Advice("git-sync has the commits that `status.dags` names."),
    "Valid": Advice("The spec can be carried out."),
    "UpToDate": Advice("The database has the schema of the image."),
    "Accepted": Advice("Every Gateway has taken the route."),
    "Remote": Advice("Task logs are kept in a store outside of the cluster."),
    "Volume": Advice("Task logs are kept on a volume."),
    "NotConfigured": Advice("The log of a task is gone with its pod.", "Set `spec.logs` to keep task logs."),
    "Paused": Advice("`spec.paused` is true: the operator changes nothing.", "Set `spec.paused` to false to go on."),
}

UNDER_WAY: Mapping[str, Advice] = {
    "Asking": Advice("A Job asks the external database server whether it answers."),
    "BaseNotReady": Advice("The base's database server does not answer yet.", "If it lasts, look at the conditions of the AirflowBase."),
    "Checking": Advice("A Job compares the database's schema with the image's."),
    "Creating": Advice("A Job makes the administrator."),
    "Migrating": Advice("A Job migrates the database; it is waited for, however long it takes."),
    "NotAsked": Advice("Airflow's health endpoint has not answered yet."),
    "NotCreated": Advice("The component has not been created yet."),
    "Provisioning": Advice("A Job makes, or looks at, database and role."),
    "RollingOut": Advice("Old pods are being replaced."),
    "Starting": Advice("Not every pod is ready yet.", "If it lasts, `kubectl describe pod` says what the pod waits for."),
    "Stopping": Advice("Airflow is being stopped for a migration."),
    "Syncing": Advice("The repository has not been fetched yet."),
    "Terminating": Advice("An object of that name is being deleted; it is made anew when it is gone."),
    "WaitingForBase": Advice("The database is made once the base is ready."),
    "WaitingForGateway": Advice("Not every Gateway has taken the route yet.", "If it lasts, look at the Gateway and its controller."),
    "WaitingForTurn": Advice("The component is changed once the components before it are."),
}

MISSING: Mapping[str, Advice] = {
    "BaseNotFound": Advice("`spec.baseRef` names a base that does not exist.", "Create the AirflowBase, or correct the name."),
    "BaseNotAllowed": Advice(
        "The base does not allow clusters of this namespace. What runs goes on, but nothing is changed.",
        "Have the base's owner name the namespace in `spec.allowedClusters.namespaces` of the base.",
    ),
    "BaseNotReadable": Advice(
        "The operator may not look into the namespace of the base.", "Have it serve that namespace too, or use a base in another one."
    ),
    "CertificateMalformed": Advice("The certificates that a base names are none.", "Put certificates in PEM there."),
    "NotGranted": Advice(
        "The operator serves namespaces that opt in, and this one was not granted to it.",
        "Have the namespace's administrator run the command that the message prints.",
    ),
    "BaseTerminating": Advice("The base is being deleted.", "Wait until it is gone and create it anew, or use another base."),
    "SecretNotFound": Advice("A field names a Secret that does not exist.", "Create it in the namespace of the resource."),
    "ConfigMapNotFound": Advice("A field names a ConfigMap that does not exist.", "Create it in the namespace of the resource."),
    "PersistentVolumeClaimNotFound": Advice("A field names a claim that does not exist.", "Create it in the namespace of the resource."),
    "ServiceAccountNotFound": Advice(
        "A field names a ServiceAccount that does not exist.", "Create it in the namespace of the resource, or correct the name."
    ),
    "ClaimNotShared": Advice(
        "The claim can be mounted by one pod only, and more need it.", "Use a claim with ReadWriteMany or ReadOnlyMany, or fewer pods."
    ),
    "SecretMalformed": Advice("A Secret has not what its use needs.", "Put in what the message names."),
    "GatewayApiMissing": Advice(
        "`spec.gateway` needs the CRDs of the Gateway API, which are not installed.", "Install them, or use `spec.ingress`."
    ),
    "KeyNotFound": Advice("A field names a key that the Secret or ConfigMap has not.", "Add the key, or name another one."),
}

SPEC: Mapping[str, Advice] = {
    "InvalidSpec": Advice("The spec cannot be honoured; what runs stays.", "Change the field that the message names."),
    "OwnedSetting": Advice("`envFrom` brings in a variable that the operator sets.", "Take the key out of the Secret or ConfigMap."),
    "NameConflict": Advice(
        "An object that is not the operator's has a name that it needs.", "Delete or rename that object, or name the resource differently."
    ),
    "Refused": Advice("The API server refuses an object by dry run; nothing was written.", "Correct the field that its words name."),
    "Forbidden": Advice(
        "The API server forbids a request: RBAC, a quota, Pod Security or a webhook.",
        "Its words say which: lift the quota, correct the policy or apply the operator's install anew.",
    ),
    "Invalid": Advice("The API server refuses an object.", "Correct the part of the spec that its words name."),
    "NotFound": Advice("The API server does not know the kind or the namespace of an object.", "Install what provides it."),
    "StorageCannotGrow": Advice("The volume cannot take the size that is asked for.", "Use a StorageClass that allows expansion."),
}

DATABASE: Mapping[str, Advice] = {
    "ProvisioningFailed": Advice("Database or role could not be made.", f"{_AGAIN}; the message has the Job's last words."),
    "Unsupported": Advice("The database server is too old.", "Use PostgreSQL 13 or newer."),
    "OwnershipConflict": Advice(
        "The database belongs to another cluster, or to one of a namespace of the same name that is gone.",
        "Where the message says so, the base's owner approves of the new namespace in `spec.allowedClusters.adopt`; "
        "else name the cluster differently.",
    ),
    "KeyLost": Advice(
        "The database exists, but its keys and their copy are gone; nothing is generated in their place.",
        "Put the Secret `NAME-keys` back from a backup.",
    ),
    "KeyMalformed": Advice("A Secret with keys cannot be used.", "Put the right value back; the message names the member."),
    "KeyMismatch": Advice(
        "Keys and database, or keys and their copy, do not belong together.", "Put the Secret that fits back, or delete the wrong one."
    ),
    "PasswordLost": Advice("An event: the embedded server's password was gone and was set anew, with one restart of the server."),
    "MigrationFailed": Advice("A migration failed.", f"{_AGAIN}; the message has the Job's last words."),
    "CheckFailed": Advice("The schema could not be read.", f"{_AGAIN}; the message has the Job's last words."),
    "DatabaseUnreachable": Advice(
        "The external database server did not answer, or refused.", "The message has its words; it is asked again by itself."
    ),
    "UnknownRevision": Advice("The database has a schema that the image does not know.", "Go back to the image that made it, or a newer."),
    "WrongVersion": Advice("The image holds another version of Airflow than `spec.version`.", "Correct `spec.version` or `spec.image`."),
    "Failed": Advice("The administrator could not be made.", f"{_AGAIN}; the message has the Job's last words."),
}

COMPONENTS: Mapping[str, Advice] = {
    "ImageCannotBePulled": Advice("An image cannot be pulled; old pods keep running.", "Correct the image, or `pullSecrets`."),
    "ContainerCannotStart": Advice("A container cannot be started.", "The message has the node's words: often a Secret, key or command."),
    "ContainerCrashes": Advice("A container ends again and again.", "The message has its last words; `kubectl logs --previous` has more."),
    "Unschedulable": Advice("No node takes the pod.", "Lower its requests, add nodes, or change where it may run."),
    "PodRefused": Advice("The API server refuses pods: a quota or Pod Security.", "Lift the quota, or change what its words name."),
    "OneNodeOnly": Advice(
        "The claim can be mounted on one node only: advice, no fault.", "On several nodes use a claim with ReadWriteMany or ReadOnlyMany."
    ),
    "DagSourceRemoved": Advice("An event: an entry left `spec.dags`; its DAGs go, and their history stays."),
    "GitSyncFailed": Advice(
        "git-sync cannot fetch; the last good DAGs stay, and new task pods wait.",
        "Correct repository, ref or credentials: the message has git-sync's words.",
    ),
    "NotAccepted": Advice(
        "A Gateway does not take the route to the API server.", "Its controller's words say why: often the Gateway's `allowedRoutes`."
    ),
    "Unhealthy": Advice("Airflow says that a component is not healthy.", "Look at the log of the component that the message names."),
    "Unreachable": Advice(
        "Airflow's health endpoint does not answer the operator.",
        "Look at the API server's pods; a NetworkPolicy must let the operator's namespace in.",
    ),
    "InternalError": Advice("The operator failed; what runs stays.", "Report it with the operator's log: it is a bug."),
}

DELETION: Mapping[str, Advice] = {
    "InUse": Advice("The base has clusters and waits for them to go.", "Delete the AirflowClusters that the message names."),
    "InUseUnknown": Advice(
        "In the operator's log: whether the base has clusters cannot be told, so it stays.",
        "Give the operator the right that the line names; an outage of the API server ends by itself.",
    ),
    "DatabaseLeft": Advice("An event: the database could not be dropped and is left.", "Drop it by hand where it is not wanted."),
    "CleanUpGivenUp": Advice("An event: the clean-up failed for too long, and the resource was let go.", "Remove by hand what is left."),
}

GROUPS: Mapping[str, Mapping[str, Advice]] = {
    "Something that the spec names is missing": MISSING,
    "The spec, or an object, is refused": SPEC,
    "Database, keys and schema": DATABASE,
    "Components and DAGs": COMPONENTS,
    "Deletion": DELETION,
    "Under way": UNDER_WAY,
    "As it should be": WELL,
}
"""By what a person is looking for, in that order."""

ADVICE: Mapping[str, Advice] = {reason: advice for group in GROUPS.values() for reason, advice in group.items()}

CONDITIONS: Mapping[str, str] = {
    "Ready": "the declared state is the running state, and Airflow itself says that it is healthy",
    "Progressing": "something is under way that needs nobody",
    "Degraded": "something is wrong that does not heal by itself soon",
    "SpecValid": "the spec can be honoured",
    "AccessGranted": "(told when false) the operator may act in the namespaces of the resource and of its base",
    "ReferencesResolved": "all that the spec names is there",
    "ObjectsApplied": "the API server takes all objects",
    "Reconciled": "(told when false) the operator got through without a failure of its own",
    "Paused": "`spec.paused` is true, and nothing is changed",
    "BaseReady": "the base's database server answers",
    "KeysAvailable": "the cluster's keys are there and fit",
    "DatabaseReady": "the cluster's own database and role are there",
    "MigrationsApplied": "the database has the schema of the image",
    "AdminUserReady": "the administrator can log in",
    "ApiServerAvailable": "all pods of the API server run the declared state",
    "SchedulersAvailable": "all schedulers run the declared state",
    "DagProcessorAvailable": "all pods of the dag-processor run the declared state",
    "TriggererAvailable": "all triggerers run the declared state",
    "MetricsAvailable": "(with `spec.metrics`) the StatsD exporter runs the declared state",
    "DagsSynced": "git-sync has the repository; `status.dags` names the commit",
    "DagVolumesShared": "every pod that reads DAGs can mount their volumes; advice, no fault",
    "GatewayAvailable": "the Gateways of `spec.gateway` have taken the route",
    "Healthy": "Airflow's own health endpoint says so of every component",
    "TaskLogsPersistent": "task logs outlive their pods (`spec.logs`); advice, no fault",
    "PasswordAvailable": "(AirflowBase, told when false) the superuser's password is there",
    "DatabaseAvailable": "(AirflowBase) the database server's pod is ready, or an external server answered when it was last asked",
    "InUse": "(AirflowBase that is being deleted) clusters still use it",
}
"""What it means that a condition is true."""

INVERTED = frozenset({"Degraded", "Progressing", "Paused", "InUse"})
"""Conditions that are at rest when they are False."""
