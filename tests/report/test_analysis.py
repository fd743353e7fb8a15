"""Pages of an analysis: they say what the file holds, all of it, and nothing that it doesn't."""

import re

import numpy as np
import pytest
from PIL import Image

from analysis import study
from analysis.document import ANALYSIS
from analysis.settings import AnalyzeSettings
from report.__main__ import main
from report.analysis import page
from tests.analysis.test_play import TINY
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy


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

    def said(**verdicts):
        claims = [
            claim.model_copy(update={"p": 0.01, "verdict": verdicts.get(claim.name.split(":")[0].split()[0], "open")})
            for claim in analysis.claims
        ]
        return page.summary(analysis.model_copy(update={"claims": claims}))[-1]

    assert said().startswith("No significant loss by IF")
    text = said(loss="holds", positive="contrary", CRPI="holds")
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


def test_an_overview_of_several(analysis, tmp_path, capsys):
    for timesteps in (4, 2):
        conversion = analysis.conversion.model_copy(update={"timesteps": timesteps})
        changed = analysis.model_copy(update={"conversion": conversion})
        changed.write(tmp_path / "in" / str(timesteps) / ANALYSIS)
    out = tmp_path / "out"
    assert main([str(tmp_path / "in"), "--out", str(out)]) == 0
    assert str(out / "overview.html") in capsys.readouterr().out
    lines = (out / "overview.md").read_text().splitlines()
    [head], [loss] = ([line for line in lines if line.startswith(start)] for start in ("| claim", "| loss |"))
    assert head.index("T=2") < head.index("T=4")
    verdict = next(claim.verdict for claim in analysis.claims if (claim.name, claim.alpha) == ("loss", 0.0))
    assert loss.split("|")[2].strip() == {"holds": "✓", "contrary": "**✗**", "open": "·"}[verdict]
    assert all(with_something_on_it(out / "figures" / f"overview_{name}.png") for name in ("cosines", "returns"))
    assert (tmp_path / "in" / "2" / "report.html").exists()
