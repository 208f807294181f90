"""The figure at the end of `make test`."""

from hack.coverage import Share, shares


def test_lines_are_added_up_by_package():
    def ran(executed: list[int], missing: list[int]) -> dict[str, list[int]]:
        return {"executed_lines": executed, "missing_lines": missing}

    report = {
        "files": {
            "inference/whisperfleet/queue/queue.py": ran([1, 2, 3], [4]),
            "inference/whisperfleet/queue/scripts/__init__.py": ran([1], [2, 3]),
            "inference/whisperfleet/errors.py": ran([1], []),
            "operator/whisperfleet_operator/plan/pod.py": ran([], [1]),
        }
    }
    assert shares(report) == [
        Share("whisperfleet", 1, 1),
        Share("whisperfleet.queue", 7, 4),
        Share("whisperfleet_operator.plan", 1, 0),
        Share("all", 9, 5),
    ]


def test_no_lines_lack_nothing():
    assert Share("all", 0, 0).percent == 100
