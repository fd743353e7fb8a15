"""Options are checked up front, each with a line that names it."""

import functools

import pytest

from evaluation.alpha_selection import GRID
from evaluation.settings import ConvertSettings
from runtime.errors import UserError
from tests import configs
from tests.configs import CFGS

config = functools.partial(configs.config, "convert")


def test_the_shipped_defaults_are_the_papers():
    settings = ConvertSettings.from_dict(config())
    assert (settings.SNN_ts, settings.calibration.steps, settings.num_eval_episodes) == (32, 5000, 10)
    assert (settings.crpi.mode, settings.crpi.select, settings.calibration.percentile, settings.dtype) == (
        "residual",
        "honest",
        None,
        None,
    )
    assert settings.store.is_absolute() and settings.num_envs == 2 * settings.chunk == 2 * settings.num_eval_episodes
    assert settings.threads is None and ConvertSettings.from_dict(config(obs="state")).threads == 1


@pytest.mark.parametrize("program", ["convert", "analyze", "train", "distill"])
def test_every_option_has_a_description_beside_its_default(program):
    lines = (CFGS / f"{program}.yaml").read_text().split("\nhydra:")[0].splitlines()
    bare = {line.strip() for line in lines if ":" in line and "#" not in line and "override" not in line}
    assert bare <= {"defaults:", "crpi:", "calibration:", "render:"}


@pytest.mark.parametrize(
    "value, expected", [(0.5, (0.5,)), (0, (0.0,)), ([0, 0.5, 1], (0.0, 0.5, 1.0)), ("grid", GRID)]
)
def test_alpha_is_a_number_a_list_or_the_grid(value, expected):
    assert ConvertSettings.from_dict(config(crpi__alpha=value)).crpi.alpha == expected
    assert GRID == tuple(i / 10 for i in range(11))


@pytest.mark.parametrize(
    "option, value",
    [
        ("env_name", "cheetah"),
        ("obs", "pixel"),
        ("SNN_ts", 0),
        ("SNN_ts", 2.5),
        ("SNN_ts", True),
        ("SNN_ts", "8"),
        ("crpi.alpha", -0.1),
        ("crpi.alpha", 2.1),
        ("crpi.alpha", float("nan")),
        ("crpi.alpha", []),
        ("crpi.alpha", "all"),
        ("crpi.alpha", [0.5, 0.5]),
        ("crpi.alpha", [0, None]),
        ("crpi.alpha", True),
        ("crpi.mode", "off"),
        ("crpi.select", "best"),
        ("crpi.select_episodes", 0),
        ("calibration.steps", 0),
        ("calibration.percentile", 101),
        ("calibration.percentile", 0),
        ("num_eval_episodes", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("max_decisions", 0),
        ("hybrid", 1),
        ("dtype", "float16"),
        ("max_batch_bytes", 0),
        ("chunk", 0),
        ("num_envs", 0),
        ("threads", 0),
        ("num_workers", -1),
        ("render.device", -1),
        ("video", "yes"),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_the_option(option, value):
    with pytest.raises(UserError) as refusal:
        ConvertSettings.from_dict(config(**{option.replace(".", "__"): value}))
    assert str(refusal.value).startswith(f"{option}=") and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "change, named",
    [
        ({"rule": "lif"}, "if"),
        ({"coding": "phase"}, "differential"),
        ({"coding": "differential"}, "snm"),
        ({"n_thresholds": 0}, "n_thresholds"),
    ],
)
def test_a_neuron_that_cannot_be_is_refused_by_name(change, named):
    values = config()
    values["neuron"] |= change
    with pytest.raises(Exception, match=named) as refusal:
        ConvertSettings.from_dict(values)
    assert type(refusal.value).__name__ in ("UserError", "ConversionError")
