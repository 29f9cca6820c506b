"""The home is private, and nothing else is made so."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from yizhan import home
from yizhan.cli.verb import answer_for


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


def test_a_start_on_a_full_disk_names_the_file_and_may_be_tried_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """systemd does not start again what ended with code 2, and then nobody notices that there is room again."""

    def announce() -> None:
        before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            home.announce(tmp_path, "http://127.0.0.1:8787", "1")
        except OSError as error:
            refused = error
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        raise OSError(errno.ENOSPC, "No space left on device", refused.filename)

    assert 1 == answer_for(announce, False)
    told = f"yizhan: {tmp_path / 'gateway.json'}: No space left on device. Free some space.\n"
    assert told == capfd.readouterr().err


@pytest.mark.parametrize(
    ("named", "linked", "zone"),
    [
        ("Asia/Shanghai", "/usr/share/zoneinfo/Europe/Berlin", "Asia/Shanghai"),
        (":Asia/Shanghai", "", "Asia/Shanghai"),
        ("", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        ("CST-8", "../usr/share/zoneinfo/Etc/UTC", "Etc/UTC"),
        ("", "/etc/nonsense", "UTC"),
        ("", "", "UTC"),
    ],
)
def test_the_machine_tells_its_time_zone(tmp_path: Path, named: str, linked: str, zone: str) -> None:
    """Schedules that name no zone mean the clock on the operator's wall."""
    localtime = tmp_path / "localtime"
    if linked:
        localtime.symlink_to(linked)
    assert zone == home.time_zone({"TZ": named}, localtime)
