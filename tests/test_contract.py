"""Every component in the tree keeps the contract; a new file is held to it with no edit here."""

from __future__ import annotations

import pytest

from thetastar import contract, registry

CASES = [
    pytest.param(folder, name, test, id=f"{folder}/{name}-{test.__name__}")
    for folder in registry.FOLDERS
    for name in registry.entries(folder)
    for test in contract.CHECKS[folder]
]


@pytest.mark.parametrize(("folder", "name", "test"), CASES)
def test_component_keeps_the_contract(folder: str, name: str, test) -> None:
    finding = contract.outcome(folder, name, test)
    if finding.outcome == "skipped":
        pytest.skip(finding.detail)
    assert finding.outcome == "ok", f"{finding.component} {finding.check}: {finding.detail}"
