"""Message → parts: nothing lost, nothing too large, cut where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.parts import split

FAMILY = "👨‍👩‍👧‍👦"
CHINA = "🇨🇳"
CLUSTERS = [
    "a",
    "好",
    "𠮷",
    "é",
    FAMILY,
    "👍🏽",
    CHINA,
    "🏴\U000e0067\U000e0062\U000e007f",
    "❤️",
    "1️⃣",
    "ẹ́",
    "กี่",
]
SPACES = [" ", "\n", "\n\n", "　", "\t"]
STOPS = ["。", "，", ". ", ", ", "！？", "…", "; "]
bounded = settings(max_examples=80, deadline=None, derandomize=True)

WORDS = st.lists(st.sampled_from(CLUSTERS + SPACES + STOPS + ["longword" * 3]), max_size=60)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=120), WORDS.map("".join)
)


def visible(text: str) -> str:
    return "".join(text.split())


@pytest.mark.field("F40")
@bounded
@given(TEXTS, st.integers(1, 40), st.integers(4, 90))
def test_parts_joined_are_the_text_and_each_fits(text: str, max_chars: int, max_bytes: int) -> None:
    """An answer that lost a character in a cut is a wrong answer."""
    parts = split(text, max_chars, max_bytes)
    assert visible(text) == visible("".join(parts))
    for part in parts:
        assert len(part) <= max_chars
        assert len(part.encode()) <= max_bytes
        assert part.strip(), "platforms refuse to show nothing"


@bounded
@given(TEXTS, st.integers(1, 40))
def test_white_space_is_kept_wherever_something_is_beside_it(text: str, max_chars: int) -> None:
    """Only parts of nothing but white space go: a code block keeps its indentation."""
    parts, at = split(text, max_chars, 10_000), 0
    for part in parts:
        found = text.index(part, at)
        assert not text[at:found].strip()
        at = found + len(part)
    assert not text[at:].strip()


@bounded
@given(st.text(max_size=50))
def test_a_text_that_fits_is_one_part_untouched(text: str) -> None:
    assert ((text,) if text.strip() else ()) == split(text, 50, 200)


@bounded
@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=60), st.integers(8, 40))
def test_no_cluster_that_fits_into_a_part_is_cut(clusters: list[str], max_chars: int) -> None:
    """Half a family is two strangers and a box; half a flag is a letter."""
    boundaries, at = {0}, 0
    for cluster in clusters:
        at += len(cluster)
        boundaries.add(at)
    at = 0
    for part in split("".join(clusters), max_chars, 10_000):
        at += len(part)
        assert at in boundaries


def test_a_row_of_flags_is_cut_between_flags() -> None:
    """Every half of a flag looks like it belonged to its neighbour on either side."""
    assert (CHINA * 3, CHINA * 3, CHINA) == split(CHINA * 7, 7, 10_000)


def test_a_cluster_larger_than_a_part_is_cut_rather_than_lost() -> None:
    zalgo = "a" + "́" * 30
    parts = split(zalgo, 10, 10_000)
    assert zalgo == "".join(parts)
    assert all(len(part) <= 10 for part in parts)


def test_a_seam_does_not_cut_a_mark_off_its_letter() -> None:
    """A mark may stand on a full stop or on a space."""
    for text in ("一二三四五。\u0301六七八九十", "abcde \u0301fghijk"):
        assert all(not part.startswith("\u0301") for part in split(text, 8, 10_000))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two.\n\nthree four five", "one two.\n\n"),
        ("one two.\nthree four five", "one two.\n"),
        ("one two! three four five", "one two!"),
        ("一二三四五六七。八九十百千万亿", "一二三四五六七。"),
        ("一二三四五六七，八九十百千万亿", "一二三四五六七，"),
        ("one two three four five", "one two "),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklm"),
    ],
)
def test_the_best_seam_in_reach_is_taken(text: str, first: str) -> None:
    """Paragraph, line, sentence, comma or word; only then anywhere."""
    assert first == split(text, 13, 10_000)[0]


def test_a_seam_that_would_waste_more_than_half_of_the_room_is_not_taken() -> None:
    """Each part costs a send of a small allowance."""
    assert "a\nbcdefgh ijkl " == split("a\nbcdefgh ijkl mnopqrstu", 15, 10_000)[0]


def test_a_point_inside_a_number_is_no_seam() -> None:
    assert not split("the value is 3.14159265358979", 17, 10_000)[0].endswith("3.")


def test_bytes_bound_cjk_and_emoji_and_characters_bound_the_rest() -> None:
    assert [4, 4, 2] == [len(part) for part in split("好" * 10, 100, 12)]
    assert [3, 3, 1] == [len(part) for part in split("𠮷" * 7, 100, 15)]
    assert [5, 5] == [len(part) for part in split("abcdefghij", 5, 100)]


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "　\t \n" * 100])
def test_nothing_visible_is_no_part(text: str) -> None:
    """The door turns it away as empty."""
    assert () == split(text, 5, 100)


@pytest.mark.parametrize("letter", ["x", ".", "…", " x", "\n"])
def test_a_long_text_without_a_good_seam_is_split_quickly(letter: str) -> None:
    """Work in proportion to the text; a quadratic cut would hold the event loop for minutes."""
    text = letter * (300_000 // len(letter))
    assert visible(text) == visible("".join(split(text, 2_000, 8_000)))
