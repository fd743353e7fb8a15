"""The equations of docs/neurons.md in plain numpy float64, one environment at a time; knows nothing of `snn`.

A graph is a list of nodes, (operation, numbers of the values that it takes), where value 0 is the input and entry n
makes value n + 1, and the numbers of its outputs. An operation is a dict: a layer of neurons, "add", "cat"
or a linear map.
"""

from functools import partial

import numpy as np
import torch
from torch import nn

# --- linear operations -----------------------------------------------------------------------------------------------


def convolve(x, w, stride, padding, groups):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
    inputs, outputs = w.shape[1], w.shape[0] // groups
    parts = [
        np.einsum("chwij,ocij->ohw", windows[g * inputs : (g + 1) * inputs], w[g * outputs : (g + 1) * outputs])
        for g in range(groups)
    ]
    return np.concatenate(parts)


def linear_part(op, x):
    if op["kind"] == "conv":
        return convolve(x, op["w"], op["stride"], op["padding"], op["groups"])
    if op["kind"] == "dense":
        return op["w"] @ x.reshape(-1)
    k = op["k"]
    c, h, w = x.shape
    return x[:, : h // k * k, : w // k * k].reshape(c, h // k, k, w // k, k).mean((2, 4))


def affine(op, x, bias):
    y = linear_part(op, x)
    if bias and op["kind"] != "pool":
        y = y + (op["b"][:, None, None] if op["kind"] == "conv" else op["b"])
    return y


# --- fire rules ------------------------------------------------------------------------------------------------------


def fire(rule, n, m, c, theta, slack, strict):
    """slack: of the test of c, as a fraction of the smallest magnitude; strict: if and snm fire above the threshold."""
    up = m > theta if strict else m >= theta
    if rule == "if":
        return theta * up
    if rule == "snm":
        down = (m <= 0) & (c >= theta - slack * theta) & ~up
        return theta * up - theta * down
    x, smallest = np.zeros_like(m), theta / 2 ** (n - 1)
    for i in range(n, 0, -1):  # the largest that fires is written last
        magnitude = theta / 2 ** (i - 1)
        up = m >= 0.75 * magnitude
        down = (m <= -0.75 * magnitude) & (c >= magnitude - slack * smallest)
        x = np.where(up, magnitude, np.where(down, -magnitude, x))
    return np.where(theta > 0, x, 0)


# --- the network -----------------------------------------------------------------------------------------------------


def chain(ops):
    """The graph of operations in a row."""
    return [(op, (number,)) for number, op in enumerate(ops)], [len(ops)]


def thresholds(nodes):
    return [op["theta"] for op, _ in nodes if op["kind"] == "relu"]


class Oracle:
    """One environment's network, from an episode's start on. slack, strict: see `fire`."""

    def __init__(self, nodes, outputs, rule, coding, n, timesteps, alpha, slack=None, strict=False):
        self.nodes, self.outputs, self.coding, self.timesteps, self.alpha = nodes, outputs, coding, timesteps, alpha
        usual = 1 / 1000 if coding == "differential" else 1 / 2
        self.fire = partial(fire, rule, n, slack=usual if slack is None else slack, strict=strict)
        self.base = 1 / 2 if rule in ("if", "snm") else 0
        self.previous = None

    def values(self, x, spiking, bias):
        """All values of the graph for the input x; spiking(number of the layer, its current) -> what it sends."""
        values, layers = [x], 0
        for op, inputs in self.nodes:
            given = [values[i] for i in inputs]
            if op["kind"] == "relu":
                values.append(spiking(layers, given[0]))
                layers += 1
            elif op["kind"] == "add":
                values.append(given[0] + given[1])
            elif op["kind"] == "cat":
                values.append(np.concatenate(given))
            else:
                values.append(affine(op, given[0], bias))
        return values

    def decide(self, observation):
        """One decision. Returns y; leaves spikes[l][t], currents[l][t], rates[l][t], v0[l] and v[l] (last)."""
        obs = np.asarray(observation, np.float64)
        differential = self.coding == "differential"
        bias = []

        def silent(layer, current):
            bias.append(current)
            return np.zeros_like(current)

        still = self.values(np.zeros_like(obs), silent, True)
        pairs = zip(thresholds(self.nodes), bias)
        theta = [np.broadcast_to(th[:, None, None] if b.ndim == 3 else th, b.shape) for th, b in pairs]
        v = [self.base * th for th in theta]
        for i, (v_end, v_start, c_end) in enumerate(self.previous or []):
            delta = np.maximum(v_end - v_start, -c_end)
            v[i] = v[i] + np.clip(self.alpha * delta, -theta[i] / 2, theta[i] / 2)
        self.v0 = [a.copy() for a in v]
        c = [np.zeros_like(a) for a in v]
        m_in, m_out = [b.copy() for b in bias], [np.zeros_like(a) for a in v]
        self.spikes, self.currents, self.rates = ([[] for _ in v] for _ in range(3))

        def spiking(i, wx):
            if differential:
                current = m_in[i] + wx
                m = v[i] + current - m_out[i]
                x = self.fire(m, c[i] + m_out[i], theta[i])
                c[i] = c[i] + m_out[i] + x
                self.rates[i].append(m_out[i] + x)
                m_in[i] = m_in[i] + wx / t
                m_out[i] = m_out[i] + x / t
            else:
                current = wx
                m = v[i] + current
                x = self.fire(m, c[i], theta[i])
                c[i] = c[i] + x
                self.rates[i].append(x)
            v[i] = m - x
            self.spikes[i].append(x)
            self.currents[i].append(current)
            return x

        totals = [still[i] if differential else np.zeros_like(still[i]) for i in self.outputs]
        for t in range(1, self.timesteps + 1):
            sent = obs if t == 1 or not differential else np.zeros_like(obs)
            values = self.values(sent, spiking, not differential)
            totals = [total + values[i] / (t if differential else 1) for total, i in zip(totals, self.outputs)]
        self.v = v
        self.previous = list(zip(v, self.v0, c))
        y = totals if differential else [total / self.timesteps for total in totals]
        return y[0] if len(y) == 1 else y


# --- the same networks as torch modules and as random draws -----------------------------------------------------------


def layer_of(op):
    """The torch module (float64) of an operation."""
    if op["kind"] == "relu":
        return nn.ReLU()
    if op["kind"] == "pool":
        return nn.AvgPool2d(op["k"])
    if op["kind"] == "conv":
        o, i = op["w"].shape[:2]
        geometry = op["w"].shape[2:], op["stride"], op["padding"]
        layer = nn.Conv2d(i * op["groups"], o, *geometry, groups=op["groups"], dtype=torch.float64)
    else:
        layer = nn.Linear(op["w"].shape[1], op["w"].shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(op["w"]))
        layer.bias.copy_(torch.from_numpy(op["b"]))
    return layer


class GraphModule(nn.Module):
    """The torch module of a graph; several outputs are a tuple."""

    def __init__(self, nodes, outputs):
        super().__init__()
        self.nodes, self.outputs = nodes, outputs
        self.parts = nn.ModuleList(nn.Identity() if op["kind"] in ("add", "cat") else layer_of(op) for op, _ in nodes)

    def forward(self, x):
        values = [x]
        for (op, inputs), part in zip(self.nodes, self.parts):
            given = [values[i] for i in inputs]
            if op["kind"] == "add":
                values.append(given[0] + given[1])
            elif op["kind"] == "cat":
                values.append(torch.cat(given, 1))
            else:
                values.append(part(given[0].flatten(1) if op["kind"] == "dense" else given[0]))
        returned = tuple(values[i] for i in self.outputs)
        return returned if len(returned) > 1 else returned[0]


class Draw:
    """Random operations. With `ties` every number is a small dyadic fraction, so that sums are exact and thresholds are
    met exactly; some thresholds are 0."""

    def __init__(self, seed, ties):
        self.rng, self.ties = np.random.default_rng(seed), ties

    def numbers(self, *shape, scale=1.0):
        return self.rng.integers(-4, 5, shape) / 4 if self.ties else self.rng.normal(0, scale, shape)

    def thresholds(self, n):
        if self.ties:
            return self.rng.choice([0.0, 0.25, 0.5, 1.0, 2.0], n)
        return np.where(self.rng.random(n) < 0.1, 0.0, self.rng.uniform(0.1, 2.0, n))

    def dense(self, i, o):
        w, b = self.numbers(o, i, scale=1.5 / np.sqrt(i)), self.numbers(o, scale=0.3)
        return {"kind": "dense", "w": w, "b": b}

    def conv(self, i, o, groups=1, k=3, stride=1, padding=1):
        w = self.numbers(o, i // groups, k, k, scale=1.5 / np.sqrt(i // groups * k * k))
        b = self.numbers(o, scale=0.3)
        return {"kind": "conv", "w": w, "b": b, "stride": stride, "padding": padding, "groups": groups}

    def relu(self, n):
        return {"kind": "relu", "theta": self.thresholds(n)}


KINDS = ("chain", "residual", "concatenated", "heads")


def random_graph(seed, kind, conv, ties):
    """nodes, outputs, input shape: sums by identity and by weights, joined layers with the input, or several heads."""
    if kind == "chain":
        return random_chain(seed, conv, ties)
    draw = Draw(seed, ties)
    n, shape = 4, (2, 4, 5) if conv else (3,)
    layer = draw.conv if conv else draw.dense
    size = n * 20 if conv else n
    if kind == "residual":  # 2: relu(a); 5: relu(b(2) + 2); 9: relu(c(5) + d(input))
        sums = [(layer(n, n), (2,)), ({"kind": "add"}, (3, 2)), (draw.relu(n), (4,))]
        sums += [(layer(n, n), (5,)), (layer(shape[0], n), (0,)), ({"kind": "add"}, (6, 7)), (draw.relu(n), (8,))]
        nodes, outputs = sums + [(draw.dense(size, 2), (9,))], [10]
    elif kind == "concatenated":  # 4: relu(b(2)); 7: relu(c(2, 4, input)); out of 4 and 7
        joined = 2 * n + shape[0]
        nodes = [(layer(n, n), (2,)), (draw.relu(n), (3,)), ({"kind": "cat"}, (2, 4, 0)), (layer(joined, n), (5,))]
        nodes += [(draw.relu(n), (6,)), ({"kind": "cat"}, (4, 7)), (draw.dense(2 * size, 2), (8,))]
        outputs = [9]
    else:  # 3: of the trunk; 6: of a branch with neurons of its own; 2: the trunk itself
        nodes = [(draw.dense(size, 2), (2,)), (draw.dense(size, n), (2,)), (draw.relu(n), (4,))]
        nodes, outputs = nodes + [(draw.dense(n, 3), (5,))], [3, 6, 2]
    return [(layer(shape[0], n), (0,)), (draw.relu(n), (1,)), *nodes], outputs, shape


def random_chain(seed, conv, ties):
    """nodes, outputs, input shape."""
    draw, ops = Draw(seed, ties), []
    rng = draw.rng
    if conv:
        shape = (2, int(rng.integers(5, 8)), int(rng.integers(5, 8)))
        groups = int(rng.integers(1, 3))
        first = draw.conv(2, 4, groups, 3, int(rng.integers(1, 3)), int(rng.integers(0, 2)))
        ops += [first, draw.relu(4), draw.conv(4, 3, 1, 2, 1, 0)]
        if rng.random() < 0.5:
            ops[-1:] = [{"kind": "pool", "k": 2}, draw.conv(4, 3, 1, 1, 1, 0)]
        ops.append(draw.relu(3))
    else:
        shape = (int(rng.integers(1, 6)),)
    x = np.zeros(shape)
    for op in ops:
        x = x if op["kind"] == "relu" else affine(op, x, True)
    width = x.size
    for _ in range(int(rng.integers(1, 3))):
        units = int(rng.integers(1, 9))
        ops += [draw.dense(width, units), draw.relu(units)]
        width = units
    return *chain([*ops, draw.dense(width, int(rng.integers(1, 4)))]), shape


def observations(seed, shape, count, ties):
    rng = np.random.default_rng([seed, 1])
    return [rng.integers(-4, 5, shape) / 2 if ties else rng.normal(0, 1, shape) for _ in range(count)]
