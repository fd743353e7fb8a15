"""A saved network comes back as it was; a damaged or hostile file is one clear error and runs nothing."""

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import snn
from tests.hostile.networks import opened, whole_module, written
from tests.hostile.snapshots import ODD
from tests.refusals import refused
from tests.snn.helpers import inputs, mlp
from tests.snn.zoo import Net
from tests.snn.zoo import mlp as plain


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
@pytest.mark.parametrize("alpha", [0.3, [0.0, 0.1, 0.5, 1.0]])
def test_round_trip(tmp_path, dtype, alpha):
    module, x = whole_module(), inputs(3, 4, 2, 6, 6, dtype=torch.float32)
    thresholds = snn.calibrate(module, [*x], hybrid=True)
    spiking = snn.convert(
        module,
        thresholds,
        "mt",
        "differential",
        5,
        3,
        dtype,
        crpi=snn.CRPI(alpha, "shuffled", 7),
        hybrid=True,
        max_batch_bytes=10_000,
        chunk_rows=2,
    )
    path = tmp_path / "network.safetensors"
    spiking(x[0])
    snn.save(spiking, path)
    loaded = snn.load(path)
    for network in (spiking, loaded):
        network.reset(keys=range(4))
    for step in x:
        assert torch.equal(loaded(step), spiking(step))
    assert repr(loaded) == repr(spiking)
    assert (loaded.carry.seed, loaded.max_batch_bytes, loaded.chunk_rows) == (7, 10_000, 2)
    assert [layer.dead for layer in loaded.layers] == [layer.dead for layer in spiking.layers]
    assert os.listdir(tmp_path) == ["network.safetensors"]


def test_outputs_come_back_in_the_structure_that_they_had(tmp_path):
    def forward(m, x):
        h = m.b(F.relu(m.a(x)))
        return {0: h, "more": (h + 1.0, [h + 2.0, {"a": (h + 3.0,)}])}

    path, x = tmp_path / "network.safetensors", inputs(2, 3, dtype=torch.float32)
    spiking = snn.convert(Net(forward, a=nn.Linear(3, 4), b=nn.Linear(4, 2)), [torch.ones(4)])
    snn.save(spiking, path)
    h = spiking(x)[0]
    expected = {0: h, "more": (h + 1.0, [h + 2.0, {"a": (h + 3.0,)}])}
    torch.testing.assert_close(snn.load(path)(x), expected, rtol=0, atol=0)
    assert pytree.tree_structure(snn.load(path)(x)) == pytree.tree_structure(expected)


@pytest.mark.parametrize(("outputs", "is_tuple"), [(3, False), ([3, 2], True), ({"action": 3}, False)])
def test_outputs_as_earlier_versions_wrote_them(saved, outputs, is_tuple):
    description, tensors = opened(saved.read_bytes())
    description |= {"outputs": outputs, "tuple": is_tuple}
    saved.write_bytes(written(description, tensors))
    returned = snn.load(saved)(torch.ones(1, 3))
    assert type(returned) is (tuple if is_tuple else torch.Tensor if outputs == 3 else dict)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "network.safetensors"
    snn.save(snn.convert(mlp(3, 4, 2), [torch.ones(4)]), path)
    return path


def test_others_may_read_it_as_they_may_any_file(saved, tmp_path):
    (tmp_path / "other").touch()
    assert saved.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_every_damage_is_noticed(saved):
    whole = saved.read_bytes()
    for end in range(0, len(whole), 97):
        saved.write_bytes(whole[:end])
        with pytest.raises(snn.ConversionError) as error:
            snn.load(saved)
        assert "\n" not in str(error.value) and str(saved) in str(error.value)
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(header, len(whole), 7):  # weights and thresholds
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(snn.ConversionError, match="damaged"):
            snn.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: d.pop("rule"), "rule"),
        (lambda d, t: d.update(rule="unheard"), "unheard"),
        (lambda d, t: d.update(timesteps=0), "timesteps=0"),
        (lambda d, t: d.update(timesteps=10**9), "timesteps are above"),
        (lambda d, t: d.update(nodes=d["nodes"] * 2000), "operations"),
        (lambda d, t: d["nodes"][0].update(kind="exec"), "'exec' is not known"),
        *((lambda d, t, kind=kind: d["nodes"][0].update(kind=kind), "") for kind in ("__class__", None, [], {}, 1)),
        *(
            (lambda d, t, name=name: d["nodes"][0].update(name=name), "")
            for name in (None, 1, [], "\x1b[2J", "a" * 10**5)
        ),
        *((lambda d, t, args=args: d["nodes"][0].update(args=args), "") for args in (1, {"more": 1}, [["a", 1]], "x")),
        *(
            (lambda d, t, given=given: d["nodes"][0].update(inputs=given), "")
            for given in ([], [10**6], [-1], None, "x")
        ),
        (lambda d, t: d["nodes"][0].update(args={"stride": 1}), "arguments of linear"),
        (lambda d, t: d["nodes"][0].update(name="a\nb"), "name that can't be shown"),
        (lambda d, t: d["nodes"][1].update(inputs=[7]), "not made before it"),
        (lambda d, t: d["nodes"][1].update(path="0"), "two operations stand at '0'"),
        (lambda d, t: d.update(outputs=9), "outputs are no values"),
        (lambda d, t: d.update(outputs={"list": []}), "outputs are no values"),
        (lambda d, t: d["nodes"].pop(1), "."),
        (lambda d, t: t["1.weight"].fill_(float("nan")), "weight that is not finite"),
        (lambda d, t: t.update({"2.theta": torch.ones(9)}), "thresholds"),
        (lambda d, t: t.update({"2.theta": -torch.ones(4)}), "thresholds"),
        (lambda d, t: t.update({"1.weight": torch.ones(4, 3, dtype=torch.int32)}), "not finite"),
        (lambda d, t: t.update(more=torch.ones(1)), "tensors that no operation has"),
        (lambda d, t: t.pop("1.weight"), "tensors of linear"),
    ],
)
def test_wrong_content(tmp_path, change, message):
    path = tmp_path / "network.safetensors"
    snn.save(snn.convert(mlp(3, 4, 2), [torch.ones(4)], crpi=snn.CRPI(0.5)), path)
    description, tensors = opened(path.read_bytes())
    change(description, tensors)
    path.write_bytes(written(description, tensors))
    with pytest.raises(snn.ConversionError, match=message) as error:
        snn.load(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("argument", ["stride", "dilation", "groups"])
def test_an_argument_that_no_file_of_ours_has_is_one_line_at_the_latest_when_it_plays(tmp_path, argument):
    path = tmp_path / "network.safetensors"
    snn.save(snn.convert(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), [torch.ones(2)]), path)
    description, tensors = opened(path.read_bytes())
    description["nodes"][0]["args"][argument] = "x"
    path.write_bytes(written(description, tensors))
    with pytest.raises(snn.ConversionError, match="can't take an input"):
        snn.load(path)(torch.ones(1, 1, 4, 4))


HUGE = (-1, 10**9, 2**31, 2**63, 10**30, 1e300, float("nan"), "x", None, [], {}, [10**9], True)
WRONG = {
    "rule": ODD,
    "coding": ODD,
    "n_thresholds": HUGE,
    "slack": (-1, 2, "x", [], {}),
    "timesteps": (0, *HUGE),
    "crpi": (
        0,
        "x",
        [],
        {},
        {"alpha": 3.0, "mode": "residual", "seed": 0},
        {"alpha": 1.0, "mode": "eval", "seed": 0},
        {"alpha": 1.0, "mode": "random", "seed": -1},
        {"alpha": [["x"]], "mode": "residual", "seed": 0},
    ),
    "dtype": ODD,
    "max_batch_bytes": (0, -1, "x", None, 1.5, True),
    "chunk_rows": (0, -1, "x", 1.5, True),
    "nodes": (0, None, "x", [], {}, [1], [{}], [[]]),
    "outputs": (0, -1, 10**6, None, "x", [[0]], True),
    "titles": (0, None, [], {}),
}


@pytest.mark.parametrize("field", WRONG)
def test_no_field_is_taken_for_what_it_is_not(saved, field):
    description, tensors = opened(saved.read_bytes())
    for value in WRONG[field]:
        saved.write_bytes(written(description | {field: value}, tensors))
        with refused("", snn.ConversionError):
            snn.load(saved)(torch.ones(1, 3))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "9" * 10_000, '{"nodes": ' * 5000 + "}" * 5000])
def test_a_description_that_is_none_is_refused(saved, text):
    saved.write_bytes(written(text, {}))
    with refused("network.safetensors", snn.ConversionError):
        snn.load(saved)


def test_other_files_are_told_from_damaged_ones(saved):
    with pytest.raises(snn.ConversionError, match="can't be read: No such file"):
        snn.load(saved.with_name("absent"))
    policy = Path(__file__).resolve().parents[2] / "checkpoints/state/cartpole_swingup.pt"
    with pytest.raises(
        snn.ConversionError, match="torch archive: a policy, or a network that an earlier version saved"
    ):
        snn.load(policy)
    description, tensors = opened(saved.read_bytes())
    saved.write_bytes(written(description, tensors, format="other"))
    with pytest.raises(snn.ConversionError, match="another kind of file; a converted network is what snn.save"):
        snn.load(saved)


@pytest.mark.parametrize(
    "module",
    [
        Net(lambda m, x: m.head((x / 255.0 - 0.5).flatten(1)), head=plain(72, 4, 2)),  # buffers without a dimension
        nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding="valid", dilation=(1, 2), groups=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 3),
        ),
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding="same", bias=False),
            nn.ReLU(),
            nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False, divisor_override=5),
            nn.Flatten(),
            nn.Linear(64, 3),
        ),
        nn.Sequential(
            nn.Flatten(),
            nn.Linear(72, 5, bias=False),
            nn.ReLU(),
            nn.Linear(5, 5),
            nn.LayerNorm(5, elementwise_affine=False),
            nn.Tanh(),
            nn.Linear(5, 4),
            nn.ReLU(),
            nn.Linear(4, 2),
        ),
    ],
)
def test_nothing_that_converts_is_refused(tmp_path, module):
    x = torch.rand(3, 2, 6, 6)
    spiking = snn.convert(module, snn.calibrate(module, [x], hybrid=True), timesteps=3, hybrid=True)
    snn.save(spiking, tmp_path / "network.pt")
    assert torch.equal(snn.load(tmp_path / "network.pt")(x), spiking(x))
