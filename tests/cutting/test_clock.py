import pytest
from faster_whisper.vad import SpeechTimestampsMap
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.cutting import Clock, Piece

RATE = 16_000

# Two seconds from 1 s on, then three seconds from 10 s on.
CLOCK = Clock((Piece(RATE, 2 * RATE), Piece(10 * RATE, 3 * RATE)))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, (1.0, 2.0)),
        (0.5, 2.0, (1.5, 3.0)),  # an end where pieces meet belongs to the earlier
        (2.0, 3.0, (10.0, 11.0)),  # a start there to the later
        (1.5, 2.5, (2.5, 10.5)),
        (4.0, 6.0, (12.0, 14.0)),  # past the last piece: counted on
    ],
)
def test_segments(start: float, end: float, expected: tuple[float, float]):
    assert CLOCK.locate_segment(start, end) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (1.5, 2.0, (2.5, 3.0)),
        (1.8, 2.1, (2.8, 3.1)),  # its middle is before the pause: so is all of it
        (1.9, 2.4, (9.9, 10.4)),
    ],
)
def test_a_word_stays_on_one_side_of_a_pause(start, end, expected):
    assert CLOCK.locate_word(start, end) == pytest.approx(expected)


def test_nothing_is_before_the_file():
    clock = Clock((Piece(0, RATE), Piece(RATE, RATE)))
    assert clock.locate_word(-0.5, 0.1) == (0.0, 0.1)


pieces_strategy = st.lists(
    # Whole hundredths of a second, which the library rounds to.
    st.tuples(st.integers(0, 500), st.integers(1, 500)),
    min_size=1,
    max_size=6,
)


@given(pieces_strategy, st.integers(0, 2000), st.integers(0, 2000))
def test_times_are_those_of_the_librarys_map(gaps_and_lengths, first: int, length: int):
    pieces, position = [], 0
    for gap, samples in gaps_and_lengths:
        pieces.append(Piece(position + gap * 160, samples * 160))
        position = pieces[-1].end
    library = SpeechTimestampsMap([{"start": p.start, "end": p.end} for p in pieces], RATE)
    clock = Clock(tuple(pieces))
    # A quarter of a hundredth off the borders: the library truncates to samples, and 0.29 s would
    # be one sample short of 29 hundredths.
    start, end = (first + 0.25) / 100, (first + length + 0.25) / 100
    assert clock.locate_segment(start, end) == pytest.approx(
        (library.get_original_time(start), library.get_original_time(end, is_end=True)), abs=0.0051
    )
    index = library.get_chunk_index((start + end) / 2)
    assert clock.locate_word(start, end) == pytest.approx(
        (library.get_original_time(start, index), library.get_original_time(end, index)),
        abs=0.0051,
    )
