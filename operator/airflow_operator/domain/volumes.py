"""What a pod's volume shows."""

from __future__ import annotations

from airflow_operator.domain.manifest import Live, dig


def config_maps_of(volume: Live) -> list[str]:
    """The ConfigMaps that a volume shows."""
    sources = [volume, *dig(volume, "projected", "sources", default=[])]
    return [name for source in sources if (name := dig(source, "configMap", "name"))]
