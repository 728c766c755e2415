"""A transformer of one layer, every number a `Value`, learns the letters of made-up words; then it makes up its own."""

import math
import random
from itertools import pairwise

from micrograd_xor import Value, dot, total
from micrograd_xor.optim import Adam

random.seed(42)
CONSONANTS, VOWELS = "klmnrst", "aeio"


def word():
    return "".join(random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(random.randint(1, 3)))


words = [word() for _ in range(300)]
letters = CONSONANTS + VOWELS
END = len(letters)  # the token before the first letter and after the last
WIDTH, HEADS, LENGTH = 8, 2, 8
SIZE = WIDTH // HEADS


def matrix(rows, columns):
    return [[Value(random.gauss(0, 0.3)) for _ in range(columns)] for _ in range(rows)]


token_embedding, place_embedding = matrix(END + 1, WIDTH), matrix(LENGTH, WIDTH)
query, key, value, mix = (matrix(WIDTH, WIDTH) for _ in range(4))
widen, narrow, to_logits = matrix(2 * WIDTH, WIDTH), matrix(WIDTH, 2 * WIDTH), matrix(END + 1, WIDTH)
MATRICES = (token_embedding, place_embedding, query, key, value, mix, widen, narrow, to_logits)
parameters = [p for m in MATRICES for row in m for p in row]


def linear(m, x):
    return [dot(row, x) for row in m]


def plus(x, y):
    return [a + b for a, b in zip(x, y, strict=True)]


def normal(x):
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [a * scale for a in x]


def softmax(logits):
    top = max(z.data for z in logits)
    exps = [(z - top).exp() for z in logits]
    scale = 1 / total(exps)
    return [e * scale for e in exps]


def attend(q, keys, values):
    weights = softmax([dot(q, k) / math.sqrt(SIZE) for k in keys])
    return [dot(weights, column) for column in zip(*values, strict=True)]


def next_letter(token, place, keys, values):
    """The probabilities of the token after this one; keys and values remember those before."""
    x = plus(token_embedding[token], place_embedding[place])
    h = normal(x)
    keys.append(linear(key, h))
    values.append(linear(value, h))
    q, heads = linear(query, h), [slice(i, i + SIZE) for i in range(0, WIDTH, SIZE)]
    mixed = [v for s in heads for v in attend(q[s], [k[s] for k in keys], [v[s] for v in values])]
    x = plus(x, linear(mix, mixed))
    x = plus(x, linear(narrow, [a.relu() for a in linear(widen, normal(x))]))
    return softmax(linear(to_logits, x))


def loss_of(text):
    tokens = [END, *map(letters.index, text), END]
    keys, values = [], []
    steps = enumerate(pairwise(tokens))
    surprise = [-next_letter(before, i, keys, values)[after].log() for i, (before, after) in steps]
    return total(surprise) / len(surprise)


def sample():
    token, text, keys, values = END, "", [], []
    while len(text) < LENGTH and (not text or token != END):
        weights = [p.data for p in next_letter(token, len(text), keys, values)]
        [token] = random.choices(range(END + 1), weights)
        text += letters[token] if token != END else "."
    return text


optimizer = Adam(learning_rate=lambda t: 0.03 * (1 - t / 81), beta1=0.85)
print(f"{len(words)} words, {len(parameters)} parameters, uniform guessing: {math.log(END + 1):.4f} nats a letter")
for step in range(81):
    loss = total(loss_of(text) for text in random.sample(words, 3)) / 3
    if step % 20 == 0:
        print(f"step {step:3d}: loss {loss.data:.4f}")
    for p in parameters:
        p.grad = 0.0
    loss.backward()
    optimizer.step(parameters)

print("words of its own:", *(sample() for _ in range(10)))
