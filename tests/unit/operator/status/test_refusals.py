"""What the API server and the kubelet refuse, with the field to set."""

import pytest

from support.operator.world import service
from whisperfleet_operator.kube import ForbiddenError, InvalidError
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.status.references import missing_reference
from whisperfleet_operator.status.refusals import pod_refusal, refusal

REF = ChildRef("apps/v1", "Deployment", "calls-main")
FORBIDDEN = 'pods "calls-main-6d4-x" is forbidden: '


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        (
            "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
            Reason.QUOTA_EXCEEDED,
            "raise its pods, or lower replicas.max",
        ),
        (
            (
                "exceeded quota: q, requested: limits.memory=8Gi,pods=1, used: limits.memory=0, "
                "limited: limits.memory=4Gi"
            ),
            Reason.QUOTA_EXCEEDED,
            (
                "raise its limits.memory and pods, or lower spec.worker.resources.limits.memory or "
                "replicas.max"
            ),
        ),
        (
            "failed quota: q: must specify limits.memory for: worker; requests.cpu for: worker",
            Reason.POD_REFUSED,
            "set spec.worker.resources.limits.memory and spec.worker.resources.requests.cpu",
        ),
        (
            "failed quota: q: must specify memory for: worker",
            Reason.POD_REFUSED,
            "set spec.worker.resources.requests.memory",
        ),
        (
            "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            Reason.POD_REFUSED,
            "set spec.worker.resources.limits.memory to at most 1Gi",
        ),
        (
            "minimum cpu usage per Pod is 64.  No request is specified",
            Reason.POD_REFUSED,
            "set spec.worker.resources.requests.cpu to at least 64",
        ),
        (
            (
                "[maximum memory usage per Pod is 1Gi, but limit is 2Gi, minimum cpu usage per "
                "Pod is 64, but request is 100m]"
            ),
            Reason.POD_REFUSED,
            "limits.memory to at most 1Gi and spec.worker.resources.requests.cpu to at least 64",
        ),
        (
            "memory max limit to request ratio per Pod is 2, but provided ratio is 4.000000",
            Reason.POD_REFUSED,
            "the limit at most 2 times the request",
        ),
        (
            'violates PodSecurity "restricted:latest": hostPort',
            Reason.POD_REFUSED,
            "change what it names in the pool's template",
        ),
    ],
)
def test_pods_that_may_not_be_made(said: str, reason: Reason, remedy: str):
    problem = pod_refusal(FORBIDDEN + said)
    assert problem.reason is reason
    assert remedy in problem.message
    assert said in problem.message


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            ForbiddenError("create", "x", "exceeded quota: few, requested: count/deployments=1"),
            Reason.QUOTA_EXCEEDED,
            "raise its count/deployments",
        ),
        (
            ForbiddenError("apply", "x", 'User "u" cannot patch resource "deployments" in API'),
            Reason.APPLY_REFUSED,
            "upgrade the whole chart",
        ),
        (
            InvalidError("apply", "x", "spec.selector: Invalid value: field is immutable"),
            Reason.APPLY_REFUSED,
            "delete it",
        ),
        (ForbiddenError("apply", "x", "policy p says no"), Reason.APPLY_REFUSED, "the policy"),
    ],
)
def test_children_that_are_not_taken(error, reason: Reason, remedy: str):
    problem = refusal(REF, error)
    assert problem.reason is reason
    assert remedy in problem.message
    assert "Deployment calls-main" in problem.message


TOKEN = {
    "name": "TOKEN",
    "valueFrom": {"secretKeyRef": {"name": "more", "key": "token"}},
}
LEVEL = {
    "name": "LEVEL",
    "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}},
}


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        (
            'secret "more" not found',
            Reason.SECRET_MISSING,
            "the Secret more does not exist: create it, or correct the variable TOKEN in",
        ),
        (
            "couldn't find key token in Secret team-a/more",
            Reason.SECRET_MISSING,
            "the Secret more has no key token: add the key token, or correct the variable TOKEN",
        ),
        (
            'configmap "settings" not found',
            Reason.WORKERS_NOT_READY,
            "the ConfigMap settings does not exist: create it, or correct the variable LEVEL in",
        ),
        (
            "couldn't find key level in ConfigMap team-a/settings",
            Reason.WORKERS_NOT_READY,
            "add the key level",
        ),
        ('secret "else" not found', Reason.SECRET_MISSING, "correct the field that names it"),
    ],
)
def test_what_the_kubelet_does_not_find(message: str, reason: Reason, remedy: str):
    template = {"env": [TOKEN, LEVEL]}
    spec = service(pools=[{"name": "main", "replicas": {"max": 1}, "template": template}]).spec
    problem = missing_reference("calls-main-1", spec.pools[0], message)
    assert problem is not None
    assert problem.reason is reason
    assert remedy in problem.message


def test_what_is_about_something_else():
    (pool,) = service().spec.pools
    assert missing_reference("calls-main-1", pool, "failed to create containerd task") is None
