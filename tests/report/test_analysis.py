"""Pages of an analysis: they say what the file holds, all of it, and nothing that it doesn't."""

import re

import numpy as np
import pytest
from PIL import Image

from analysis import study
from analysis.cosines import NAMES as NAMES_OF_COSINES
from analysis.document import ANALYSIS, Analysis, Candidate, Choice, Cosine, EpisodeMean, MethodRecord
from evaluation.settings import AnalyzeSettings
from report.__main__ import main
from report.analysis import figures, overview, page
from tests.analysis.test_play import TINY
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy
from tests.report.factories import result


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis")
    path = write_small_policy(folder / "policy.pt")
    values = config("analyze", **TINY | dict(obs="state", snapshot=str(path), store=str(folder / "cells")))
    found = study.run(AnalyzeSettings.from_dict(values), values, folder, say=lambda line: None)
    # Two α to compare, whatever these few decisions chose.
    found.methods += [found.methods[0].model_copy(update={"alpha": 0.6})] if len(found.methods) == 1 else []
    return found


NAMES = {"loss", "cosines", "alpha", "growth", "map", "order", "layers"}


def with_something_on_it(path):
    return np.asarray(Image.open(path).convert("RGB")).std() > 10


def test_the_pages_hold_every_figure_and_table(analysis, tmp_path):
    text, markdown = page.write(analysis, tmp_path).read_text(), (tmp_path / "report.md").read_text()
    for name in NAMES:
        assert with_something_on_it(tmp_path / "figures" / f"{name}.png"), name
        assert f"(figures/{name}.png)" in markdown
    assert text.count("data:image/svg+xml;base64,") == len(NAMES)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text), "the page needs no other file"
    assert "is not a return" in markdown and "only a sign" in markdown
    assert all(told in text for told in (analysis.policy.sha256, *(claim.name for claim in analysis.claims)))


def test_numbers_are_those_of_the_file(analysis, tmp_path):
    rising = analysis.methods[0].reward_sum.model_copy(update={"mean": 123.4, "low": 120.0, "high": 125.6})
    methods = [analysis.methods[0].model_copy(update={"reward_sum": rising}), *analysis.methods[1:]]
    changed = analysis.model_copy(update={"capped": False, "actions": 3, "methods": methods})
    page.write(changed, tmp_path)
    markdown = (tmp_path / "report.md").read_text()
    assert "123 ([120, 126])" in markdown.replace("\\", "")
    assert "not a return" not in markdown and "only a sign" not in markdown
    summary = "\n".join(page.summary(changed))
    assert "IF: 123 [120, 126]" in summary and "α by return" in summary


def test_the_console_ends_in_a_conclusion(analysis):
    """From two episodes there is none; then what the verdicts say, in a sentence."""
    assert "2 episodes are too few for any verdict" in page.summary(analysis)[-1]

    gain = analysis.methods[0].reward_sum.model_copy(update={"mean": 5.0, "low": 3.0, "high": 7.5})

    def said(**verdicts):
        claims = [
            claim.model_copy(update={"p": 0.01, "verdict": verdicts.get(claim.name.split(":")[0].split()[0], "open")})
            for claim in analysis.claims
        ]
        claims = [claim.model_copy(update={"value": gain} if "CRPI" in claim.name else {}) for claim in claims]
        return page.summary(analysis.model_copy(update={"claims": claims}))[-1]

    assert said().startswith("No significant loss by IF")
    text = said(loss="holds", positive="contrary", CRPI="holds")
    assert "+5.00 [+3.00, +7.50]" in text
    assert text.startswith("IF loses ") and "Whether states or actions cost more is open" in text
    assert "errors of neighbouring decisions cancel" in text and ", a gain." in text
    assert f"{len(analysis.claims)} claims tested" in text and "holds" not in text


def test_without_layers_or_a_choice_the_pages_do_without_them(analysis, tmp_path):
    bare = {"error": None, "inherited": None, "sizes": {}, "shares": {}}
    layers = [layer.model_copy(update=bare) for layer in analysis.methods[0].layers]
    methods = [method.model_copy(update={"layers": layers}) for method in analysis.methods]
    candidates = [one.model_copy(update={"selection": []}) for one in analysis.choice.candidates]
    choice = analysis.choice.model_copy(update={"given": True, "candidates": candidates})
    page.write(analysis.model_copy(update={"methods": methods, "choice": choice}), tmp_path)
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == NAMES - {"layers"}
    assert "Layer by layer" not in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("given", [True, False])
def test_against_alpha_where_no_pair_of_errors_had_a_direction(tmp_path, given):
    """As after max_decisions=1, where no decision has a successor."""
    nothing = Cosine(mean=None, weighted=None, pairs=0, skipped=0)
    tried = [Candidate(alpha=a, cosines=dict.fromkeys(NAMES_OF_COSINES, nothing), selection=[1.0]) for a in (0.0, 0.5)]
    choice = Choice(candidates=tried, by_drift=0.0, by_return=0.5, given=given)
    ann = EpisodeMean(mean=1.0, low=None, high=None, values=[1.0])
    figures.over_alpha(Analysis.model_construct(choice=choice, ann=ann, capped=True), tmp_path)
    assert (tmp_path / "figures" / "alpha.png").is_file()


def test_no_two_policies_of_an_overview_have_one_name():
    """Of one task and T, they may differ in their observations, neuron or thresholds."""
    choice = Choice(candidates=[], by_drift=0.5, by_return=0.5, given=True)
    settings = [{"obs": "pixels"}, {}, {"neuron": "snm"}, {"calibration": {"steps": 5000, "percentile": 99.0}}]
    analyses = [
        Analysis.model_construct(
            task=one.task, obs=one.obs, config={}, choice=choice, conversion=one.conversion, methods=methods
        )
        for methods in [[MethodRecord.model_construct(alpha=alpha) for alpha in (0.0, 0.5)]]
        for one in (result([1.0], {0.0: [1.0]}, **{"obs": "state"} | changes) for changes in settings)
    ]
    columns = [title for title, _, _ in overview._columns(analyses)]
    assert columns[:2] == [f"cartpole_swingup, pixels, {name}, T=2" for name in ("IF", "IF+CRPI α=0.5")]
    assert columns[-1] == "cartpole_swingup, state, IF+CRPI α=0.5, T=2, θ at 99 %" and len(set(columns)) == 8
    assert len({overview._policy(analysis) for analysis in analyses}) == 4


def test_an_overview_of_several(analysis, tmp_path, capsys):
    for timesteps in (4, 2):
        conversion = analysis.conversion.model_copy(update={"timesteps": timesteps})
        changed = analysis.model_copy(update={"conversion": conversion})
        changed.write(tmp_path / "in" / str(timesteps) / ANALYSIS)
    out = tmp_path / "out"
    assert main([str(tmp_path / "in"), "--out", str(out)]) == 0
    assert str(out / "overview.html") in capsys.readouterr().out
    lines = (out / "overview.md").read_text().splitlines()
    assert any("holds: " in line and "after Holm" in line for line in lines), "what analysis.claims goes by"
    [head], [loss] = ([line for line in lines if line.startswith(start)] for start in ("| claim", "| loss |"))
    assert head.index("T=2") < head.index("T=4")
    verdict = next(claim.verdict for claim in analysis.claims if (claim.name, claim.alpha) == ("loss", 0.0))
    assert loss.split("|")[2].strip() == {"holds": "✓", "contrary": "**✗**", "open": "·"}[verdict]
    assert all(with_something_on_it(out / "figures" / f"overview_{name}.png") for name in ("cosines", "returns"))
    assert (tmp_path / "in" / "2" / "report.html").exists()
