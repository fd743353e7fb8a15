"""Options at their defaults: documented, alike in all programs, and the paper's."""

import pytest

from evaluation.alpha_selection import GRID
from evaluation.settings import AnalyzeSettings, ConvertSettings
from tests.configs import CFGS, config


def test_the_shipped_defaults_are_the_papers():
    settings, of_states = (ConvertSettings.from_dict(config("convert", obs=obs)) for obs in ("pixels", "state"))
    assert (settings.SNN_ts, settings.calibration.steps, settings.num_eval_episodes) == (32, 5000, 10)
    chosen = (settings.crpi.mode, settings.crpi.select, settings.calibration.percentile, settings.dtype)
    assert chosen == ("residual", "honest", None, None)
    assert settings.store.is_absolute() and settings.num_envs == 2 * settings.chunk == 2 * settings.num_eval_episodes
    assert settings.threads is None and of_states.threads == 1


@pytest.mark.parametrize("program", ["convert", "analyze", "train", "distill"])
def test_every_option_has_a_description_beside_its_default(program):
    lines = (CFGS / f"{program}.yaml").read_text().split("\nhydra:")[0].splitlines()
    bare = {line.strip() for line in lines if ":" in line and "#" not in line and "override" not in line}
    assert bare <= {"defaults:", "crpi:", "calibration:", "render:"}


@pytest.mark.parametrize(
    "value, expected", [(0.5, (0.5,)), (0, (0.0,)), ([0, 0.5, 1], (0.0, 0.5, 1.0)), ("grid", GRID)]
)
def test_alpha_is_a_number_a_list_or_the_grid(value, expected):
    assert ConvertSettings.from_dict(config("convert", crpi__alpha=value)).crpi.alpha == expected
    assert GRID == tuple(i / 10 for i in range(11))


def test_a_whole_number_may_be_written_as_a_float_and_what_is_set_stays():
    settings = ConvertSettings.from_dict(config("convert", calibration__steps=1e4))
    assert type(settings.calibration.steps) is int and settings.calibration.steps == 10**4
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3


@pytest.mark.parametrize("asked, compared", [(0.5, (0.0, 0.5)), ([0.9, 0.3], (0.0, 0.3, 0.9)), (0, (0.0,))])
def test_an_analysis_always_compares_plain_conversion(asked, compared):
    assert AnalyzeSettings.from_dict(config("analyze", crpi__alpha=asked)).compared == compared


def test_what_convert_shares_with_analyze_has_the_same_defaults():
    convert, analyze = config("convert"), config("analyze")
    assert all(convert[name] == analyze[name] for name in convert.keys() & analyze.keys() - {"crpi"})
    assert convert.keys() - analyze.keys() == {"no_policy", "save", "tune", "video"}
    assert AnalyzeSettings.from_dict(analyze).compared == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
