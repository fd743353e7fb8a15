"""Pages of an analysis: they say what the file holds, all of it, and nothing that it doesn't."""

import re

import numpy as np
import pytest
from PIL import Image

from analysis import document, study
from analysis.settings import AnalyzeSettings
from report.__main__ import main
from report.analysis import page
from tests.analysis.test_settings import config
from tests.analysis.test_study import TINY
from tests.evaluation.conftest import write_small_policy


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis")
    path = write_small_policy(folder / "policy.pt")
    values = config(**TINY | dict(obs="state", snapshot=str(path), store=str(folder / "cells")))
    found = study.run(AnalyzeSettings.from_dict(values), values, folder, say=lambda line: None)
    # A choice that leaves two α to compare, whatever these few decisions chose.
    return (
        found
        if len(found.methods) > 1
        else found.model_copy(update={"methods": [*found.methods, found.methods[0].model_copy(update={"alpha": 0.6})]})
    )


NAMES = {"loss", "cosines", "alpha", "growth", "map", "order", "layers"}


def test_the_pages_hold_every_figure_and_table(analysis, tmp_path):
    text, markdown = page.write(analysis, tmp_path).read_text(), (tmp_path / "report.md").read_text()
    for name in NAMES:
        picture = np.asarray(Image.open(tmp_path / "figures" / f"{name}.png").convert("RGB"))
        assert picture.std() > 10 and min(picture.shape[:2]) > 200, name
        assert f"(figures/{name}.png)" in markdown
    assert text.count("data:image/svg+xml;base64,") == len(NAMES)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text), "the page needs no other file"
    assert "is not a return" in markdown and "only a sign" in markdown
    for claim in analysis.claims:
        assert claim.name in text
    assert analysis.policy.sha256 in text


def test_numbers_are_those_of_the_file(analysis, tmp_path):
    rising = analysis.methods[0].reward_sum.model_copy(update={"mean": 123.4, "low": 120.0, "high": 125.6})
    changed = analysis.model_copy(
        update={
            "capped": False,
            "actions": 3,
            "methods": [analysis.methods[0].model_copy(update={"reward_sum": rising}), *analysis.methods[1:]],
        }
    )
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
    layers = analysis.methods[0].layers
    bare = [layer.model_copy(update={"error": None, "inherited": None, "sizes": {}, "shares": {}}) for layer in layers]
    methods = [method.model_copy(update={"layers": bare}) for method in analysis.methods]
    choice = analysis.choice.model_copy(
        update={
            "given": True,
            "candidates": [one.model_copy(update={"selection": []}) for one in analysis.choice.candidates],
        }
    )
    page.write(analysis.model_copy(update={"methods": methods, "choice": choice}), tmp_path)
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == NAMES - {"layers"}
    assert "Layer by layer" not in (tmp_path / "report.md").read_text()


def test_an_overview_of_several(analysis, tmp_path, capsys):
    for timesteps in (4, 2):
        conversion = analysis.conversion.model_copy(update={"timesteps": timesteps})
        document.write(analysis.model_copy(update={"conversion": conversion}), tmp_path / "in" / str(timesteps))
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert main([str(tmp_path / "in"), "out=X"]) == 2, "not ignored"
    text = (tmp_path / "out" / "overview.md").read_text()
    assert str(tmp_path / "out" / "overview.html") in capsys.readouterr().out
    [head] = [line for line in text.splitlines() if line.startswith("| claim")]
    assert head.index("T=2") < head.index("T=4")
    of_loss = next(claim for claim in analysis.claims if (claim.name, claim.alpha) == ("loss", 0.0))
    [line] = [line for line in text.splitlines() if line.startswith("| loss |")]
    assert line.split("|")[2].strip() == {"holds": "✓", "contrary": "**✗**", "open": "·"}[of_loss.verdict]
    for name in ("cosines", "returns"):
        picture = Image.open(tmp_path / "out" / "figures" / f"overview_{name}.png")
        assert np.asarray(picture.convert("RGB")).std() > 10
    assert (tmp_path / "in" / "2" / "report.html").exists()


def test_an_overview_of_nothing_is_a_line(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "nothing to report" in capsys.readouterr().err and not (tmp_path / "out").exists()
