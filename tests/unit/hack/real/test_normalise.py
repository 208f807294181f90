"""Words are compared by what was said, whatever the writer chose."""

import pytest

from hack.real.normalise import words_of


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Twenty-five people", "25 people"),
        ("a hundred and five", "105"),
        ("one thousand two hundred and fifty", "1,250"),
        ("in nineteen sixty-one", "in 1961"),
        ("in nineteen oh five", "In 1905."),
        ("in the eighteen hundreds", "in the eighteen hundreds"),
        ("two thousand and five", "2005"),
        ("the twenty-first", "the 21st"),
        ("the third and the fortieth", "The 3rd, and the 40th"),
        ("three point five percent", "3.5%"),
        ("twelve dollars", "$12"),
        ("one thousand two hundred fifty point five zero dollars", "$1,250.50"),
        ("zero zero seven", "007"),
        ("salt and pepper", "salt & pepper"),
    ],
)
def test_numbers_and_signs_are_what_they_are_called(written, said):
    assert words_of(written) == words_of(said)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ill-disposed, he WAS not.", "ill disposed he was not"),
        ("Mr. Smith won\u2019t come", "mister Smith will not come"),
        ("I cannot; we don't.", "I can not we do not"),
        ("the neighbour's grey coat", "the neighbour's gray coat"),
        ("'Tis so,' he said", "tis so he said"),
    ],
)
def test_spelling_case_and_punctuation_do_not_count(one, other):
    assert words_of(one) == words_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("twenty", "21"),
        ("1250", "1,250"),
        ("his dog's", "his dogs"),
        ("and so", "so"),
        ("3", "3rd"),
    ],
)
def test_other_words_stay_other_words(one, other):
    assert words_of(one) != words_of(other)


def test_a_language_without_spaces_is_compared_by_its_characters():
    assert words_of("今天, 早上") == list("今天早上")
