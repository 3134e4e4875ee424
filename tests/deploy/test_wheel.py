"""The wheel runs by itself, in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.started import Up, penstock
from tests.servers import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("penstock-*.whl")
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        folder / "site",
        wheel,
    ]
    subprocess.run(install, check=True)
    return folder / "site"


def test_the_wheel_serves_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    """Redis scripts and all else that is no Python must be in it: the source tree comes later on the path."""
    own = {"PYTHONPATH": str(site)}
    where = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "import api, worker, deploy; print(api.__file__, worker.__file__, deploy.__file__)",
        ],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(file.startswith(str(site)) for file in where.stdout.split())
    running = Up(tmp_path, environ=own)
    tried = penstock("try", "--url", f"http://127.0.0.1:{running.port}", folder=tmp_path, environ=own)
    running.close()
    assert tried.returncode == 0, tried.stdout


def test_a_folder_called_api_does_not_stand_in_for_ours(tmp_path: Path) -> None:
    for name in ("api", "worker", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    running = Up(tmp_path)
    running.close()
    assert "the wrong one" not in running.printed
