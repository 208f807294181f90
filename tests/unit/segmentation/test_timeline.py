import pytest
from faster_whisper.vad import SpeechTimestampsMap
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.engine.interface import word_place
from whisperfleet.segmentation import Piece, Timeline

RATE = 16_000

# Two seconds from 1 s on, then three seconds from 10 s on.
TIMELINE = Timeline((Piece(RATE, 2 * RATE), Piece(10 * RATE, 3 * RATE)))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, (1.0, 2.0)),
        (0.5, 2.0, (1.5, 3.0)),  # an end where pieces meet belongs to the earlier
        (2.0, 3.0, (10.0, 11.0)),  # a start there to the later
        (1.0, 2.8, (2.0, 3.0)),  # most of it is before the pause: so is all of it
        (1.5, 2.6, (10.0, 10.6)),
        (4.0, 6.0, (12.0, 13.0)),  # nothing is said after the last piece
    ],
)
def test_a_segment_stays_on_one_side_of_a_pause(start, end, expected):
    assert TIMELINE.locate_segment(start, end) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (1.5, 2.0, (2.5, 3.0)),
        (1.8, 2.1, (2.8, 3.0)),
        (1.9, 2.4, (10.0, 10.4)),
        (2.0, 2.08, (3.0, 3.0)),  # nobody says a word in a tenth of a second
        (2.01, 2.01, (3.0, 3.0)),
        (2.0, 2.2, (10.0, 10.2)),
        (4.8, 5.4, (12.8, 13.0)),
    ],
)
def test_a_word_stays_on_one_side_of_a_pause(start, end, expected):
    assert TIMELINE.locate_word(start, end) == pytest.approx(expected)


def sounds(*spans: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    return tuple((round(start * RATE), round(end * RATE)) for start, end in spans)


# Three pieces that touch, with silence at the ends of each, and one after a pause. In the third the
# detector hears nothing.
HEARD = Timeline(
    (
        Piece(10 * RATE, 2 * RATE, sounds((10.4, 11.5))),
        Piece(12 * RATE, 2 * RATE, sounds((12.5, 14))),
        Piece(14 * RATE, 2 * RATE, ()),
        Piece(30 * RATE, 2 * RATE, sounds((30.4, 31.6))),
    )
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 2.0, (10.4, 11.5)),  # from where somebody speaks until where nobody does
        (0.6, 1.2, (10.6, 11.2)),  # not moved where it lies within
        (1.0, 3.0, (11.0, 13.0)),  # over pieces that touch
        (1.6, 3.0, (12.5, 13.0)),  # begins in the silence between: with the next
        (0.5, 2.3, (10.5, 11.5)),  # ends there: with the last
        (4.5, 5.5, (14.5, 15.5)),  # where nothing is heard the model's time stands
        (5.0, 8.0, (30.4, 31.6)),
    ],
)
def test_a_segment_keeps_to_what_was_heard(start, end, expected):
    assert HEARD.locate_segment(start, end) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.2, 0.8, (10.4, 10.8)),
        (1.2, 1.7, (11.2, 11.5)),
        (0.0, 0.2, (10.0, 10.2)),  # its middle is in silence: the model's time stands
        (7.0, 8.0, (31.0, 31.6)),
    ],
)
def test_a_word_keeps_to_what_was_heard(start, end, expected):
    assert HEARD.locate_word(start, end) == pytest.approx(expected)


# One run from 10 to 16 s with a pause of 0.3 s, a sound of 0.2 s such as "I", and speech again.
RUN = Timeline(
    (Piece(10 * RATE, 6 * RATE, sounds((10.4, 11.5), (11.8, 13), (13.5, 13.7), (14, 15))),)
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.4, 1.7, (10.4, 11.5)),  # ends in a pause within the run: with what was said before
        (1.6, 2.8, (11.8, 12.8)),  # begins in it: with what is said next
        (0.4, 2.05, (10.4, 11.5)),  # a quarter second past the pause is inexact
        (0.4, 2.15, (10.4, 12.15)),  # more is meant
        (1.25, 2.8, (11.8, 12.8)),  # as much before it
        (1.15, 2.8, (11.15, 12.8)),
        (3.3, 3.8, (13.5, 13.7)),  # a short sound alone
        (3.55, 4.9, (13.55, 14.9)),  # most of a short sound is meant
        (3.65, 4.9, (14, 14.9)),  # the last of it is not
        (1.9, 3.65, (11.9, 13.65)),
        (1.9, 3.55, (11.9, 13)),
        (1.3, 1.7, (11.3, 11.7)),  # too little of either side: the model's time stands
    ],
)
def test_a_segment_ends_at_the_pause_that_an_inexact_time_is_near(start, end, expected):
    assert RUN.locate_segment(start, end) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (1.25, 1.5, (11.25, 11.5)),  # the last of a sound is a word of its own
        (1.8, 2.05, (11.8, 12.05)),  # so is the first
        (0.9, 2.05, (10.9, 12.05)),
        (3.62, 3.68, (13.62, 13.68)),
        (1.6, 2.0, (11.8, 12.0)),  # nothing is said in the pause
    ],
)
def test_a_word_near_a_pause_is_not_moved(start, end, expected):
    assert RUN.locate_word(start, end) == pytest.approx(expected)


def test_seams_are_where_a_part_was_left_out_or_a_pause_was_kept():
    assert TIMELINE.seams == (2.0,)
    assert HEARD.seams == (2.0, 6.0)
    assert RUN.seams == ()
    assert Timeline((Piece(5, 10),)).seams == ()
    assert Timeline((Piece(5, RATE, ()),)).seams == ()


@pytest.mark.parametrize(
    ("pause", "seams"), [(0.5, ()), (0.79, ()), (0.9, (2.45,)), (1.25, (2.625,)), (9.0, (6.5,))]
)
@pytest.mark.parametrize("cut", [2.0, 2.1, 2.5], ids=["at its beginning", "in it", "late in it"])
def test_a_pause_that_was_kept_is_a_seam_wherever_the_audio_was_divided(pause, seams, cut):
    first, second = (10.3, 12.0), (12.0 + pause, 12.5 + pause)
    whole = Piece(10 * RATE, 13 * RATE, sounds(first, second))
    divided = (
        Piece(10 * RATE, round(cut * RATE), sounds(first)),
        Piece(round((10 + cut) * RATE), 11 * RATE, sounds(second)),
    )
    assert Timeline((whole,)).seams == pytest.approx(seams)
    assert Timeline(divided).seams == pytest.approx(seams)


def test_nothing_is_before_the_file():
    timeline = Timeline((Piece(0, RATE), Piece(RATE, RATE)))
    assert timeline.locate_word(-0.5, 0.1) == (0.0, 0.1)


# Whole hundredths of a second, which the library rounds to.
pieces_strategy = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 500)), min_size=1, max_size=6
)


def pieces_of(gaps_and_lengths) -> list[Piece]:
    pieces, position = [], 0
    for gap, length in gaps_and_lengths:
        pieces.append(Piece(position + gap * 160, length * 160))
        position = pieces[-1].end
    return pieces


@given(pieces_strategy, st.floats(0, 1), st.floats(0, 1))
def test_times_within_a_piece_are_those_of_the_librarys_map(gaps_and_lengths, one, other):
    pieces = pieces_of(gaps_and_lengths)
    library = SpeechTimestampsMap([{"start": p.start, "end": p.end} for p in pieces], RATE)
    timeline = Timeline(tuple(pieces))
    begin = 0
    for index, piece in enumerate(pieces):
        low, high = sorted((one, other))
        start, end = ((begin + share * piece.samples) / RATE for share in (low, high))
        begin += piece.samples
        if round(start * RATE) == begin:
            # Nothing begins with the last sample.
            continue
        expected = (
            library.get_original_time(start, index),
            library.get_original_time(end, index),
        )
        # The library rounds to hundredths and truncates to samples.
        assert timeline.locate_segment(start, end) == pytest.approx(expected, abs=0.0051)
        if (start + end) / 2 == word_place(start, end):
            assert timeline.locate_word(start, end) == pytest.approx(expected, abs=0.0051)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2 * RATE),
            st.integers(1, 3 * RATE),
            st.lists(st.floats(0, 1), max_size=6),
        ),
        min_size=1,
        max_size=6,
    ),
    st.floats(-1, 20),
    st.floats(0, 20),
)
def test_every_time_is_within_the_audio_and_in_order(pieces_and_speech, start, length):
    pieces, position = [], 0
    for gap, samples, shares in pieces_and_speech:
        # A gap of less than a tenth is none: many pieces touch.
        position += gap if gap > RATE // 10 else 0
        edges = sorted({position + int(share * samples) for share in shares})
        speech = tuple(zip(edges[::2], edges[1::2], strict=False))
        pieces.append(Piece(position, samples, speech))
        position += samples
    timeline = Timeline(tuple(pieces))
    located = timeline.locate_segment(start, start + length)
    assert located[0] <= located[1]
    (block,) = {find_block(pieces, seconds) for seconds in located}
    middle = timeline.locate_segment(start + length / 2, start + length / 2)[0]
    assert block == find_block(pieces, middle)
    begin, end = timeline.locate_word(start, start + length)
    assert begin <= end
    assert any(p.start <= begin * RATE <= end * RATE <= p.end for p in map(widened, pieces))


def widened(piece: Piece) -> Piece:
    """Return a piece that a rounded sample of its ends lies in."""
    return Piece(piece.start - 1, piece.samples + 2)


def find_block(pieces: list[Piece], seconds: float) -> int:
    """Return which of the runs of pieces that touch holds a time."""
    block = 0
    for index, piece in enumerate(pieces):
        block += bool(index and pieces[index - 1].end != piece.start)
        if widened(piece).start <= seconds * RATE <= widened(piece).end:
            return block
    raise AssertionError(f"{seconds} s is in none of the pieces")
