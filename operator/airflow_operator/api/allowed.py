"""Who may use an AirflowBase, in the words of the Gateway API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from airflow_operator.api.cel import Cel
from airflow_operator.api.common import Atomic, LabelValue, ListMap, Model

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]

_VALUES = Cel(
    rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    message="In and NotIn need values; Exists and DoesNotExist take none",
    check=lambda it: (it.operator in ("In", "NotIn")) == bool(it.values),
)


class LabelExpression(Model):
    """One requirement of a label selector."""

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label relates to the values.")
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64), Atomic()] = Field(default=(), description="Values of In and NotIn.")

    rules = (_VALUES,)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet it, as Kubernetes reads it: a missing label is in no list."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


class LabelSelector(Model):
    """A label selector; every requirement must be met, and an empty one fits everything."""

    match_labels: Annotated[Mapping[str, LabelValue], Field(max_length=32)] = Field(
        default_factory=dict, description="Labels that must have exactly these values."
    )
    match_expressions: Annotated[tuple[LabelExpression, ...], Field(max_length=32), Atomic()] = Field(
        default=(), description="Further requirements."
    )

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet every requirement."""
        plain = all(labels.get(key) == value for key, value in self.match_labels.items())
        return plain and all(expression.fits(labels) for expression in self.match_expressions)


class AllowedNamespaces(Model):
    """Namespaces whose AirflowClusters may use the base."""

    from_: Literal["Same", "All", "Selector"] = Field(
        default="Same",
        alias="from",
        description="Same: the namespace of the base. All: every namespace. Selector: those that selector fits.",
    )
    selector: LabelSelector | None = Field(default=None, description="Labels of the namespaces, with from: Selector.")
    names: Annotated[tuple[NamespaceName, ...], Field(max_length=256), Atomic()] = Field(
        default=(), description="Names of namespaces that may use it too, whatever `from` says."
    )

    rules = (
        Cel(
            rule="has(self.selector) == (has(self.from) && self.from == 'Selector')",
            message="set selector with from: Selector, and only then",
            check=lambda it: (it.selector is not None) == (it.from_ == "Selector"),
            field_path=".selector",
        ),
    )

    def admit(self, namespace: str, labels: Mapping[str, str], *, own: str) -> bool:
        """Whether clusters of a namespace with these labels may use a base whose own namespace is `own`."""
        if namespace in self.names or self.from_ == "All":
            return True
        return self.selector.fits(labels) if self.selector else namespace == own


class Adoption(Model):
    """A namespace that was deleted and made again, whose clusters may have the databases that its earlier ones left."""

    namespace: NamespaceName = Field(description="Name of the namespace.")
    uid: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="metadata.uid of the new namespace, so that the approval is for this one and for no later one."
    )


class AllowedClusters(Model):
    """AirflowClusters that may use the base."""

    namespaces: AllowedNamespaces = Field(default=AllowedNamespaces(), description="Where they may be.")
    adopt: Annotated[tuple[Adoption, ...], Field(max_length=256), ListMap("namespace")] = Field(
        default=(),
        description="Namespaces that were deleted and made again and may have the databases and keys of their earlier clusters. "
        "Until a namespace stands here with its new UID, its clusters wait with the reason OwnershipConflict.",
    )

    def adopts(self, namespace: str, uid: str) -> bool:
        """Whether the namespace with this UID may have what an earlier one of its name left."""
        return any((entry.namespace, entry.uid) == (namespace, uid) for entry in self.adopt)
