"""The interface over the `kubernetes` client: its transport and its logins, none of its models.

Models, and the imports behind them, are most of what the client weighs; plain JSON needs none.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import load_kube_config

from whisperfleet.errors import ConfigurationError
from whisperfleet_operator import metrics
from whisperfleet_operator.kube.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    ServerError,
    UnavailableError,
)
from whisperfleet_operator.kube.interface import Object
from whisperfleet_operator.kube.kinds import Kind, kind_of

__all__ = ["ApiKube", "load_configuration"]

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 20.0

_ERRORS: Mapping[int, type[KubeError]] = {
    400: InvalidError,
    403: ForbiddenError,
    404: NotFoundError,
    409: AlreadyExistsError,
    413: InvalidError,
    422: InvalidError,
    429: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
# An apply with a field that the schema does not know is answered as if the server were at fault.
_UNTYPED = "failed to create typed patch object"


def load_configuration(connections: int) -> Configuration:
    """Return how to reach the API server: the pod's service account, else the kubeconfig.

    `connections` is how many calls may run at once. Raises ConfigurationError where there is
    neither.
    """
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        try:
            load_kube_config(client_configuration=configuration)
        except ConfigException as error:
            raise ConfigurationError(
                "neither a service account nor a kubeconfig tells where the API server is: run in "
                f"a pod, or set KUBECONFIG ({error})"
            ) from error
    configuration.connection_pool_maxsize = connections
    # A repeated POST is a second object: who calls decides what may be tried again.
    configuration.retries = False
    return configuration


class ApiKube:
    """`Kube` against a real API server."""

    def __init__(self, configuration: Configuration) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = "whisperfleet-operator"

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """See `Kube.get`."""
        return self._call("get", "GET", kind.path(namespace, name))

    def list(self, kind: Kind, namespace: str | None, selector: str) -> list[Object]:
        """See `Kube.list`."""
        query = {"labelSelector": selector}
        items: list[Object] = self._call("list", "GET", kind.path(namespace), query)["items"]
        # The API server leaves both out of the items of a list.
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in items]

    def create(self, obj: Object, manager: str) -> Object:
        """See `Kube.create`."""
        path = kind_of(obj).path(obj["metadata"].get("namespace"))
        return self._call("create", "POST", path, {"fieldManager": manager}, obj)

    def apply(self, obj: Object, manager: str) -> Object:
        """See `Kube.apply`."""
        metadata = obj["metadata"]
        path = kind_of(obj).path(metadata.get("namespace"), metadata["name"])
        query = {"fieldManager": manager, "force": "true"}
        return self._call("apply", "PATCH", path, query, obj, "application/apply-patch+yaml")

    def patch_status(self, kind: Kind, namespace: str, name: str, status: Object) -> Object:
        """See `Kube.patch_status`."""
        path = kind.path(namespace, name) + "/status"
        body = {"status": status}
        media_type = "application/merge-patch+json"
        return self._call("patch_status", "PATCH", path, {}, body, media_type)

    def scale(self, obj: Object, replicas: int, manager: str) -> None:
        """See `Kube.scale`."""
        metadata = obj["metadata"]
        path = kind_of(obj).path(metadata["namespace"], metadata["name"]) + "/scale"
        # The scale has the version of its object.
        seen = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        body = {"metadata": seen, "spec": {"replicas": replicas}}
        media_type = "application/merge-patch+json"
        self._call("scale", "PATCH", path, {"fieldManager": manager}, body, media_type)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """See `Kube.delete`."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            self._call("delete", "DELETE", kind.path(namespace, name), {}, body)
        except NotFoundError:
            return

    def read(self, path: str) -> Object:
        """See `Kube.read`."""
        return self._call("read", "GET", path)

    def _call(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        media_type: str = "application/json",
    ) -> Object:
        try:
            answer = self._answer(method, path, query, body, media_type)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            metrics.api_calls.labels(verb, "unreachable").inc()
            raise UnavailableError(
                verb, path, f"the API server does not answer ({_sentence(error)})"
            ) from error
        metrics.api_calls.labels(verb, str(answer.status)).inc()
        document: Object = answer.document
        if answer.status >= 300:
            raise _error(verb, path, answer.status, document)
        return document

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        media_type: str,
    ) -> "_Answer":
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = media_type
        address = f"{path}?{urlencode(query)}" if query else path
        request = self._client.param_serialize(
            method, address, header_params=headers, auth_settings=["BearerToken"]
        )
        response = self._client.call_api(
            *request[:3],
            body=body,
            _request_timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
        )
        data: bytes = response.read()
        return _Answer(response.status, _document(data))


class _Answer:
    __slots__ = ("document", "status")

    def __init__(self, status: int, document: Object) -> None:
        self.status = status
        self.document = document


def _document(data: bytes) -> Object:
    try:
        document: Any = json.loads(data)
    except ValueError:
        # A proxy on the way answers in prose.
        return {"message": data[:200].decode("utf-8", "replace")}
    return document if isinstance(document, dict) else {"message": str(document)[:200]}


def _error(verb: str, path: str, status: int, document: Object) -> KubeError:
    reason = str(document.get("message") or f"status {status}")
    kind = InvalidError if _UNTYPED in reason else _ERRORS.get(status, ServerError)
    return kind(verb, path, reason)


def _sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
