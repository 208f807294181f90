"""What the operator remembers of a service is one object, and gone with the service."""

from support.operator.reconciling import KEY, World
from support.operator.services import POOL
from support.operator.world import NOW, sample
from support.operator.world import service as make_service
from whisperfleet_operator.kube.kinds import SERVICE
from whisperfleet_operator.memory import PoolMemory, ServiceMemories, ServiceMemory
from whisperfleet_operator.observe import Keda, Observation, PoolView, Spell, choose_credentials
from whisperfleet_operator.observe.secrets import Secrets
from whisperfleet_operator.plan import Credentials, Share
from whisperfleet_operator.resource.names import CREDENTIALS_ANNOTATION
from whisperfleet_operator.waking import Wakes, shall_wake


def test_everything_is_forgotten_with_the_service(guarded: World):
    guarded.reconcile()
    known = guarded.memories.of(KEY)
    empty = ServiceMemory()
    # Otherwise this would show nothing: a reconcile leaves something in each of them.
    remembered = {
        name for name in ServiceMemory.__slots__ if getattr(known, name) != getattr(empty, name)
    }
    assert remembered >= {"resync_due", "is_resumed", "queue", "writes", "status", "pools"}
    assert known.pool(POOL).credentials is not None
    assert guarded.memories.statuses().keys() == {KEY}
    guarded.kube.remove(SERVICE, *KEY)
    assert guarded.reconcile() is None
    assert guarded.memories.statuses() == {}
    assert guarded.memories.of(KEY) == empty


def test_services_have_memories_of_their_own():
    memories = ServiceMemories()
    memories.of(("a", "one")).resync_due = 1.0
    memories.of(("a", "two")).resync_due = 2.0
    memories.forget(("a", "one"))
    assert memories.of(("a", "one")).resync_due is None
    assert memories.of(("a", "two")).resync_due == 2.0


def test_of_a_service_that_is_anothers_only_that_is_known_until_it_is_gone():
    memories, key = ServiceMemories(), ("a", "one")
    memories.of(key).left_to = "uid-1", "other/operator"
    memories.of(key).resync_due = 1.0
    memories.leave(key)
    assert memories.of(key) == ServiceMemory(left_to=("uid-1", "other/operator"))
    memories.forget(key)
    assert memories.of(key) == ServiceMemory()


def deployment_with(digest: str):
    annotations = {CREDENTIALS_ANNOTATION: digest}
    return {"metadata": {}, "spec": {"template": {"metadata": {"annotations": annotations}}}}


def test_the_credentials_of_a_pool_are_those_on_its_own_deployment():
    secrets = Secrets({"r": {"password": "two"}}, digest="new", revision="1")
    memory = ServiceMemory()
    old = choose_credentials(memory.pool("a"), secrets, deployment_with("old"), accepted=False)
    new = choose_credentials(memory.pool("b"), secrets, deployment_with("new"), accepted=False)
    fresh = choose_credentials(memory.pool("c"), secrets, None, accepted=False)
    assert (old, new, fresh) == (Credentials("old"), Credentials("new"), Credentials("new"))
    # The same Secret made anew has another digest: only the pool that ran with it is spared.
    again = Secrets(secrets.values, digest="other", revision="2")
    kept = choose_credentials(memory.pool("b"), again, deployment_with("new"), accepted=True)
    rolled = choose_credentials(memory.pool("a"), again, deployment_with("old"), accepted=True)
    assert (kept, rolled) == (Credentials("new", "other"), Credentials("other"))
    assert memory.pool("d") == PoolMemory()


def test_a_pool_that_has_no_share_of_the_jobs_is_not_woken():
    service = make_service()
    view = PoolView(
        service.spec.pools[0],
        {"spec": {"replicas": 0}},
        None,
        (),
        spells={Spell.UNWOKEN: 999.0},
        share=Share(above=10),
    )

    def woken(jobs: int) -> bool:
        seen = Observation((view,), Keda.MISSING, sample(queued=jobs, taken=NOW), None, ())
        return shall_wake(service, seen, view, Wakes())

    assert not woken(10)
    assert woken(11)
