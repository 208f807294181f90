"""What of a plan is done now: all that needs nothing that is missing, sleep and scale first."""

import pytest

from support.operator.samples import full, minimal, read
from whisperfleet_operator.plan import ChildRef, Observed, Parts, divide, make_plan

SERVICE = read(full())
ALL = make_plan(SERVICE, Observed()).wanted
KINDS = {ref.kind: ref for ref in ALL}
KEDAS = {"ScaledObject", "TriggerAuthentication"}


def parts(live=(), taken=(), *, keda=True, streams=True) -> Parts:
    there, strange = ({KINDS[kind] for kind in kinds} for kinds in (live, taken))
    plan = make_plan(SERVICE, Observed(frozenset(there)))
    return divide(plan, there, strange, keda=keda, streams=streams)


def kinds(manifests) -> list[str]:
    return [each["kind"] for each in manifests]


def written(division: Parts) -> set[str]:
    steps = (division.scale, division.create, division.apply, division.autoscale)
    return {kind for step in steps for kind in kinds(step)}


def test_a_first_time():
    division = parts()
    assert division.scale == ()
    assert kinds(division.create) == ["Deployment"]
    assert written(division) == set(KINDS)
    assert kinds(division.autoscale) == ["TriggerAuthentication", "ScaledObject"]


def test_what_scales_already_comes_first():
    division = parts(live=KINDS)
    assert kinds(division.scale) == ["TriggerAuthentication", "ScaledObject"]
    assert division.create == division.autoscale == ()


def test_without_streams_nothing_begins_to_scale_and_what_does_goes_on():
    assert parts(streams=False).autoscale == ()
    assert kinds(parts(live=KINDS, streams=False).scale) == kinds(parts(live=KINDS).scale)


@pytest.mark.parametrize("live", [(), tuple(KINDS)])
def test_without_keda_none_of_its_kinds_is_touched(live):
    assert written(parts(live=live, keda=False)) == set(KINDS) - KEDAS
    other = ChildRef("keda.sh/v1alpha1", "ScaledObject", "old")
    plan = make_plan(SERVICE, Observed(frozenset({other})))
    assert divide(plan, {other}, (), keda=False, streams=True).delete == ()
    assert divide(plan, {other}, (), keda=True, streams=True).delete == (other,)


@pytest.mark.parametrize(
    ("taken", "not_written"),
    [
        ("PodDisruptionBudget", {"PodDisruptionBudget"}),
        ("NetworkPolicy", {"NetworkPolicy"}),
        ("ServiceAccount", {"ServiceAccount", "Deployment", *KEDAS}),
        ("Deployment", {"Deployment", *KEDAS}),
        ("TriggerAuthentication", KEDAS),
        ("ScaledObject", {"ScaledObject"}),
    ],
)
def test_a_name_that_is_taken_holds_up_what_needs_it(taken: str, not_written: set[str]):
    assert written(parts(taken=[taken])) == set(KINDS) - not_written


@pytest.mark.parametrize("taken", sorted(set(KINDS) - {"Deployment"}))
def test_what_is_there_goes_on_being_changed(taken: str):
    live = set(KINDS) - {taken}
    assert written(parts(live=live, taken=[taken])) == live


def test_nothing_of_somebody_elses_is_scaled():
    live = set(KINDS) - {"Deployment"}
    assert written(parts(live=live, taken=["Deployment"])) == live - KEDAS


def test_a_service_without_credentials():
    plan = make_plan(read(minimal()), Observed())
    division = divide(plan, (), (), keda=True, streams=True)
    assert kinds(division.autoscale) == ["ScaledObject"]
