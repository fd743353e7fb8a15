"""Damaged and hostile files of saved networks, as tests/drqv2/hostile.py makes them of snapshots."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch

from tests.drqv2 import hostile
from tests.drqv2.hostile import ODD, Bases, Random, contents, pick, saved

# Those that damage any torch file, whatever is in it.
_ANY = (
    "truncated",
    "flipped",
    "overwritten",
    "compressed",
    "lying_directory",
    "two_directories",
    "odd_layout",
    "hostile_pickle",
    "huge_declared",
)
GENERATORS: dict[str, Callable[[Bases, Random], bytes]] = {}


def _on_a_network(make: Callable[[Bases, Random], bytes]) -> Callable[[Bases, Random], bytes]:
    def damaged(bases: Bases, random: Random) -> bytes:
        network = bases["network"]
        legacy = saved(contents(network), _use_new_zipfile_serialization=False)
        return make({"policy": network, "snapshot": network, "published": network, "legacy": legacy}, random)

    return damaged


for _name in _ANY:
    GENERATORS[f"network_{_name}"] = _on_a_network(hostile.GENERATORS[_name])
MAY_BE_HARMLESS = {f"network_{name}" for name in _ANY} & {f"network_{name}" for name in hostile.MAY_BE_HARMLESS}


def generator(make: Callable[[Bases, Random], bytes]) -> Callable[[Bases, Random], bytes]:
    GENERATORS[f"network_{make.__name__}"] = make
    return make


def _opened(bases: Bases) -> tuple[dict, dict[str, torch.Tensor]]:
    content = contents(bases["network"])
    return json.loads(content["json"]), dict(content["tensors"])


def _written(description: object, tensors: object) -> bytes:
    return saved({"json": json.dumps(description), "tensors": tensors})


HUGE = (-1, 10**9, 2**31, 2**63, 10**30, 1e300, float("nan"), "x", None, [], {}, [10**9], True)
# What each field must never be taken for.
_WRONG = {
    "format": ODD,
    "version": (0, 2, "1", None, [1]),
    "thresholds": HUGE,
    "rule": ODD,
    "coding": ODD,
    "n_thresholds": HUGE,
    "timesteps": (0, *HUGE),
    "alpha": (-1, 2.1, float("nan"), "x", None, [[1.0]], ["x"], [3.0], {}),
    "dtype": ODD,
    "mode": ODD,
    "seed": (-1, 2**64, 10**30, "x", None, [], 1.5),
    "max_batch_bytes": (0, -1, "x", None, 1.5, True),
    "chunk_rows": (0, -1, "x", 1.5, True),
    "ops": (0, None, "x", [], {}, [1], [{}], [[]]),
}


@generator
def wrong_description(bases: Bases, random: Random) -> bytes:
    description, tensors = _opened(bases)
    key = pick(random, sorted(_WRONG))
    if random.random() < 0.1:
        del description[key]
    else:
        description[key] = pick(random, _WRONG[key])
    return _written(description, tensors)


@generator
def wrong_operation(bases: Bases, random: Random) -> bytes:
    """An operation with other arguments, tensors, names, or in another place."""
    description, tensors = _opened(bases)
    ops = description["ops"]
    op = pick(random, ops)
    how = int(random.integers(7))
    if how == 0:
        op["kind"] = pick(random, ["exec", "batchnorm", "__class__", None, [], {}, 1])
    elif how == 1:
        op["name"] = pick(random, [None, 1, [], "\x1b[2J", "a\nb", "a" * 10**5])
    elif how == 2:
        with_arguments = [op for op in ops if op["args"]]
        op = pick(random, with_arguments)
        key, value = pick(random, sorted(op["args"])), pick(random, (*HUGE[:12], [10**6, 10**6], [-1, 1], ["x", 1]))
        op["args"][key] = "x" if value == op["args"][key] else value  # None is what a divisor_override may be
    elif how == 3:
        op["args"] = pick(random, [None, 1, {"more": 1}, [["a", 1]], "x"])
    elif how == 4:
        with_tensors = [op for op in ops if op["tensors"]]
        op = pick(random, with_tensors)
        op["tensors"] = pick(
            random, [{}, None, {"weight": "absent"}, {"value": "theta0"}, [1], {**op["tensors"], "more": "theta0"}]
        )
    elif how == 5:
        ops.remove(next(op for op in ops if op["kind"] == "relu"))
    else:
        description["ops"] = pick(
            random,
            [ops * 2000, [ops[0]] * 3, [{"kind": "flatten", "name": "f", "args": {}, "tensors": {}}] * 10**4 + ops],
        )
    return _written(description, tensors)


@generator
def wrong_json(bases: Bases, random: Random) -> bytes:
    description, tensors = _opened(bases)
    texts = [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        "9" * 10_000,
        '{"ops": ' * 5000 + "1" + "}" * 5000,
        "\udc80",
        None,
        3,
        [1],
        b"{}",
    ]
    good = json.dumps(description)
    wholes = [
        {"json": pick(random, texts), "tensors": tensors},
        {"json": good},
        {"tensors": tensors},
        [good, tensors],
        None,
        tensors,
        {
            "json": good,
            "tensors": pick(random, [None, [], {}, {"theta0": 1}, list(tensors.values()), {3: torch.ones(1)}]),
        },
    ]
    return saved(pick(random, wholes))


@generator
def wrong_tensors(bases: Bases, random: Random) -> bytes:
    """Other shapes, values that aren't finite, thresholds below zero, views of huge extent, odd kinds of tensors."""
    description, tensors = _opened(bases)
    name = pick(random, sorted(tensors))
    value = tensors[name]
    spoilt = value.clone()
    spoilt.view(-1)[int(random.integers(value.numel()))] = pick(random, [float("nan"), float("inf"), float("-inf")])
    tensors[name] = pick(
        random,
        [
            spoilt,
            value[None].clone(),
            torch.cat([value, value]),
            torch.zeros(0),
            torch.zeros(1).expand(10**12),
            torch.as_strided(torch.zeros(10), (10**9, 2), (0, 1)),
            torch.empty(10**12, device="meta"),
            torch.sparse_coo_tensor([[0]], [1.0], (10**9,), check_invariants=True),
            torch.zeros(4, dtype=torch.complex64),
            value.to(torch.int64),
            value.half(),
            torch.zeros(6, 4).t(),
            "x",
            None,
        ],
    )
    if name.startswith("theta") and random.random() < 0.3:
        tensors[name] = -value - 1
    return _written(description, tensors)
