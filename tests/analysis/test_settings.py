"""Options are checked up front, each with a line that names it."""

import functools

import pytest
import yaml

from analysis.settings import AnalyzeSettings
from runtime.errors import UserError
from tests import configs
from tests.configs import CFGS

config = functools.partial(configs.config, "analyze")


def test_the_shipped_defaults():
    settings = AnalyzeSettings.from_dict(config())
    assert settings.compared == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0) and settings.layer_decisions == 20
    assert (settings.SNN_ts, settings.num_eval_episodes) == (32, 10)


@pytest.mark.parametrize("asked, compared", [(0.5, (0.0, 0.5)), ([0.9, 0.3], (0.0, 0.3, 0.9)), (0, (0.0,))])
def test_plain_conversion_is_always_compared(asked, compared):
    assert AnalyzeSettings.from_dict(config(crpi__alpha=asked)).compared == compared


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(num_eval_episodes=1), "num_eval_episodes=1: must be an integer of at least 2"),
        (dict(layer_decisions=-1), "layer_decisions=-1"),
        (dict(layer_decisions=1.5), "layer_decisions=1.5"),
        (dict(layer_decisions=True), "layer_decisions=true"),
        (dict(crpi__alpha=3), "crpi.alpha=3"),
        (dict(SNN_ts=0), "SNN_ts=0"),
        (dict(env_name="cheetah"), "env_name=cheetah"),
    ],
)
def test_a_wrong_value_is_named(changes, said):
    with pytest.raises(UserError, match=said):
        AnalyzeSettings.from_dict(config(**changes))


def test_what_convert_shares_with_analyze_has_the_same_defaults():
    convert = yaml.safe_load((CFGS / "convert.yaml").read_text())
    analyze = yaml.safe_load((CFGS / "analyze.yaml").read_text())
    for name in convert.keys() & analyze.keys() - {"defaults", "hydra", "crpi"}:
        assert convert[name] == analyze[name], name
    assert convert.keys() - analyze.keys() == {"no_policy", "save", "tune", "video"}
