"""The units of a cluster run as they are installed, behind all that they forbid, and Studies go through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.cluster import certificates
from tests.acceptance.house import wait_until
from tests.faults.conftest import Report
from tests.faults.site import SLICES, Site, site
from tests.faults.systemd import DROP_INS, ROOT, add_packages

UNITS = "etc/systemd/system"
TLS = {one: f"tls/{one}.pem" for one in ("ca", "cert", "key")}
_DASK = """\
#!/opt/coatcheck/bin/python3
import sys
from dask.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""


def test_studies_go_through_the_installed_units_of_a_cluster(tmp_path: Path, sweep: bool, report: Report) -> None:
    if not sweep:
        pytest.skip("a part of the sweep: scripts/faults")
    pytest.importorskip("distributed")
    with site(tmp_path / "machine", executor="dask://127.0.0.1:8786", tls=TLS) as there:
        expected = there.undisturbed(tmp_path / "other", 0, 4)
        install(there, certificates(tmp_path / "certificates"))
        there.begin()
        there.load(0, 2)
        wait_until(lambda: "has no workers now" in str(there.line("lung")["fault"]), "there is nobody to do it")
        there.machine.systemctl("start", "coatcheck-worker@2")
        there.wait_until_done(studies=2)
        there.machine.systemctl("kill", "--signal=KILL", "coatcheck-scheduler")
        there.load(2, 2)
        there.wait_until_done(studies=4, seconds=90)
        assert there.delivered() == expected
        assert len(there.kept()) == 4 * SLICES
        done = there.command("check")
        assert (done.returncode, "all is well" in done.stderr) == (0, True), done.stdout
        said = there.machine.journal("--unit=coatcheck-*")
        assert said.count("Registered to:") >= 2
        assert not [word for word in ("Vandermeulen", "PAT-0815", "study-") if word in said]
        report("scheduler killed in its unit: it, the worker and the service came back", fired=1)


def install(there: Site, files: dict[str, str]) -> None:
    """What systemd/CLUSTER.md says, all on one machine, and begins the scheduler."""
    machine = there.machine
    add_packages(machine, "distributed")
    machine.write("opt/coatcheck/bin/dask", _DASK, 0o755)
    for name, file in files.items():
        machine.write(f"etc/coatcheck/{TLS[name]}", Path(file).read_text(), 0o600 if name == "key" else 0o644)
    machine.run("chown", "coatcheck", f"/etc/coatcheck/{TLS['key']}")
    for unit in ("coatcheck-scheduler.service", "coatcheck-worker@.service"):
        machine.write(f"{UNITS}/{unit}", (ROOT / "systemd" / unit).read_text())
    machine.write("etc/coatcheck/worker.env", "COATCHECK_SCHEDULER=tls://127.0.0.1:8786\n")
    machine.write(f"{UNITS}/coatcheck-worker@.service.d/folders.conf", "[Service]\nReadWritePaths=-/srv/lung\n")
    machine.write(f"{DROP_INS}/cluster.conf", (ROOT / "systemd/coatcheck-cluster.conf").read_text())
    machine.run("ip", "link", "set", "lo", "up")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "coatcheck-scheduler")
