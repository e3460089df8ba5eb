"""Container images for the native cluster, built on this host from package registries alone.

`python -m devcluster.images build [NAME...]` and `python -m devcluster.images list`.
"""

from devcluster.images.builder import build
from devcluster.images.catalog import DEFAULT, IMAGES, Image

__all__ = ["DEFAULT", "IMAGES", "Image", "build"]
