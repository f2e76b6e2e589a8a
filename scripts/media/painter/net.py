"""The painter's network and what it was taught, in numpy or jax.numpy: pass the module as np.

It paints pictures of 16 x 16 pixels of one shape in one colour on a ground of another, from words. It is a text-conditioned
flow model (rectified flow: from noise to picture along straight lines), some 80,000 parameters.
"""
SIZE = 16
COLOURS = {"red": (220, 40, 40), "green": (40, 170, 70), "blue": (50, 80, 220), "yellow": (240, 210, 50), "white": (245, 245, 245),
           "black": (20, 20, 20), "orange": (240, 140, 40), "purple": (140, 60, 180)}
SHAPES = ("circle", "square", "triangle", "ring", "cross")
# a prompt is three choices, the last of each being "any"
COUNTS = (len(COLOURS) + 1, len(SHAPES) + 1, len(COLOURS) + 1)
CHANNELS, COND = (16, 24, 32), 48


def read(prompt):
    """Gives colour, shape and ground of a prompt such as "a red circle on blue", and the words it does not know."""
    colours, any_ = list(COLOURS), (len(COLOURS), len(SHAPES), len(COLOURS))
    colour, shape, ground = any_
    seen_on, unknown = False, []
    for word in "".join(c if c.isalpha() else " " for c in prompt.lower()).split():
        if word in ("on", "over", "background"):
            seen_on = True
        elif word in colours and (seen_on or (colour != any_[0] and shape != any_[1])):
            ground = colours.index(word)
        elif word in colours:
            colour = colours.index(word)
        elif word in SHAPES or word.rstrip("s") in SHAPES:
            shape = SHAPES.index(word if word in SHAPES else word.rstrip("s"))
        elif word not in ("a", "an", "the", "of", "in", "picture", "painting", "image", "ground"):
            unknown.append(word)
    return (colour, shape, ground), unknown


def init(random):
    """Fresh parameters: a dict of name to array."""
    p = {}

    def dense(name, n, m, scale=1.0):
        p[name + ".w"] = (random.standard_normal((n, m)) * scale / n ** 0.5).astype("float32")
        p[name + ".b"] = p[name + ".w"][0] * 0

    def conv(name, n, m, k=3, scale=1.0):
        p[name + ".w"] = (random.standard_normal((k * k * n, m)) * scale / (k * k * n) ** 0.5).astype("float32")
        p[name + ".b"] = p[name + ".w"][0] * 0

    for i, n in enumerate(COUNTS):
        p["words.%d" % i] = random.standard_normal((n, COND)).astype("float32")
    dense("time", 32, COND)
    dense("cond", COND, COND)
    a, b, c = CHANNELS
    conv("stem", 3 + 2, a)
    for name, n in (("down0", a), ("down1", b), ("mid", c), ("up1", b), ("up0", a)):
        conv(name + ".1", n, n)
        conv(name + ".2", n, n, scale=0.1)
        dense(name + ".film", COND, 2 * n, scale=0.1)
    conv("to1", a, b)
    conv("to2", b, c)
    conv("back1", c, b)
    conv("back0", b, a)
    conv("out", a, 3, scale=0.1)
    return p


def velocity(np, p, x, t, words, convolve=None):
    """The direction from noise to picture: x is [n, 16, 16, 3], t is [n], words is [n, 3] integers. convolve does 3 x 3 faster."""
    def conv(name, x):
        if convolve:
            return convolve(x, p[name + ".w"].reshape(3, 3, x.shape[-1], -1)) + p[name + ".b"]
        n, h, w, _ = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        parts = [padded[:, i:i + h, j:j + w] for i in range(3) for j in range(3)]
        return np.concatenate(parts, axis=-1) @ p[name + ".w"] + p[name + ".b"]

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(x):
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=(1, 2, 3), keepdims=True) + 1e-5)

    def block(name, x, cond):
        film = (cond @ p[name + ".film.w"] + p[name + ".film.b"])[:, None, None, :]
        scale, shift = np.split(film, 2, axis=-1)
        h = conv(name + ".1", silu(norm(x) * (1 + scale) + shift))
        return x + conv(name + ".2", silu(norm(h)))

    def half(x):
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))

    def double(x):
        return np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)

    frequencies = np.exp(np.arange(16) * (np.log(1000.0) / 15))[None, :] * t[:, None]
    cond = np.concatenate([np.sin(frequencies), np.cos(frequencies)], axis=-1) @ p["time.w"] + p["time.b"]
    for i in range(3):
        cond = cond + p["words.%d" % i][words[:, i]]
    cond = silu(silu(cond) @ p["cond.w"] + p["cond.b"])
    where = np.linspace(-1, 1, SIZE)  # so that it knows the middle
    grid = np.stack(np.broadcast_arrays(where[:, None], where[None, :]), axis=-1)[None]
    grid = np.broadcast_to(grid, (x.shape[0],) + grid.shape[1:]).astype("float32")
    x0 = block("down0", conv("stem", np.concatenate([x, grid], axis=-1)), cond)
    x1 = block("down1", conv("to1", half(x0)), cond)
    x2 = block("mid", conv("to2", half(x1)), cond)
    y = block("up1", conv("back1", double(x2)) + x1, cond)
    y = block("up0", conv("back0", double(y)) + x0, cond)
    return conv("out", silu(norm(y)))


def paint(np, p, words, seed, steps=20, guidance=2.0, negative=None):
    """One picture, [16, 16, 3] bytes. guidance pulls away from what the negative words, or none, would give."""
    x = np.random.default_rng(seed).standard_normal((1, SIZE, SIZE, 3)).astype("float32")
    nothing = tuple(n - 1 for n in COUNTS)
    both = np.array([words, negative or nothing])
    for i in range(steps):
        t = np.full((2,), i / steps, dtype="float32")
        v = velocity(np, p, np.concatenate([x, x]), t, both)
        x = x + (v[1:] + guidance * (v[:1] - v[1:])) / steps
    return ((np.clip(x[0], -1, 1) + 1) * 127.5).astype("uint8")
