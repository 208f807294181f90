"""Container images without Docker or a registry: mmdebstrap makes a base, buildah the rest.

`build("worker")` returns an archive that ``ctr images import`` and ``docker load`` take. Archives
are kept by the content of what they are made of, so an unchanged tree builds nothing. All of it
lies in one folder (`Store`); removing that folder gives the space back, and the next build a Debian
with the security updates of its day.
"""

from hack.images.build import build, build_base
from hack.images.errors import ImageError
from hack.images.recipes import OPERATOR, REDIS, WORKER, Recipe
from hack.images.store import Store

__all__ = ["OPERATOR", "REDIS", "WORKER", "ImageError", "Recipe", "Store", "build", "build_base"]
