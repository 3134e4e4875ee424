"""The wheel runs by itself, in an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.started import Up, penstock
from tests.servers import ROOT

_SECRETS = ("deploy/.env", "deploy/config/penstock.yaml")


def test_the_secrets_of_compose_stay_out_of_image_and_wheel(tmp_path: Path) -> None:
    """Built from a copy that has them, and no git that would leave them out."""
    source = tmp_path / "source"
    for name in ("api", "worker", "shared", "deploy"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "config", ".env"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in _SECRETS:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("secret")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("penstock-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    assert "deploy/compose.yaml" in packed
    assert not set(_SECRETS) & set(packed)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored.index("deploy/.env") > ignored.index("!deploy")
    assert ignored.index("deploy/config") > ignored.index("!deploy")


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
