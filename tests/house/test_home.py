"""The home is private, and nothing else is made so."""

from __future__ import annotations

from pathlib import Path

from yizhan import home


def test_a_mistyped_home_keeps_its_mode(tmp_path: Path) -> None:
    """`--home /` as root must not lock everybody else out of the machine."""
    (tmp_path / "somebody's file").write_text("theirs")
    tmp_path.chmod(0o755)
    home.prepare(tmp_path)
    assert 0o755 == tmp_path.stat().st_mode & 0o777


def test_a_home_is_made_private_when_it_is_made_and_when_it_is_found_open(tmp_path: Path) -> None:
    """Tokens lie in it."""
    made = tmp_path / "home"
    home.prepare(made)
    assert 0o700 == made.stat().st_mode & 0o777
    (made / "api-key").write_text("yz_1")
    made.chmod(0o755)
    home.prepare(made)
    assert 0o700 == made.stat().st_mode & 0o777
