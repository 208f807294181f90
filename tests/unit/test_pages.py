"""Large arrays lie in mappings of their own."""

from pathlib import Path

import numpy as np
import pytest

from whisperfleet.pages import concatenate_outside_heap, empty_outside_heap

LARGE = 2 * 1024**2


def resident() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def test_a_large_array_is_gone_with_its_last_view():
    before = resident()
    array = empty_outside_heap((8, LARGE), np.int16)
    array[:] = 1
    view = array[0, :10]
    del array
    assert resident() - before > 7 * 2 * LARGE
    assert view.tolist() == [1] * 10
    del view
    assert resident() - before < 2 * LARGE


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (3, 4), (300, 2000)])
def test_an_array_is_as_numpys(shape: tuple[int, ...]):
    array = empty_outside_heap(shape, np.float32)
    array[...] = 2
    assert array.shape == shape
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert (array == 2).all()


@pytest.mark.parametrize("length", [1, LARGE])
def test_parts_are_joined(length: int):
    parts = [np.arange(length, dtype=np.int16), np.array([7, 8], np.int16)]
    joined = concatenate_outside_heap(parts)
    assert joined.dtype == np.int16
    np.testing.assert_array_equal(joined, np.concatenate(parts))
