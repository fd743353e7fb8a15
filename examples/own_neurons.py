"""Codings and a carry rule of one's own (docs/neurons.md says what they are): `python -m examples.own_neurons`.

Coding (snn/codings/coding.py) and CarryRule (snn/carry.py) say what each function takes. They serve whole tensors and,
compiled, single numbers; hence no `if`, and floats as constants. `register` makes them known by their names, which a
saved network needs.
"""

from dataclasses import replace

import torch

import snn

rate = snn.codings.get("rate")


def leaky_step(fire, slack, theta, wx, bias, t, v, c):
    """A membrane that leaks: m[t] = 0.9 v[t-1] + I[t]."""
    m = 0.9 * v + (wx + bias)
    x = fire(m, c + slack * theta, theta)
    return x, m - x, c + x


leaky = replace(rate, name="leaky", step=leaky_step)


def resting_init(theta, v0, bias):
    return v0, 0.0 * theta, 0.0 * theta


def resting_step(fire, slack, theta, wx, bias, t, v, c, rest):
    """No spike in the step after a spike; the state variable `rest` is 1 in that step."""
    m = v + (wx + bias)
    x = fire(m, c + slack * theta, theta) * (rest <= 0.0)
    return x, m - x, c + x, 1.0 * (x > 0.0)


resting = replace(
    rate,
    name="resting",
    state=("v", "c", "rest"),
    init=resting_init,
    step=resting_step,
    current=lambda wx, bias, v, c, rest: wx + bias,
    rate=lambda x, v, c, rest: x,
    mean=lambda t, v, c, rest: c / t,
    mean_input=lambda v0, t, v, c, rest: (c - v0 + v) / t,
)


def late_step(fire, slack, theta, wx, bias, t, v, c, late):
    """What spikes mean: the decoded mean leaves out the first step, in which deep layers are still silent."""
    m = v + (wx + bias)
    x = fire(m, c + slack * theta, theta)
    return x, m - x, c + x, late + x * (t > 1.0)


late = replace(
    resting,
    name="late",
    state=("v", "c", "late"),
    step=late_step,
    mean=lambda t, v, c, late: late / (t - 1.0 * (t > 1.0)),
)

# Half of what the membrane gained goes on to the next decision, without CRPI's bounds.
half = snn.CarryRule(
    "half",
    blank=lambda base: 0.0 * base,
    initial=lambda kept, alpha, base, limit: base + alpha * kept,
    keep=lambda v_end, v_start, c_end: 0.5 * (v_end - v_start),
)


def main() -> None:
    ann = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    observations = torch.randn(1000, 4)
    thresholds = snn.calibrate(ann, observations.split(100))
    for coding in (rate, leaky, resting, late):
        spiking = snn.convert(ann, thresholds, coding=coding, timesteps=32, crpi=snn.CRPI(1.0, mode=half))
        seen = spiking.trace(observations)
        error = (seen.output - seen.ann_output).abs().max() / seen.ann_output.abs().max()
        print(f"{coding.name}: largest error {error:.0%} of the largest output")


if __name__ == "__main__":
    main()
