"""Equations in, every derivative out: numbers, any node by any node, derivatives of derivatives."""

from micrograd_xor import Value, derivative, hessian, partials, sigmoid

x, y = Value(2.0, label="x"), Value(-1.0, label="y")
s = x * y
s.label = "s"
f = sigmoid(s) * x + y**2
f.label = "f"

f.backward()
print(f"f = {f.data:.6f}   ∂f/∂x = {x.grad:.6f}   ∂f/∂y = {y.grad:.6f}")

print(f"between any two nodes: ∂f/∂s = {derivative(f, s).data:.6f}")

(xx, xy), (yx, yy) = hessian(f, [x, y])
print(f"second derivatives: {xx.data:.6f} {xy.data:.6f} {yx.data:.6f} {yy.data:.6f}")

print("\nthe whole graph, and what each operation contributes:")
print(partials(f))
