"""The equations of docs/neurons.md in plain numpy float64, one environment at a time; knows nothing of `snn`.

A network is a list of layers and a readout; a layer is (linear operations, thresholds), an operation a dict.
"""

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


def through(ops, x, bias):
    for op in ops:
        x = affine(op, x, bias)
    return x


# --- fire rules ------------------------------------------------------------------------------------------------------


def fire(rule, n, m, c, theta, slack):
    """slack: 1/2 (rate) or 1/1000 (differential) of the smallest magnitude."""
    x = np.zeros_like(m)
    if rule == "if":
        x[m >= theta] = 1
        return x * theta
    if rule == "snm":
        x[m >= theta] = 1
        x[(m <= 0) & (c >= theta - slack * theta) & ~(m >= theta)] = -1
        # both conditions at once only where theta = 0
        return x * theta
    smallest = theta / 2 ** (n - 1)
    for i in range(n, 0, -1):  # the largest that fires is written last
        magnitude = theta / 2 ** (i - 1)
        up = m >= 0.75 * magnitude
        down = (m <= -0.75 * magnitude) & (c >= magnitude - slack * smallest)
        x = np.where(up, magnitude, np.where(down, -magnitude, x))
    return np.where(theta > 0, x, 0)


# --- the network -----------------------------------------------------------------------------------------------------


class Oracle:
    """One environment. layers: [(ops, theta per channel or unit)], readout: ops."""

    def __init__(self, layers, readout, rule, coding, n, timesteps, alpha):
        self.layers, self.readout = layers, readout
        self.rule, self.coding, self.n, self.timesteps, self.alpha = rule, coding, n, timesteps, alpha
        self.begin_episode()

    def begin_episode(self):
        self.previous = None

    def decide(self, observation):
        """One decision. Returns y; leaves spikes[l][t], v0[l], v[l] (last), c[l] and currents[l][t]."""
        obs = np.asarray(observation, np.float64)
        depth, differential = len(self.layers), self.coding == "differential"
        bias, theta = [], []
        x = obs
        for ops, th in self.layers:
            b = through(ops, np.zeros_like(x), True)
            bias.append(b)
            theta.append(np.broadcast_to(th[:, None, None] if b.ndim == 3 else th, b.shape))
            x = b
        base = [th / 2 if self.rule in ("if", "snm") else 0 * th for th in theta]
        if self.previous is None:
            v = [b.copy() for b in base]
        else:
            v = []
            for b, th, (v_end, v_start, c_end) in zip(base, theta, self.previous):
                delta = np.maximum(v_end - v_start, -c_end)
                v.append(b + np.clip(self.alpha * delta, -th / 2, th / 2))
        self.v0 = [a.copy() for a in v]
        c = [np.zeros_like(a) for a in v]
        m_in, m_out = [b.copy() for b in bias], [np.zeros_like(a) for a in v]
        readout_in = through(self.readout, np.zeros_like(v[-1]), True)
        readout_sum = np.zeros_like(readout_in)
        self.spikes, self.currents = [[] for _ in v], [[] for _ in v]
        self.rates = [[] for _ in v]
        for t in range(1, self.timesteps + 1):
            x = obs if t == 1 or not differential else np.zeros_like(obs)
            for i in range(depth):
                ops = self.layers[i][0]
                if differential:
                    wx = through(ops, x, False)
                    current = m_in[i] + wx
                    m = v[i] + current - m_out[i]
                    x = fire(self.rule, self.n, m, c[i] + m_out[i], theta[i], 1 / 1000)
                    c[i] = c[i] + m_out[i] + x
                    self.rates[i].append(m_out[i] + x)
                    m_in[i] = m_in[i] + wx / t
                    m_out[i] = m_out[i] + x / t
                else:
                    current = through(ops, x, False) + bias[i]
                    m = v[i] + current
                    x = fire(self.rule, self.n, m, c[i], theta[i], 1 / 2)
                    c[i] = c[i] + x
                    self.rates[i].append(x)
                v[i] = m - x
                self.spikes[i].append(x)
                self.currents[i].append(current)
            if differential:
                readout_in = readout_in + through(self.readout, x, False) / t
            else:
                readout_sum = readout_sum + through(self.readout, x, True)
        self.v, self.c = v, c
        self.previous = list(zip(v, self.v0, c))
        return readout_in if differential else readout_sum / self.timesteps


# --- the same networks as torch modules and as random draws -----------------------------------------------------------


class Reshape(nn.Module):
    def forward(self, x):
        return x.view(x.shape[0], -1)


def module_of(layers, readout):
    """The torch module (float64) of an oracle's layers."""
    parts, flat = [], False

    def add(op):
        nonlocal flat
        if op["kind"] == "pool":
            parts.append(nn.AvgPool2d(op["k"]))
            return
        if op["kind"] == "conv":
            o, i = op["w"].shape[:2]
            layer = nn.Conv2d(
                i * op["groups"],
                o,
                op["w"].shape[2:],
                op["stride"],
                op["padding"],
                groups=op["groups"],
                dtype=torch.float64,
            )
        else:
            if not flat:
                parts.append(Reshape())
                flat = True
            layer = nn.Linear(op["w"].shape[1], op["w"].shape[0], dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(op["w"]))
            layer.bias.copy_(torch.from_numpy(op["b"]))
        parts.append(layer)

    for ops, _ in layers:
        for op in ops:
            add(op)
        parts.append(nn.ReLU())
    for op in readout:
        add(op)
    return nn.Sequential(*parts)


def random_network(seed, conv, ties):
    """layers, readout, input shape. With `ties` every number is a small dyadic fraction, so that sums are exact and
    thresholds are met exactly; some thresholds are 0."""
    rng = np.random.default_rng(seed)

    def numbers(*shape, scale=1.0):
        return rng.integers(-4, 5, shape) / 4 if ties else rng.normal(0, scale, shape)

    def thresholds(n):
        if ties:
            return rng.choice([0.0, 0.25, 0.5, 1.0, 2.0], n)
        return np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0.1, 2.0, n))

    def dense(i, o):
        return {"kind": "dense", "w": numbers(o, i, scale=1.5 / np.sqrt(i)), "b": numbers(o, scale=0.3)}

    def conv_op(i, o, groups, k, stride, padding):
        w = numbers(o, i // groups, k, k, scale=1.5 / np.sqrt(i // groups * k * k))
        return {
            "kind": "conv",
            "w": w,
            "b": numbers(o, scale=0.3),
            "stride": stride,
            "padding": padding,
            "groups": groups,
        }

    layers = []
    if conv:
        h, w = int(rng.integers(5, 8)), int(rng.integers(5, 8))
        shape = (2, h, w)
        groups, channels = int(rng.integers(1, 3)), 4
        first = [conv_op(2, channels, groups, 3, int(rng.integers(1, 3)), int(rng.integers(0, 2)))]
        layers.append((first, thresholds(channels)))
        second = [conv_op(channels, 3, 1, 2, 1, 0)]
        if rng.random() < 0.5:
            second = [{"kind": "pool", "k": 2}, conv_op(channels, 3, 1, 1, 1, 0)]
        layers.append((second, thresholds(3)))
        x = np.zeros(shape)
        for ops, _ in layers:
            x = through(ops, x, True)
        width = x.size
    else:
        shape = (int(rng.integers(1, 6)),)
        width = shape[0]
    for _ in range(int(rng.integers(1, 3))):
        units = int(rng.integers(1, 9))
        layers.append(([dense(width, units)], thresholds(units)))
        width = units
    return layers, [dense(width, int(rng.integers(1, 4)))], shape


def observations(seed, shape, count, ties):
    rng = np.random.default_rng([seed, 1])
    return [rng.integers(-4, 5, shape) / 2 if ties else rng.normal(0, 1, shape) for _ in range(count)]
