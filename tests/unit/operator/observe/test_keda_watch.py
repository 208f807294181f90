"""Whether KEDA is there: a server that has just started does not know at once."""

import pytest

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import KEDA_INDEX, KEDA_SCHEMA, keda_schema
from whisperfleet_operator.kube import UnavailableError
from whisperfleet_operator.observe import Keda, KedaWatch

NOTHING = {"/openapi/v3": {"paths": {}}}
DISCOVERY = {
    "/apis/keda.sh/v1alpha1": {
        "resources": [{"kind": "ScaledObject"}, {"kind": "TriggerAuthentication"}]
    }
}


class Watched:
    def __init__(self) -> None:
        self.kube = FakeKube()
        self.kube.documents = {**KEDA_INDEX, **KEDA_SCHEMA, **DISCOVERY}
        self.now = 0.0
        self.watch = KedaWatch(self.kube, lambda: self.now)

    def later(self, seconds: float = 60) -> Keda:
        self.now += seconds
        return self.watch.state()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_what_is_there_is_known_at_once(watched: Watched):
    assert watched.later() is Keda.READY


def test_what_is_not_there_is_known_the_second_time(watched: Watched):
    watched.kube.documents = dict(NOTHING)
    assert watched.later() is Keda.UNKNOWN
    # The second check comes soon, and not at once.
    assert watched.later(0.1) is Keda.UNKNOWN
    assert watched.later(3) is Keda.MISSING


def test_a_server_that_starts_is_not_believed(watched: Watched):
    assert watched.later() is Keda.READY
    full = watched.kube.documents
    # Discovery knows the kinds; the schemas come later.
    watched.kube.documents = {**NOTHING, **DISCOVERY}
    for _ in range(5):
        assert watched.later() is Keda.READY
    watched.kube.documents = {**KEDA_INDEX, **DISCOVERY}
    assert watched.later() is Keda.READY
    # Nor does a single moment count in which nobody knows them.
    watched.kube.documents = dict(NOTHING)
    assert watched.later() is Keda.READY
    watched.kube.documents = full
    assert watched.later() is Keda.READY
    watched.kube.documents = dict(NOTHING)
    assert watched.later() is Keda.READY
    assert watched.later(3) is Keda.MISSING
    watched.kube.documents = full
    assert watched.later() is Keda.READY


def test_an_operator_that_begins_beside_a_server_that_starts(watched: Watched):
    watched.kube.documents = {**NOTHING, **DISCOVERY}
    for _ in range(3):
        assert watched.later() is Keda.UNKNOWN
    watched.kube.documents |= {**KEDA_INDEX, **KEDA_SCHEMA}
    assert watched.later() is Keda.READY


def test_one_kind_of_two_is_not_keda(watched: Watched):
    """Its CRDs come one after the other, and a kind that comes later is not watched."""
    ((address, document),) = KEDA_SCHEMA.items()
    schemas = document["components"]["schemas"]
    half = {name: schema for name, schema in schemas.items() if name.endswith("ScaledObject")}
    watched.kube.documents = {
        **KEDA_INDEX,
        address: {"components": {"schemas": half}},
        "/apis/keda.sh/v1alpha1": {"resources": [{"kind": "ScaledObject"}]},
    }
    watched.later()
    assert watched.later() is Keda.MISSING
    watched.kube.documents = {**KEDA_INDEX, **KEDA_SCHEMA, **DISCOVERY}
    assert watched.later() is Keda.READY


def test_an_invalidation_is_followed_at_once_and_believed_no_sooner(watched: Watched):
    assert watched.later() is Keda.READY
    watched.kube.documents = dict(NOTHING)
    for _ in range(8):
        watched.watch.invalidate()
        assert watched.later(0.1) is Keda.READY
    # Without it the first check would come only now.
    assert watched.later(3) is Keda.MISSING


def test_an_upgrade_is_noticed(watched: Watched):
    watched.kube.documents |= keda_schema(replicas={"type": "integer"})
    assert watched.later() is Keda.TOO_OLD
    index = {"serverRelativeURL": "/openapi/v3/apis/keda.sh/v1alpha1?hash=2"}
    (schema,) = KEDA_SCHEMA.values()
    watched.kube.documents = {
        "/openapi/v3": {"paths": {"apis/keda.sh/v1alpha1": index}},
        index["serverRelativeURL"]: schema,
    }
    assert watched.later() is Keda.READY


def test_a_server_that_does_not_answer_says_nothing(watched: Watched):
    assert watched.later() is Keda.READY
    answers, watched.kube.read = watched.kube.read, _silent
    with pytest.raises(UnavailableError):
        watched.later()
    watched.kube.read = answers
    assert watched.later() is Keda.READY


def _silent(path: str):
    raise UnavailableError("read", path, "no answer")
