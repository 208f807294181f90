"""What the operator asks of the Kubernetes API."""

from typing import Any, Protocol

from whisperfleet_operator.kube.kinds import Kind

__all__ = ["Kube", "Object"]

Object = dict[str, Any]


class Kube(Protocol):
    """The verbs. Each may raise any `KubeError`; all may be called from any thread."""

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Return one object. Raises NotFoundError where there is none."""

    def list(self, kind: Kind, namespace: str | None, selector: str) -> list[Object]:
        """Return the objects with the labels of `selector`; `namespace` None means all."""

    def create(self, obj: Object, manager: str) -> Object:
        """Create an object as `manager`. Raises AlreadyExistsError where the name is taken."""

    def apply(self, obj: Object, manager: str) -> Object:
        """Create or change an object so that it has these fields, which `manager` then owns.

        Server-side apply, forced: what others own beside them stays; what `manager` owned and no
        longer names goes. An object with a `metadata.uid` is never created: raises
        AlreadyExistsError where there is none, InvalidError where there is another one. One with a
        `metadata.resourceVersion` too is changed only if it is still that: else AlreadyExistsError.
        """

    def patch_status(self, kind: Kind, namespace: str, name: str, status: Object) -> Object:
        """Merge `status` into the object's; a list in it replaces the whole list."""

    def scale(self, obj: Object, replicas: int, manager: str) -> None:
        """Ask for so many replicas of an object, by its scale subresource, as `manager`.

        Raises AlreadyExistsError where the object is no longer as it was seen in `obj`.
        """

    def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object if it is still the one with `uid`; one that is gone is no error."""

    def read(self, path: str) -> Object:
        """Return the JSON document at an address of the server that is no object."""
