"""Verifiers that find nothing prove something only where they find what is there: every injected fault must be found."""

import pytest

from privacy import certificates
from tests.adversarial.faults import faults_of, found
from tests.adversarial.injections import Scene
from tests.adversarial.whole_platform import Platform

FEWEST = 50


@pytest.fixture(scope="module")
def scene(platform: Platform) -> Scene:
    gone, stays = platform.take(2)
    platform.send_events([stays])
    [request] = platform.erase([gone])
    certificate = certificates.get(request.request_id)
    return Scene(platform.pseudonym(gone), platform.pseudonym(stays), certificate)


def test_every_injected_fault_is_found_and_nothing_where_there_is_none(scene: Scene) -> None:
    assert found(scene, scene.certificate) is None
    faults = faults_of(scene)
    assert len(faults) >= FEWEST
    by = {}
    for name, inject in faults.items():
        with inject(scene) as certificate:
            by[name] = found(scene, certificate)
    assert [name for name, verifier in by.items() if verifier is None] == []
    assert found(scene, scene.certificate) is None, "every fault was undone"
