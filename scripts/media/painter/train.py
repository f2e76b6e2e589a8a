"""Trains the painter on shapes that it draws itself, and writes weights.npz. Needs jax; some minutes on an idle core.

    usage: python train.py [steps]
"""
import sys, time

import jax, jax.numpy as jnp
import numpy as np

import net

BATCH, RATE = 24, 4e-3
STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
random = np.random.default_rng(7)
PALETTE = np.array(list(net.COLOURS.values()), dtype="float32")
Y, X = np.mgrid[0:net.SIZE, 0:net.SIZE].astype("float32") + 0.5


def picture(colour, shape, ground):
    """A shape with soft edges, somewhere near the middle."""
    cx, cy = net.SIZE / 2 + random.uniform(-1, 1, 2) * net.SIZE / 10
    r = random.uniform(0.24, 0.33) * net.SIZE
    dx, dy = X - cx, Y - cy
    inside = {
        "circle": r - np.hypot(dx, dy),
        "square": r * 0.9 - np.maximum(abs(dx), abs(dy)),
        "triangle": np.minimum(r * 0.8 - dy, (dy + r - 2 * abs(dx)) / 5 ** 0.5),
        "ring": r * 0.28 - abs(np.hypot(dx, dy) - r * 0.75),
        "cross": np.maximum(np.minimum(r - abs(dx), r * 0.33 - abs(dy)), np.minimum(r - abs(dy), r * 0.33 - abs(dx))),
    }[net.SHAPES[shape]]
    cover = np.clip(inside + 0.5, 0, 1)[..., None]
    return PALETTE[colour] * cover + PALETTE[ground] * (1 - cover)


def batch():
    xs, words = [], []
    for _ in range(BATCH):
        colour, shape = random.integers(len(PALETTE)), random.integers(len(net.SHAPES))
        ground = (colour + 1 + random.integers(len(PALETTE) - 1)) % len(PALETTE)  # never the shape's own colour
        xs.append(picture(colour, shape, ground) / 127.5 - 1)
        w = [colour, shape, ground]
        everything = random.random() < 0.1  # for guidance: sometimes no word at all, sometimes one of them missing
        words.append([n - 1 if everything or random.random() < 0.1 else v for v, n in zip(w, net.COUNTS)])
    return np.array(xs, dtype="float32"), np.array(words)


def convolve(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def loss(p, x, noise, t, words):
    at = (1 - t)[:, None, None, None] * noise + t[:, None, None, None] * x
    return ((net.velocity(jnp, p, at, t, words, convolve) - (x - noise)) ** 2).mean()


@jax.jit
def step(p, m, v, n, rate, x, noise, t, words):  # Adam
    value, g = jax.value_and_grad(loss)(p, x, noise, t, words)
    m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
    v = jax.tree.map(lambda a, b: 0.99 * a + 0.01 * b * b, v, g)
    p = jax.tree.map(lambda a, b, c: a - rate * (b / (1 - 0.9 ** n)) / (jnp.sqrt(c / (1 - 0.99 ** n)) + 1e-8), p, m, v)
    return p, m, v, value


p = net.init(random)
m = jax.tree.map(jnp.zeros_like, p)
v, mean, began = m, p, time.time()
print(sum(a.size for a in p.values()), "parameters", flush=True)
for n in range(1, STEPS + 1):
    x, words = batch()
    noise = random.standard_normal(x.shape).astype("float32")
    t = random.random(BATCH).astype("float32")
    rate = RATE * min(1, n / 100) * (0.5 * (1 + np.cos(np.pi * n / STEPS)) + 0.01)
    p, m, v, value = step(p, m, v, float(n), rate, x, noise, t, words)
    keep = min(0.995, n / (n + 50))
    mean = jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, mean, p)
    if n in (2, 10) or n % 100 == 0 or n == STEPS:
        print(n, "loss %.4f" % value, "%.0f s" % (time.time() - began), flush=True)
        np.savez_compressed("weights.npz", **{k: np.asarray(a, dtype="float16") for k, a in mean.items()})
