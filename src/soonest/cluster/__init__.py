"""Work over a Ray cluster: the same tasks and the same results, wherever they are made."""

from soonest.cluster.cluster import LOCAL, Cluster, imported_ray, joined

__all__ = ["LOCAL", "Cluster", "imported_ray", "joined"]
