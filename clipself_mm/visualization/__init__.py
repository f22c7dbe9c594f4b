"""Pictures of what the package does: regions of a data set, clusters of dense features."""

from .dense_clusters import cluster_dense_maps, draw_clusters, draw_dense_clusters

__all__ = ['cluster_dense_maps', 'draw_clusters', 'draw_dense_clusters']
