"""`theta explain model`: the table, and its arithmetic where it is asked for or short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thetastar.terminal import console

if TYPE_CHECKING:
    from thetastar.explain.model.subjects import Found
    from thetastar.explain.showing import Shown

FEW = 10  # layers of a file, up to which the arithmetic is shown unasked


def shown(found: Found, formulas: bool | None) -> Shown:
    """For the terminal and as JSON; what was taken for granted is said on the way."""
    from thetastar.explain.model.table import Layers
    from thetastar.explain.showing import Shown

    if formulas is None:
        formulas = found.written and sum(row.leaf for row in found.anatomy.rows) <= FEW
    if found.said:
        console.aside().print(found.said, markup=False)
    return Shown([Layers(found.anatomy, formulas=formulas)], found.anatomy.to_json(formulas=formulas))
