"""The paper's section 2: every partial derivative in closed form, by id, as text and as a plain function.

The functions are plain arithmetic on what the names stand for: floats, mpmath's numbers, Values.
"""
# U is the paper's name

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClosedForm:
    """One row of the paper: ∂of/∂by, both names of nodes, as the paper's `text` and as `rule`, its function.

    >>> row = CLOSED_FORMS["L2"]
    >>> f"∂{row.of}/∂{row.by} = {row.text}", row.function({"z": 0.5})
    ('∂z/∂z_bar = z (1 - z)', 0.25)
    """

    id: str
    of: str
    by: str
    text: str
    rule: Callable[..., Any]

    def function(self, names: Mapping[str, Any]) -> Any:
        """The partial where the names have these numbers; names that it does not use are let pass."""
        return self.rule(**names)


def _by_id(*rows: ClosedForm) -> dict[str, ClosedForm]:
    return {row.id: row for row in rows}


CLOSED_FORMS: dict[str, ClosedForm] = _by_id(
    ClosedForm("L1", "E", "z", "(z - r) / (z (1 - z))", lambda z, r, **_: (z - r) / (z * (1 - z))),
    ClosedForm("L2", "z", "z_bar", "z (1 - z)", lambda z, **_: z * (1 - z)),
    ClosedForm("L3", "E", "z_bar", "z - r", lambda z, r, **_: z - r),
    ClosedForm("L4", "z_bar", "u1", "h1", lambda h1, **_: h1),
    ClosedForm("L5", "z_bar", "u2", "h2", lambda h2, **_: h2),
    ClosedForm("L6", "z_bar", "b_z", "1", lambda **_: 1.0),
    ClosedForm("L7", "z_bar", "h1", "u1", lambda u1, **_: u1),
    ClosedForm("L8", "z_bar", "h2", "u2", lambda u2, **_: u2),
    ClosedForm("L9", "h1", "h1_bar", "h1 (1 - h1)", lambda h1, **_: h1 * (1 - h1)),
    ClosedForm("L10", "h2", "h2_bar", "h2 (1 - h2)", lambda h2, **_: h2 * (1 - h2)),
    ClosedForm("L11", "h1_bar", "w11", "x1", lambda x1, **_: x1),
    ClosedForm("L12", "h1_bar", "w12", "x2", lambda x2, **_: x2),
    ClosedForm("L13", "h2_bar", "w21", "x1", lambda x1, **_: x1),
    ClosedForm("L14", "h2_bar", "w22", "x2", lambda x2, **_: x2),
    ClosedForm("L15", "h1_bar", "b1", "1", lambda **_: 1.0),
    ClosedForm("L16", "h2_bar", "b2", "1", lambda **_: 1.0),
    ClosedForm("T1", "E", "u1", "(z - r) h1", lambda z, r, h1, **_: (z - r) * h1),
    ClosedForm("T2", "E", "u2", "(z - r) h2", lambda z, r, h2, **_: (z - r) * h2),
    ClosedForm("T3", "E", "b_z", "(z - r)", lambda z, r, **_: z - r),
    ClosedForm(
        "T4", "E", "w11", "(z - r) u1 h1 (1 - h1) x1", lambda z, r, u1, h1, x1, **_: (z - r) * u1 * h1 * (1 - h1) * x1
    ),
    ClosedForm(
        "T5", "E", "w12", "(z - r) u1 h1 (1 - h1) x2", lambda z, r, u1, h1, x2, **_: (z - r) * u1 * h1 * (1 - h1) * x2
    ),
    ClosedForm("T6", "E", "b1", "(z - r) u1 h1 (1 - h1)", lambda z, r, u1, h1, **_: (z - r) * u1 * h1 * (1 - h1)),
    ClosedForm(
        "T7", "E", "w21", "(z - r) u2 h2 (1 - h2) x1", lambda z, r, u2, h2, x1, **_: (z - r) * u2 * h2 * (1 - h2) * x1
    ),
    ClosedForm(
        "T8", "E", "w22", "(z - r) u2 h2 (1 - h2) x2", lambda z, r, u2, h2, x2, **_: (z - r) * u2 * h2 * (1 - h2) * x2
    ),
    ClosedForm("T9", "E", "b2", "(z - r) u2 h2 (1 - h2)", lambda z, r, u2, h2, **_: (z - r) * u2 * h2 * (1 - h2)),
)
"""Section 2.1, the 25 rows: local partials L1 .. L16 and totals T1 .. T9, for two hidden units."""

COMPACT_FORMS: dict[str, ClosedForm] = _by_id(
    ClosedForm("C1", "E", "U", "(z - r) hᵀ", lambda z, r, h, **_: (z - r) * h.T),
    ClosedForm("C2", "E", "b_z", "(z - r)", lambda z, r, **_: z - r),
    ClosedForm(
        "C3", "E", "W", "(z - r) ((1 - h) ⊙ h ⊙ Uᵀ) xᵀ", lambda z, r, h, U, x, **_: (z - r) * ((1 - h) * h * U.T) @ x.T
    ),
    ClosedForm("C4", "E", "b_h", "(z - r) ((1 - h) ⊙ h ⊙ Uᵀ)", lambda z, r, h, U, **_: (z - r) * ((1 - h) * h * U.T)),
)
"""Section 2.2, for arrays of the paper's shapes: U (1, H), h (H, 1), x (2, 1); z and r are scalars."""
