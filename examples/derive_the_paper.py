"""Every partial derivative of a network that learns XOR, in closed form, from its equations alone."""

from micrograd_xor import Value, derive, derive_all, explain, sigmoid


def named(node, label):
    node.label = label
    return node


weights = {"u1": 0.5, "u2": -0.4, "b_z": 0.1, "w11": 0.3, "w12": -0.2, "b1": 0.6, "w21": 0.7, "w22": 0.9, "b2": -0.8}
x1, x2, r = (Value(x, label=name) for name, x in {"x1": 1.0, "x2": 0.0, "r": 1.0}.items())
u1, u2, b_z, w11, w12, b1, w21, w22, b2 = (Value(x, label=name) for name, x in weights.items())

h1_bar = named(w11 * x1 + w12 * x2 + b1, "h1_bar")
h2_bar = named(w21 * x1 + w22 * x2 + b2, "h2_bar")
h1 = named(sigmoid(h1_bar), "h1")
h2 = named(sigmoid(h2_bar), "h2")
z_bar = named(u1 * h1 + u2 * h2 + b_z, "z_bar")
z = named(sigmoid(z_bar), "z")
E = named(-r * z.log() - (1 - r) * (1 - z).log(), "E")

print("Every partial:")
print(derive_all(E))

print("\nWhere one of them comes from:")
[path] = derive(E, w11).steps
print(path.partials[0].heading, "=", path.partials[0].rule.text, "=", path.partials[0].formula.text)
print(path.partials[1].heading, "=", path.partials[1].rule.text, "=", path.partials[1].formula.text)

print("\nWith its numbers, and one by two paths:")
print(explain(E, w11))
print(explain(E, x1))
E.backward()
print(f"backward: {w11.grad:.6g} and {x1.grad:.6g}")

print("\nOf second order, and down to the leaves:")
print(derive(E, w11, w12))
print(derive(E, u1, expand=True))

print("\nFor LaTeX and for SymPy:")
print(derive(E, w11).latex)
print(derive(E, w11).expression)
