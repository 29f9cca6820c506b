"""Files that somebody else has named: nothing but what lies in the folders is read."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from yizhan.core.addresses import Forbidden
from yizhan.core.folders import judge_file
from yizhan.guarded import FileForbidden, opened

FOLDERS = [PurePosixPath("/srv/out"), PurePosixPath("/data/ann/pictures")]


@pytest.mark.parametrize("place", ["/srv/out/a.png", "/srv/out/deep/er/a.png", "/data/ann/pictures/b"])
def test_what_lies_in_a_folder_may_be_read(place: str) -> None:
    """That is what the folders are for."""
    assert judge_file(PurePosixPath(place), FOLDERS) is None


@pytest.mark.parametrize(
    "place",
    [
        "/etc/passwd",
        "/srv/out",
        "/srv/outer/a",
        "/srv",
        "/",
        "a.png",
        "/srv/out/../../etc/passwd",
        "/data/ann/.ssh/id",
    ],
)
def test_what_lies_elsewhere_may_not(place: str) -> None:
    """A name that begins alike is another folder."""
    assert isinstance(judge_file(PurePosixPath(place), FOLDERS), Forbidden)
    assert isinstance(judge_file(PurePosixPath("/srv/out/a"), []), Forbidden)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file in it, a secret beside it, and ways from the one to the other."""
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "fine.txt").write_text("fine")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "ways").symlink_to(tmp_path)
    (folder / "inner.txt").symlink_to(folder / "fine.txt")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("name", ["fine.txt", "sub/../fine.txt", "inner.txt", "./fine.txt"])
def test_files_of_the_folder_are_opened(folder: Path, name: str) -> None:
    """Also by a link that stays inside."""
    with opened(f"{folder}/{name}", [folder]) as file:
        assert b"fine" == file.read()


@pytest.mark.field("F86")
@pytest.mark.parametrize(
    "name",
    [
        "link.txt",
        "ways/secret.txt",
        "../secret.txt",
        "sub",
        "pipe",
        "",
        "/etc/passwd",
        "~/.profile",
        "sub\0/../../secret.txt",
    ],
)
def test_no_way_leads_out_of_the_folder(folder: Path, name: str) -> None:
    """Links, dots, pipes that never end: whatever a stranger makes an agent write."""
    named = name if name.startswith(("/", "~")) else f"{folder}/{name}"
    with pytest.raises(FileForbidden) as refused:
        opened(named, [folder])
    assert "secret" not in str(refused.value)


def test_missing_file_is_missing_and_not_forbidden(folder: Path) -> None:
    """The operator looks for another mistake then."""
    with pytest.raises(FileNotFoundError):
        opened(f"{folder}/none.txt", [folder])
