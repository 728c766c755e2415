"""Every row of the table against mpmath; what the rows promise at kinks, edges and in saturation."""

import copy
import math
import pickle
import re
from fractions import Fraction

import pytest
from exact import FUNCTIONS, STEP, Exact, mp, slope
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from micrograd_xor import Value, ops
from micrograd_xor.gradient import gradient
from micrograd_xor.table import REALS, TABLE, Domain, Op
from micrograd_xor.testing import graphs, operands

INF, NAN = math.inf, math.nan
EVERY_ROW = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
TINY = 2.0**-1015  # a rule that passes through subnormal numbers rounds in their ulp, so that is the least measure
SUMS = ("total", "dot")  # their rounding grows with the sum of the terms' sizes, not with the result


def with_(attribute):
    rows = [row for row in TABLE.values() if getattr(row, attribute)]
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def points(row):
    """Operands far into saturation; powers stay away from subnormal numbers, and erf from idle digits."""
    return operands(row, size=30.0 if row.name in ("pow", "erf") else 700.0)


def ulps(got, exact):
    return float(abs(Exact(got).x - exact) / math.ulp(max(abs(float(exact)), TINY)))


def is_smooth(row, at, i):
    """Whether row's slopes on both sides of operand i are the same: a kink is tested by itself."""
    here = FUNCTIONS[row.name](*(Exact(x).x for x in at))
    after, before = (FUNCTIONS[row.name](*(Exact(x).x + h * (i == j) for j, x in enumerate(at))) for h in (STEP, -STEP))
    return abs(after + before - 2 * here) <= abs(after - before) * mp.mpf(10) ** -10


# --- the rules, against the oracle --------------------------------------------------------------


def test_the_oracle_has_every_row():
    assert FUNCTIONS.keys() == TABLE.keys()


@EVERY_ROW
@given(st.data())
@settings(max_examples=15)
def test_value_is_within_4_ulp(row, data):
    at = data.draw(points(row))
    terms = [x * y for x, y in zip(at[: len(at) // 2], at[len(at) // 2 :], strict=True)] if row.name == "dot" else at
    exact = FUNCTIONS[row.name](*(Exact(x).x for x in at))
    allowed = 4 * math.ulp(math.fsum(map(abs, terms)) if row.name in SUMS else float(exact))
    assert abs(Exact(row(*at)).x - exact) <= allowed


@EVERY_ROW
@given(st.data())
@settings(max_examples=15)
def test_partials_are_within_4_ulp(row, data):
    at = data.draw(points(row))
    for i in range(len(at)):
        assume(is_smooth(row, at, i))
        exact = slope(row, at, i)
        assert ulps(row.partial(i, at, row(*at)), exact) <= 4 + rounding_of_the_exponent(row, at)


def rounding_of_the_exponent(row, at):
    """The rule y·x^(y-1) is within 4 ulp where y - 1 is exact; elsewhere its rounding counts |log x| times."""
    if row.name != "pow" or Fraction(at[1]) - 1 == Fraction(at[1] - 1.0):
        return 0.0
    return 2.0 * abs(math.log(at[0])) * math.ulp(at[1] - 1.0) / math.ulp(1.0)


@with_("expansion")
@given(st.data())
@settings(max_examples=30)
def test_expansion_is_the_value(row, data):
    at = data.draw(points(row))
    assert row.expansion(*at) == pytest.approx(row(*at), rel=2**-50, abs=2**-1072)


@with_("identity")
@given(st.data())
@settings(max_examples=15)
def test_identity_is_a_pair_of_equal_expressions(row, data):
    at = [Exact(x) for x in data.draw(points(row))]
    accurate, textbook = row.identity(*at, row(*at))
    assert mp.almosteq(accurate.x, textbook.x, rel_eps=mp.mpf(10) ** -50)


@with_("identity")
def test_identity_starts_with_the_accurate_side(row):
    at = {"log1p": 1e-20, "expm1": 1e-20, "rsqrt": 2.0, "gaussian": 25.3, "log_sigmoid": 40.0, "softplus": -40.0}
    operands = (at.get(row.name, 20.0), 3.0)[: row.arity]
    exact = [Exact(x) for x in operands]
    accurate, textbook = row.identity(*operands, row(*operands))
    truth = row.identity(*exact, row(*exact))[0].x
    assert ulps(accurate, truth) <= 4
    assert ulps(accurate, truth) <= ulps(textbook, truth)


# --- chosen points ------------------------------------------------------------------------------

KINKS = [
    ("relu", (0.0,), (0.0,)),
    ("relu", (-0.0,), (0.0,)),
    ("abs", (0.0,), (0.0,)),
    ("step", (0.0,), (0.0,)),
    ("sign", (0.0,), (0.0,)),
    ("maximum", (2.0, 2.0), (0.5, 0.5)),
    ("minimum", (2.0, 2.0), (0.5, 0.5)),
    ("sqrt", (0.0,), (INF,)),
    ("arcsin", (1.0,), (INF,)),
    ("arcsin", (-1.0,), (INF,)),
    ("arccos", (1.0,), (-INF,)),
    ("arccos", (-1.0,), (-INF,)),
    ("where", (1.0, 2.0, 3.0), (0.0, 1.0, 0.0)),
    ("where", (0.0, 2.0, 3.0), (0.0, 0.0, 1.0)),
]


@pytest.mark.parametrize(("name", "at", "slopes"), KINKS)
def test_kinks_and_edges_follow_pytorch(name, at, slopes):
    assert swept(TABLE[name], at)[1] == slopes


SATURATED = [  # value and slope, to the last digit: what a formula that saturates or cancels would lose
    ("expm1", -40.0, -1.0, 4.248354255291589e-18),
    ("expm1", 1e-20, 1e-20, 1.0),
    ("log1p", 1e-20, 1e-20, 1.0),
    ("log_sigmoid", 0.0, -0.6931471805599453, 0.5),
    ("log_sigmoid", 700.0, -9.859676543759770e-305, 9.859676543759770e-305),
    ("log_sigmoid", -700.0, -700.0, 1.0),
    ("softplus", 700.0, 700.0, 1.0),
    ("softplus", -700.0, 9.859676543759770e-305, 9.859676543759770e-305),
    ("sigmoid", 700.0, 1.0, 9.859676543759770e-305),
    ("sigmoid", -700.0, 9.859676543759770e-305, 9.859676543759770e-305),
    ("sigmoid", 37.0, 0.9999999999999999, 8.533047625744066e-17),
    ("tanh", 350.0, 1.0, 3.9438706175039080e-304),
    ("erf", 26.0, 1.0, 4.32987427544e-294),
    ("arcsin", 1.0 - 2.0**-53, 1.570796311893735, 67108864.00000001),
]


@pytest.mark.parametrize(("name", "x", "value", "partial"), SATURATED)
def test_saturation_loses_no_digit(name, x, value, partial):
    data, [grad] = swept(TABLE[name], (x,))
    assert data == pytest.approx(value, rel=1e-15)
    assert grad == pytest.approx(partial, rel=1e-11 if name == "erf" else 1e-15)


@pytest.mark.parametrize("logit", [-700.0, -40.0, 0.0, 40.0, 700.0])
@pytest.mark.parametrize("r", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_is_exact_in_saturation(logit, r):
    z_bar, target = Value(logit), Value(r)
    loss = ops.binary_cross_entropy(z_bar, target)
    loss.backward()
    z = 1 / (1 + mp.exp(-mp.mpf(logit)))
    exact = -mp.mpf(r) * mp.log(z) - (1 - mp.mpf(r)) * mp.log(1 - z)
    assert loss.data == pytest.approx(float(exact), rel=4e-16)
    assert loss.data == ops.binary_cross_entropy(logit, r)
    assert z_bar.grad == pytest.approx(float(z - mp.mpf(r)), rel=4e-16)
    assert target.grad == pytest.approx(-logit, rel=4e-16)


def swept(row, at):
    leaves = [Value(x) for x in at]
    out = row(*leaves)
    out.backward()
    return out.data, tuple(x.grad for x in leaves)


# --- not a number, infinity, errors -------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in TABLE.values() if row.name not in ("step", "sign", "where")], ids=repr)
def test_nan_passes_through(row):
    for i in range(row.arity or 2):
        at = [NAN if i == j else 0.5 for j in range(row.arity or 2)]
        assert math.isnan(row(*at))


@pytest.mark.parametrize("row", [ops.maximum, ops.minimum], ids=repr)
def test_a_nan_on_either_side_wins(row):
    assert math.isnan(row(1.0, NAN))
    assert math.isnan(row(NAN, 1.0))


LIMITS = [
    ("exp", -INF, 0.0), ("expm1", -INF, -1.0), ("tanh", INF, 1.0), ("sigmoid", INF, 1.0), ("sigmoid", -INF, 0.0),
    ("softplus", -INF, 0.0), ("softplus", INF, INF), ("log_sigmoid", INF, 0.0), ("log_sigmoid", -INF, -INF),
    ("gaussian", INF, 0.0), ("erf", -INF, -1.0), ("relu", -INF, 0.0), ("relu", INF, INF), ("log", INF, INF),
    ("sqrt", INF, INF), ("rsqrt", INF, 0.0), ("rsqrt", 0.0, INF), ("arctan", INF, math.pi / 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "value"), LIMITS)
def test_infinity_gives_the_limit(name, x, value):
    assert TABLE[name](x) == value


OUTSIDE = [
    ("log", (0.0,), ValueError, "log's operand must be greater than 0, got log(x0 = 0.0)."),
    ("log1p", (-1.0,), ValueError, "log1p's operand must be greater than -1, got log1p(x0 = -1.0)."),
    ("sqrt", (-4.0,), ValueError, "sqrt's operand must be at least 0, got sqrt(x0 = -4.0)."),
    ("rsqrt", (-4.0,), ValueError, "rsqrt's operand must be at least 0, got rsqrt(x0 = -4.0)."),
    ("arcsin", (1.5,), ValueError, "arcsin's operand must be between -1 and 1, got arcsin(x0 = 1.5)."),
    ("arccos", (-1.5,), ValueError, "arccos's operand must be between -1 and 1, got arccos(x0 = -1.5)."),
    ("exp", (1000.0,), OverflowError, "exp's operand must be at most 709.782712893384, got exp(x0 = 1000.0)."),
    ("cosh", (-1e3,), OverflowError, "cosh's operand must be within ±710.475860073943, got cosh(x0 = -1000.0)."),
    ("div", (1.0, 0.0), ZeroDivisionError, "div's right operand must be other than 0, got div(x0 = 1.0, x1 = 0.0)."),
    ("pow", (-8.0, 1 / 3), ValueError, "pow's left operand must be greater than 0, got pow(x0 = -8.0, x1 = 0.33"),
    ("pow", (10.0, 400.0), OverflowError, "pow's result must be a number that fits in a float64, got pow(x0 = 10.0,"),
    ("sin", (INF,), ValueError, "sin's result must be a number that fits in a float64, got sin(x0 = inf)."),
]


@pytest.mark.parametrize(("name", "at", "kind", "text"), OUTSIDE)
def test_an_error_names_operation_label_and_value(name, at, kind, text):
    with pytest.raises(kind, match=re.escape(text)) as raised:
        TABLE[name](*(Value(x, label=f"x{i}") for i, x in enumerate(at)))
    assert raised.value.__suppress_context__
    with pytest.raises(kind, match=re.escape(re.sub(r"x\d = ", "", text))):
        TABLE[name](*at)


def test_an_error_ends_with_a_remedy():
    with pytest.raises(ValueError, match=r"got log\(0\.0\)\. Keep it away from the edge; a prob.* log_sigmoid of its"):
        ops.log(0.0)


def test_an_error_shows_an_unlabelled_operand_by_its_value():
    with pytest.raises(ZeroDivisionError, match=re.escape("got div(3.0, w = 0.0).")):
        Value(3.0) / Value(0.0, label="w")


@pytest.mark.parametrize("wrong", ["a", [1], None, 1j, pytest.param(object(), id="object")], ids=repr)
def test_a_row_refuses_what_is_no_number(wrong):
    for call in (ops.sin, lambda x: ops.add(1.0, x), lambda x: ops.add(Value(1.0), x)):
        with pytest.raises(TypeError, match=r"An operand must be a real number or a Value, got .*float\(\) first\."):
            call(wrong)


def test_a_row_refuses_a_number_beyond_float64():
    with pytest.raises(OverflowError, match=r"An operand must fit in a float64, got a larger int\. Scale it down\."):
        ops.sin(10**400)


@pytest.mark.parametrize("at", [(), (1.0, 2.0), (Value(1.0), 2.0)], ids=str)
def test_a_row_refuses_a_wrong_number_of_operands(at):
    with pytest.raises(TypeError, match=f"sin must take 1 operands, got {len(at)}. Check the call."):
        ops.sin(*at)


@EVERY_ROW
def test_integers_fractions_and_booleans_are_numbers(row):
    at = [Fraction(1, 2), True, 1][: row.arity or 2]
    assert row(*at) == row(*map(float, at))
    assert type(row(*at)) is float


# --- the table itself ---------------------------------------------------------------------------


@EVERY_ROW
def test_a_row_is_one_object_wherever_it_goes(row):
    assert TABLE[row.name] is row
    assert row in vars(ops).values()
    assert pickle.loads(pickle.dumps(row)) is row
    assert copy.deepcopy(row) is row
    assert copy.copy(row) is row
    assert repr(row) == f"<row {row.name}>"


@EVERY_ROW
def test_a_row_says_the_domain_of_each_operand(row):
    assert len(row.domain) == (row.arity or 0)


def test_the_arity_is_the_number_of_partials():
    assert (ops.sin.arity, ops.add.arity, ops.where.arity, ops.summation.arity) == (1, 2, 3, None)


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Domain("x", low=0.0), [0.0, 1.0, NAN], [-1e-300]),
        (Domain("x", low=0.0, closed=False), [5e-324], [0.0, -0.0]),
        (Domain("x", hole=0.0), [-1.0, 5e-324], [0.0, -0.0]),
        (Domain("x", low=-1.0, high=1.0), [-1.0, 1.0], [math.nextafter(1.0, 2.0)]),
    ],
)
def test_domain(domain, inside, outside):
    assert all(map(domain.contains, inside))
    assert not any(map(domain.contains, outside))


def test_a_name_is_used_once():
    with pytest.raises(ValueError, match=r"A row's name must be new to the table, got 'sin'\. Choose another name\."):
        Op("sin", "sin", math.sin, (ops.cos,))
    assert TABLE["sin"] is ops.sin


@pytest.fixture
def cube():
    row = Op("cube", "³", lambda x: x * x * x, (lambda x, _: 3.0 * x * x,), (REALS,))
    yield row
    del TABLE["cube"]


def test_a_new_row_works_everywhere(cube):
    x = Value(2.0, label="x")
    y = cube(x)
    y.backward()
    [first] = gradient(y, [x])
    [second] = gradient(first, [x])
    assert (cube(2.0), y.data, x.grad, first.data, second.data) == (8.0, 8.0, 12.0, 12.0, 12.0)
    assert (y.op, y._op, y.args, y.partials) == (cube, "³", (x,), (12.0,))


@given(st.data())
@settings(max_examples=10)
def test_a_new_row_joins_the_strategies(data):
    row = Op("square", "²", lambda x: x * x, (lambda x, _: 2.0 * x,))
    try:
        [x] = data.draw(operands(row))
        graph = data.draw(graphs([row], size=3))
        assert row(x) == x * x
        assert {row} >= {step for step, _ in graph.steps}
    finally:
        del TABLE["square"]
