"""The paper: a two-layer network that learns XOR, in its open, compact and closed forms.

`open_form` records the equations with Values, `closed_form` says the 25 partial derivatives, `compact_form` is the
same network in numpy for any number of hidden units, and `training` learns by gradient descent through the engine.
The last two load numpy, so their names are imported from their own modules.

>>> form = open_form(dict.fromkeys(parameter_names(2), 0.0), 0.0, 1.0, 1.0)
>>> form.E.data, CLOSED_FORMS["L3"].function(form.numbers())
(0.6931471805599453, -0.5)
"""

from micrograd_xor.xor.closed_form import CLOSED_FORMS, COMPACT_FORMS, ClosedForm
from micrograd_xor.xor.open_form import PATTERNS, OpenForm, open_form, parameter_names

__all__ = ["CLOSED_FORMS", "COMPACT_FORMS", "PATTERNS", "ClosedForm", "OpenForm", "open_form", "parameter_names"]
