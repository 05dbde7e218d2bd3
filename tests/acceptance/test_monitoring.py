"""The real service, asked from outside how it does, and telling by itself that a person has to look."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance import studies
from tests.acceptance.house import House, wait_until
from tests.unit.test_monitoring import Caught, asked, listening


def test_the_service_is_asked_for_metrics_and_tells_of_what_it_set_aside(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    with listening() as url:
        with house.config.open("a") as out:
            out.write(f"metrics: ./state/socket\nnotify: {{webhook: {{url: '{url}'}}, after: 0s, at_most_every: 0s}}\n")
        with house.service():
            socket = house.state / "socket"
            wait_until(socket.exists, "it listens")
            wait_until(lambda: 'word="idle"} 1.0' in asked(socket, "/metrics")[1], "it is idle")
            house.drop("Doe^Jane/1", studies.instance(1, 1))
            house.drop("Doe^Jane/2", b"no DICOM")
            delivered = 'coatcheck_instances_delivered_total{project="lung"} 1.0'
            wait_until(lambda: house.refusals() and delivered in asked(socket, "/metrics")[1], "it is done")
            text = asked(socket, "/metrics")[1]
            assert 'coatcheck_quarantined_files{project="lung",reason="not-dicom"} 1.0' in text
            assert asked(socket, "/health")[0] == 200
            house.inbox.rename(house.root / "away")
            wait_until(lambda: "attention" in {body["kind"] for _, body in Caught.posts}, "it tells of the inbox")
            (house.root / "away").rename(house.inbox)
            wait_until(lambda: "well" in {body["kind"] for _, body in Caught.posts}, "it tells that it is over")
        assert not socket.exists()
    assert "Doe" not in text + str(Caught.posts)
