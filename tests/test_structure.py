"""What the design promises of the package as a whole, read from its source and from a fresh interpreter."""

import ast
import importlib
import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import micrograd_xor

PACKAGE = Path(micrograd_xor.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ["numpy", "sympy", "llvmlite", "matplotlib", "graphviz", "rich", "typer", "hypothesis"]
CORE = {  # what loading each module of the core may import of the package, at most
    "_cython": set(),
    "table": set(),
    "ops": {"table"},
    "value": {"ops", "table", "_cython"},
    "gradient": {"ops", "value"},
}
ON_THE_CORE = ["tape", "register", "draw", "derive"]  # these sit on the core, and on no front end
FRONT = {"xor", "cli", "__main__", "testing"}


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


MODULES = {module_of(path): path for path in FILES}


def imports(path, *, when_loaded=False):
    """The modules that a file imports, by full name; with `when_loaded` not those inside functions."""
    found = set()
    for node in walk(ast.parse(path.read_text(encoding="utf-8")), when_loaded):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} must import by full names."
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & {
                f"micrograd_xor.{name}" for name in MODULES
            }
            found |= submodules or {node.module}
    return found


def walk(tree, when_loaded):
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        if not (when_loaded and isinstance(node, ast.FunctionDef | ast.Lambda)) and not is_for_types(node):
            stack += ast.iter_child_nodes(node)


def is_for_types(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def own_imports(name, **how):
    """The package's modules that a module imports, without the package's name."""
    prefix = "micrograd_xor"
    found = {m for m in imports(MODULES[name], **how) if m == prefix or m.startswith(prefix + ".")}
    return {m.removeprefix(prefix).removeprefix(".") or "__init__" for m in found}


def in_a_fresh_interpreter(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=60
    )
    return done.stdout.split()


# --- imports ------------------------------------------------------------------------------------


def test_imports_are_acyclic():
    tops = {name: own_imports(name, when_loaded=True) - {"__init__"} for name in MODULES if name != "__init__"}
    order = list(TopologicalSorter(tops).static_order())
    assert set(order) >= tops.keys()


@pytest.mark.parametrize("name", CORE)
def test_the_core_is_layered(name):
    assert own_imports(name, when_loaded=True) <= CORE[name]


@pytest.mark.parametrize("name", [name for name in ON_THE_CORE if name in MODULES])
def test_what_sits_on_the_core_knows_no_front_end(name):
    assert {m.split(".")[0] for m in own_imports(name)}.isdisjoint(FRONT)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("emit_")])
def test_emitters_know_no_calculus(name):
    assert own_imports(name).isdisjoint({"gradient", "derive"})


def test_nothing_imports_testing():
    assert [name for name in MODULES if "testing" in own_imports(name)] == []


def test_importing_the_package_loads_nothing_heavy():
    loaded = in_a_fresh_interpreter("import sys, micrograd_xor; print(*sys.modules)")
    assert "micrograd_xor.value" in loaded
    assert set(HEAVY).isdisjoint(name.split(".")[0] for name in loaded)


def test_running_the_core_loads_nothing_heavy():
    code = """
import sys
from micrograd_xor import *
x = Value(0.5, label="x")
y = x.sigmoid() * 2 + x**2
y.backward()
print(gradient(y, [x]), partials(y), file=sys.stderr)
print(*sys.modules)
"""
    assert set(HEAVY).isdisjoint(name.split(".")[0] for name in in_a_fresh_interpreter(code))


# --- size and words -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_docstring(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))


def public(tree):
    """The public functions and classes of a module, and the public methods of its classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


def is_said_elsewhere(node):
    """A setter or an overload, whose docstring is its getter's or its implementation's."""
    names = {ast.unparse(decorator) for decorator in node.decorator_list}
    return any(name.endswith(".setter") or name == "overload" for name in names)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "_cython"])  # whose names are Cython's
def test_every_public_name_has_a_docstring(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    bare = [what for what, node in public(tree) if not ast.get_docstring(node) and not is_said_elsewhere(node)]
    assert bare == []


def test_what_the_package_exports_has_a_docstring_or_is_a_row():
    for name, thing in vars(micrograd_xor).items():
        if not name.startswith("_") and not inspect.ismodule(thing) and callable(thing):
            assert thing.__doc__, name


def test_there_are_no_drawers():
    assert MODULES.keys().isdisjoint({"utils", "helpers", "errors", "common", "misc"})


def test_functions_that_share_a_module_s_name_hide_no_module():
    assert callable(micrograd_xor.gradient)
    assert inspect.ismodule(importlib.import_module("micrograd_xor.gradient"))
