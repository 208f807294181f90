"""What happens where there is no cluster to be had; needs none itself."""

import os
from pathlib import Path

import pytest

from cluster.clusters import KUBECONFIG_VARIABLE, any_cluster


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without a kubeconfig, without kind, and for somebody who is not root."""
    for variable in (KUBECONFIG_VARIABLE, "REQUIRE_CLUSTER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return monkeypatch


@pytest.mark.usefixtures("nowhere")
def test_without_a_cluster_tests_are_skipped_with_the_remedy(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        pytest.raises(pytest.skip.Exception, match=f"no cluster: set {KUBECONFIG_VARIABLE}, "),
        any_cluster(request, tmp_path),
    ):
        pass


def test_where_a_cluster_is_required_tests_fail_without_one(
    nowhere: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    nowhere.setenv("REQUIRE_CLUSTER", "1")
    with (
        pytest.raises(pytest.fail.Exception, match="REQUIRE_CLUSTER=1, but no cluster"),
        any_cluster(request, tmp_path),
    ):
        pass
