"""The real client keeps the same contract as the fake."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes.client import Configuration
from kubernetes.config.kube_config import load_kube_config

from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube as Cluster
from support.operator.kube_contract import RealKubeContract
from whisperfleet_operator.kube import ForbiddenError, UnavailableError
from whisperfleet_operator.kube.client import ApiKube
from whisperfleet_operator.kube.kinds import NAMESPACE, SECRET

pytestmark = pytest.mark.cluster


def _connect(kubeconfig: Path) -> ApiKube:
    configuration = Configuration()
    load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    configuration.retries = False
    return ApiKube(configuration)


class TestApiKube(RealKubeContract):
    @pytest.fixture(name="kube")
    def connection(self, kube: Cluster) -> ApiKube:
        return _connect(kube.kubeconfig)

    @pytest.fixture
    def namespace(self, request: pytest.FixtureRequest) -> Iterator[str]:
        request.getfixturevalue("account")
        cluster = request.getfixturevalue("cluster").kube
        with own_namespace(cluster, f"test-{uuid.uuid4().hex[:8]}") as name:
            yield name


def test_the_operators_account_may_read_one_namespace_and_no_secret_of_it(account: Path):
    kube = _connect(account)
    assert kube.get(NAMESPACE, None, "kube-system")["metadata"]["uid"]
    with pytest.raises(ForbiddenError):
        kube.get(NAMESPACE, None, "default")
    with pytest.raises(ForbiddenError):
        kube.list(SECRET, "kube-system", "")


def test_a_server_that_does_not_answer_is_said_to(account: Path, tmp_path: Path):
    config = yaml.safe_load(account.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    with pytest.raises(UnavailableError, match="does not answer"):
        _connect(kubeconfig).get(NAMESPACE, None, "kube-system")
