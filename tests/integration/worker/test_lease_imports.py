"""What the process that renews leases takes to start."""

import subprocess
import sys

HEAVY = {"pydantic", "numpy", "av", "ctranslate2", "prometheus_client", "urllib3", "typer", "rich"}
OF_JOBS = {"whisperfleet.contract.job", "whisperfleet.contract.result"}


def test_the_lease_process_does_without_the_models_of_the_contract():
    """Each worker waits for it; the models make half of what it would take to start."""
    script = "import sys, whisperfleet.worker.lease_process; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(found.stdout.split())
    assert "redis" in loaded
    assert (HEAVY | OF_JOBS).isdisjoint(loaded)
