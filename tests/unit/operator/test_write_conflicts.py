"""Who else writes: what is given up at once, and what is done ever more rarely."""

import copy
import itertools

from support.operator.world import deployment
from whisperfleet_operator.drift import stamped
from whisperfleet_operator.kube import Object
from whisperfleet_operator.write_conflicts import WriteConflicts


def _wanted(image: str = "example/one:1") -> Object:
    made = deployment(0)
    del made["status"]
    made["spec"] = {"image": image}
    return stamped(made)


def _changed(obj: Object, **spec: object) -> Object:
    changed = copy.deepcopy(obj)
    changed["spec"] |= spec
    return changed


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_came_back_the_same_is_not_written_again():
    clock = Clock()
    conflicts = WriteConflicts({}, clock)
    wanted = _wanted()
    back = _changed(wanted, image="mirror/one:1")
    assert conflicts.may_write(wanted, back)
    conflicts.wrote(wanted, back)
    clock.now = 1e6
    assert not conflicts.may_write(wanted, back)
    # What changes by itself is no reason, nor is the autoscaler.
    told = _changed(back, replicas=3) | {"status": {"replicas": 3}}
    told["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    assert not conflicts.may_write(wanted, told)
    assert conflicts.may_write(wanted, _changed(back, image="other/one:1"))
    assert conflicts.may_write(_wanted("example/one:2"), back)


def test_each_repair_of_the_same_comes_later_than_the_one_before():
    clock = Clock()
    conflicts = WriteConflicts({}, clock)
    wanted = _wanted()
    theirs = _changed(wanted, image="theirs")
    moments = []
    while clock.now < 1500:
        if conflicts.may_write(wanted, theirs):
            conflicts.wrote(wanted, wanted)
            moments.append(clock.now)
        clock.now += 1
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[:5] == [1, 1, 1, 5, 10]
    assert pauses[-1] == 300
    # After a time of peace it is a new story.
    clock.now += 1000
    assert conflicts.may_write(wanted, theirs)
    conflicts.wrote(wanted, wanted)
    assert conflicts.may_write(wanted, theirs)
