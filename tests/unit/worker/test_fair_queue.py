"""Who is served next."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.worker.fair_queue import FairQueue, Owner


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def line(clock: Clock | None = None) -> FairQueue[str]:
    return FairQueue(clock or Clock())


def names(taken: list[tuple[str, float]]) -> str:
    return " ".join(item for item, _ in taken)


def test_one_owners_items_keep_their_order():
    waiting, owner = line(), Owner()
    for item in "abc":
        waiting.put(item, owner)
    assert names(waiting.take(2)) == "a b"
    assert owner.items == 1
    assert names(waiting.take(9)) == "c"
    assert (len(waiting), owner.items) == (0, 0)


def test_who_comes_late_is_one_turn_behind():
    waiting, file, clip = line(), Owner(), Owner()
    for number in range(16):
        waiting.put(f"file{number}", file)
    assert names(waiting.take(4)) == "file0 file1 file2 file3"
    waiting.put("clip0", clip)
    waiting.put("clip1", clip)
    assert names(waiting.take(2)) == "file4 clip0"
    assert names(waiting.take(2)) == "file5 clip1"


def test_a_clip_does_not_share_a_batch_that_is_full_of_a_file():
    waiting, file = line(), Owner()
    for number in range(20):
        waiting.put(f"file{number}", file)
    assert names(waiting.take(5)) == "file0 file1 file2 file3 file4"
    waiting.put("clip", Owner())
    assert names(waiting.take(4)) == "clip"
    # Clips without end do not keep the file from its share of the batches.
    waiting.put("other", Owner())
    assert names(waiting.take(4)) == "other file5 file6 file7"


class Files:
    """Long files that keep a line full, and the batches that are taken from it."""

    batch = 8

    def __init__(self, count: int, weight: int = 1) -> None:
        self.line = line()
        self.owners = {f"file{number}": Owner(weight) for number in range(count)}

    def take(self) -> list[str]:
        for name, owner in self.owners.items():
            while owner.items < 2 * self.batch:
                self.line.put(name, owner)
        return [item for item, _ in self.line.take(self.batch)]


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("count", [1, 7, 8, 10, 15, 40])
def test_a_clip_waits_for_one_batch_however_many_files_there_are(count: int, before: int):
    files = Files(count)
    for _ in range(before):
        files.take()
    files.take()
    files.line.put("clip", Owner())
    assert files.take() == ["clip"]


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize("weight", [1, 3])
@pytest.mark.parametrize("count", [10, 15])
def test_a_late_clip_of_a_high_priority_passes_files_and_clips(
    count: int, weight: int, before: int
):
    files = Files(count, weight)
    for _ in range(before):
        files.take()
    for number in range(20):
        files.line.put(f"other{number}", Owner(weight))
    files.line.put("clip", Owner(8))
    assert "clip" in files.take()


@pytest.mark.parametrize("batch", [1, 8])
def test_clips_without_end_leave_files_their_turns(batch: int):
    """More than can be served: clips wait in a line that grows, and a file goes on all the same."""
    files = Files(3)
    files.batch = batch
    clips = waiting = 0
    last_served = dict.fromkeys(files.owners, 0)
    for number in range(400):
        for _ in range(batch):
            files.line.put("clip", Owner())
        taken = files.take()
        clips += taken.count("clip")
        waiting = (number + 1) * batch - clips
        for name in files.owners:
            if name in taken:
                last_served[name] = number
        # A turn is over once all that wait have been served.
        turn = 2 * (waiting + len(files.owners)) / batch + 2
        assert number - min(last_served.values()) <= turn
    assert waiting < 0.2 * 400 * batch


def test_what_nobody_wants_is_dropped():
    waiting, owner, other = line(), Owner(), Owner()
    for item in "abc":
        waiting.put(item, owner)
    waiting.put("d", other)
    assert waiting.drop(lambda item: item in "bd") == ["b", "d"]
    assert (owner.items, other.items) == (2, 0)
    assert names(waiting.take(9)) == "a c"


def test_many_clips_fill_a_batch_with_what_is_left_of_a_file():
    waiting, file = line(), Owner()
    for number in range(6):
        waiting.put(f"file{number}", file)
    waiting.take(2)
    for name in "ab":
        waiting.put(name, Owner())
    assert names(waiting.take(4)) == "a b file2 file3"


def test_a_clip_of_less_weight_does_not_interrupt_a_file():
    waiting, file = line(), Owner(8)
    for number in range(9):
        waiting.put(f"file{number}", file)
    waiting.take(5)
    waiting.put("clip", Owner(1))
    assert names(waiting.take(5)) == "file5 file6 file7 file8 clip"


def test_long_files_take_turns():
    waiting = line()
    for name in "xyz":
        owner = Owner()
        for number in range(3):
            waiting.put(f"{name}{number}", owner)
    assert names(waiting.take(9)) == "x0 y0 z0 x1 y1 z1 x2 y2 z2"


def test_who_was_away_saves_up_no_turns():
    waiting, busy, away = line(), Owner(), Owner()
    waiting.put("early", away)
    for number in range(6):
        waiting.put(f"busy{number}", busy)
    assert names(waiting.take(1)) == "early"
    waiting.take(4)
    for number in range(3):
        waiting.put(f"late{number}", away)
    assert names(waiting.take(5)) == "busy4 late0 busy5 late1 late2"


def test_who_comes_late_with_a_great_weight_goes_first():
    waiting, high, low = line(), Owner(8), Owner(1)
    for number in range(3):
        waiting.put(f"low{number}", low)
    assert names(waiting.take(1)) == "low0"
    for number in range(2):
        waiting.put(f"high{number}", high)
    assert names(waiting.take(4)) == "high0 high1 low1 low2"


def test_weights_are_shares_and_nobody_waits_for_ever():
    waiting, owners = line(), {"high": Owner(8), "normal": Owner(3), "low": Owner(1)}
    for name, owner in owners.items():
        for _ in range(120):
            waiting.put(name, owner)
    served = Counter(item for item, _ in waiting.take(120))
    assert served == {"high": 80, "normal": 30, "low": 10}


def test_only_items_of_the_first_ones_kind_go_with_it():
    waiting, one, other = line(), Owner(), Owner()
    for item in ("a1", "b2", "a3"):
        waiting.put(item, one)
    for item in ("b4", "a5"):
        waiting.put(item, other)
    assert names(waiting.take(2, lambda item: item[0])) == "a1 a5"
    assert names(waiting.take(9, lambda item: item[0])) == "b4 b2"
    assert names(waiting.take(9, lambda item: item[0])) == "a3"
    assert waiting.take(9, lambda item: item[0]) == []


@given(kinds=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), count=st.integers(1, 4))
def test_no_kind_waits_for_another_without_end(kinds: list[str], count: int):
    """However many of one kind come, who has waited longest goes next."""
    waiting, owner = line(), Owner(is_new=False)
    for number, kind in enumerate(kinds):
        waiting.put(f"{kind}{number}", owner)
    turns = 0
    while "0" in {entry.item[1:] for entry in waiting._entries}:
        waiting.put("c99", Owner(weight=8, is_new=False))
        waiting.take(count, lambda item: item[0])
        turns += 1
    assert turns <= 9


def test_how_long_it_took_is_told():
    clock = Clock()
    waiting = line(clock)
    waiting.put("a", Owner())
    clock.now = 2.5
    assert waiting.take(1) == [("a", 2.5)]


def test_an_emptied_line_forgets_what_its_owners_had():
    waiting, owner = line(), Owner()
    waiting.put("a", owner)
    assert waiting.clear() == ["a"]
    assert (len(waiting), owner.items) == (0, 0)


@given(owners=st.lists(st.integers(1, 20), min_size=1, max_size=6), batch=st.integers(1, 8))
def test_everyone_is_served_once_and_in_turns(owners: list[int], batch: int):
    waiting = line()
    for number, items in enumerate(owners):
        owner = Owner()
        for _ in range(items):
            waiting.put(str(number), owner)
    left = Counter({str(number): items for number, items in enumerate(owners)})
    served = Counter()
    while len(waiting):
        for item, _ in waiting.take(batch):
            served[item] += 1
            left[item] -= 1
            still = [served[other] for other in left if left[other] > 0]
            assert not still or served[item] <= min(still) + 1
    assert not +left
