"""The written report: what stands in it, and that it needs nothing but itself."""

import csv
import hashlib
import html
import io
import re

import matplotlib.image
import pytest

from evaluation import result as results
from report.__main__ import main
from report.make import make
from tests.processes import python
from tests.report.factories import config, failed, result, write_plan

GRID = [0.0, 0.5, 1.0]


def tables(page):
    """The tables of a page by their names, as text; small lines follow a stroke."""
    return {
        name: [
            [shown(cell.replace("<small>", " / ")) for cell in re.findall(r"<t[dh] .*?>(.*?)</t[dh]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
        ]
        for name, table in re.findall(r'<table id="(\w+)">(.*?)</table>', page, re.S)
    }


def shown(text):
    return html.unescape(re.sub("<.*?>", "", text)).replace("\u00a0", " ")


def made(folder, *found):
    """Writes the results and their report; the page's text."""
    for number, one in enumerate(found):
        results.write(one, folder / str(number))
    return make([folder], folder / "out").page.read_text()


def csv_rows(folder):
    return list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))


def _sweep(folder):
    """Two tasks: one finished by honest selection, on the other a job failed, one is half-written, one is missing."""
    done = result(
        [800.0, 900.0],
        {0.0: [400.0, 500.0], 0.5: [700.0, 760.0]},
        chosen=0.5,
        selection={0.0: [300.0], 0.5: [600.0], 1.0: [500.0]},
        alpha=GRID,
        SNN_ts=32,
    )
    values = [config(env_name="cheetah_run", alpha=GRID, neuron=neuron, SNN_ts=32) for neuron in ("if", "snm", "mt")]
    half = result([1.0], {0.0: [1.0]}, env_name="cheetah_run", neuron="snm", alpha=0.0)
    for name, one in {"0": done, "1": failed(values[0], "the <disk> is | full"), "2": half}.items():
        path = results.write(one, folder / name)
    path.write_bytes(path.read_bytes()[:1000])
    write_plan(folder, {"0": done.config} | {str(i + 1): one for i, one in enumerate(values)})
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    sweep = _sweep(tmp_path_factory.mktemp("a sweep"))
    return make([sweep], sweep / "report").page.parent


def test_everything_is_there(written):
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    by_method = ("apr_pixels", "operations_pixels", "profiles_pixels", "alpha_pixels")
    pictures = [f"figures/{stem}.png" for stem in (*by_method, "energy_pixels_paper", "energy_pixels_45nm")]
    vectors = [name.replace(".png", ".svg") for name in pictures]
    assert names == {"report.md", "report.html", "results.csv", *pictures, *vectors}
    for name in pictures:
        assert matplotlib.image.imread(written / name).std() > 0.01, "a picture with something on it"


def test_the_page_needs_no_other_file(written):
    page = (written / "report.html").read_text()
    addresses = re.findall(r'(?:src|href)="(.*?)"', page)
    assert len(addresses) > 4 and all(address.startswith(("data:", "#")) for address in addresses)
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(re.findall(r' id="(.*?)"', page))
    assert "@import" not in page


def test_the_table_of_returns(written):
    rows = tables((written / "report.html").read_text())["returns_pixels"]
    head, ann, off, on = rows[:4]
    assert ["Cartpole swingup", "Cheetah run"] == [name.strip() for name in head[2:4]]
    assert ann[2] == "850 ± 25.0 / paper 880 ± 0" and ann[3] == "failed / paper 733 ± 4"
    assert off[:4] == ["IF, T=32", "no", "450 ± 25.0 / 49.9 SOPs / paper 563 ± 99", "failed / paper 240 ± 34"]
    assert on[:4] == [
        "IF, T=32",
        "yes, α chosen",
        "730 ± 15.0 / α=0.5 / 49.9 SOPs / paper 823 ± 8",
        "failed / paper 411 ± 48",
    ]
    assert (
        on[4].startswith("85.88 / no interval / n=2") and "1 of 2 tasks" in on[4] and on[4].endswith("paper 93.52")
    ), "the paper's over the same task"
    assert [row[3].split(" / ")[0] for row in rows[4:8]] == ["damaged", "damaged", "missing", "missing"]
    assert [row[2].split(" / ")[0] for row in rows[4:8]] == ["missing"] * 4
    assert rows[-1][0] == "Spiking-WM, T=8" and rows[-1][4] == " / paper 68.54"


def test_a_terminal_sees_the_table_of_returns(tmp_path):
    lines = "\n".join(make([_sweep(tmp_path)], tmp_path / "out").lines).splitlines()
    assert lines[0].startswith("4 jobs: 1 finished, 1 failed")
    _, ann, off, on = (re.split(r"  +", line) for line in lines[1:5])
    assert ann[:4] == ["ANN", "–", "850 ± 25.0", "failed"] and ann[4] == "100.00"
    assert off[:4] == ["IF, T=32", "no", "450 ± 25.0", "failed"]
    assert on[:5] == ["IF, T=32", "yes, α chosen", "730 ± 15.0", "failed", "85.88"]
    assert not any("Spiking-WM" in line for line in lines), "what is not ours stands on the page alone"


def test_no_gap_is_a_number(written):
    found = tables((written / "report.html").read_text())
    rows = [row for row in found["details_pixels"] if row[0] == "cheetah_run"]
    assert len(rows) == 7
    for row in rows:
        assert row[3].split(" / ")[0] in ("failed", "damaged", "missing")
        assert set(row[4:17]) == {"–"}
    for name in ("energy_pixels_paper", "layers_pixels", "one_alpha_pixels"):
        assert not any("SNM" in cell or "cheetah" in cell for row in found[name] for cell in row)


def test_causes_are_told_and_escaped(written):
    page = (written / "report.html").read_text()
    assert "the <disk> is | full" in [row[4] for row in tables(page)["gaps"]] and "<disk>" not in page
    markdown = (written / "report.md").read_text()
    assert r"the \<disk\> is \| full" in markdown
    assert "4 jobs: 1 finished, 1 failed, 1 with a result that can't be read, 1 without a result." in markdown


def test_markdown_tables_are_whole_and_hold_the_same_numbers(written):
    text = (written / "report.md").read_text()
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert "730 ± 15.0 (α=0.5; 49.9 SOPs; paper 823 ± 8)" in text
    assert all((written / name).is_file() for name in re.findall(r"!\[.*?\]\((.*?)\)", text))


def test_results_csv_has_a_row_per_episode(written):
    rows = csv_rows(written)
    assert sorted((row["method"], row["alpha"], row["stream"], float(row["return"])) for row in rows) == [
        ("ann", "", "report", 800.0),
        ("ann", "", "report", 900.0),
        ("if_32", "0.0", "report", 400.0),
        ("if_32", "0.0", "report", 500.0),
        ("if_32", "0.0", "selection", 300.0),
        ("if_32", "0.5", "report", 700.0),
        ("if_32", "0.5", "report", 760.0),
        ("if_32", "0.5", "selection", 600.0),
        ("if_32", "1.0", "selection", 500.0),
    ]
    reported = [row for row in rows if row["alpha"] and row["stream"] == "report"]
    assert {row["sops_per_decision"] for row in reported} == {str(32 * 780 / 500)}
    assert {row["alpha_chosen"] for row in reported if row["alpha"] == "0.5"} == {"1"}


def test_energy_of_the_mean_network(written):
    _, ann, off, *_ = tables((written / "report.html").read_text())["energy_pixels_paper"]
    sops = 32 * 780 / 500
    assert ann[3].startswith("1,520") and ann[4].startswith("0.019")
    assert off[3].startswith(f"{sops:,.0f}") and off[3].endswith("paper 2.12e+08")
    for text, times in ((off[5], 1), (off[6], 32)):
        assert float(text) == pytest.approx(1e6 * (sops * 77e-15 + times * 1000 * 12.5e-12), abs=0.0005)


def test_the_same_results_make_the_same_report(written, tmp_path):
    make([written.parent], tmp_path)
    for path in sorted(path for path in written.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(written)).read_bytes() == path.read_bytes(), path


def test_what_was_cut_short_is_shown_as_such_and_as_nothing_else(tmp_path):
    found = tables(made(tmp_path, result([123.0], {0.0: [45.0]}, alpha=0.0, capped=True)))
    assert [row[2:] for row in found["cut_short"][1:]] == [["ANN", "500", "123"], ["IF, T=2, α=0", "500", "45.0"]]
    for name, table in found.items():
        if name not in ("cut_short", "gaps"):  # the folder's name may hold any digits
            assert not any("123" in cell or "45.0" in cell for row in table for cell in row)
    assert found["returns_pixels"][1][2].startswith("cut short")
    assert {(row["return"], row["capped"]) for row in csv_rows(tmp_path / "out")} == {("", "1")}


def test_states_and_pixels_apart(tmp_path):
    both = [result([10.0], {0.0: [5.0]}, alpha=0.0, obs=obs, sha=obs) for obs in ("pixels", "state")]
    found = tables(made(tmp_path, *both))
    assert found["returns_pixels"][1][2].startswith("10.0") and found["returns_state"][2][2].startswith("5.00")


def test_policies_with_labels_stand_apart(tmp_path):
    hopper = dict(ann=[100.0] * 3, alpha=0.0, env_name="Hopper-v4", obs="state", training_seed=None)
    both = [result(snn={0.0: [mean] * 3}, sha=name, label=name, **hopper) for name, mean in (("TD3", 50), ("SAC", 70))]
    for one in both:
        one.policy.frame = 0  # as of a file that doesn't say
    page = made(tmp_path, *both)
    assert [row[2:4] for row in tables(page)["policies"][1:]] == [["–", "–"]] * 2 and "claim the same" not in page
    assert "headed" not in page and "paper 4.53e+07" not in page  # the paper has no such task in Table 3 or 4
    [head, _, off] = tables(page)["returns_state"]
    assert [name.strip() for name in head[2:4]] == ["SAC Hopper-v4", "TD3 Hopper-v4"]
    assert off[2].startswith("70.0 ±") and off[3].startswith("50.0 ±") and off[4].startswith("60.00")


def test_controls_and_timesteps_have_their_sections(tmp_path):
    gains = {"residual": 3.0, "random": 1.0, "shuffled": -1.0, "carry": 2.0}
    played = [
        result(
            [10.0] * 3, {0.0: [5.0] * 3, 0.5: [5.0 + gain] * 3}, alpha=[0.0, 0.5], chosen=0.5, mode=mode, SNN_ts=steps
        )
        for steps in (2, 4)
        for mode, gain in gains.items()
    ]
    page = made(tmp_path, *played)
    found = {(row[0], row[1]): row[2] for row in tables(page)["controls_pixels"][1:]}
    assert found["IF, T=2", "CRPI"].startswith("+3.00 / [+3.00, +3.00] / n=3 / α=0.5")
    assert found["IF, T=4", "shuffled"].startswith("−1.00") and len(found) == 8
    modes = {row[1] for row in tables(page)["returns_pixels"][1:-3]}
    assert modes == {"–", "no", "yes, α chosen"}, "controls never stand among the methods"
    headings = set(map(shown, re.findall("<h2.*?>.*?</h2>", page)))
    assert {"CRPI beside its controls", "Return against simulation steps"} <= headings
    for name in ("controls_pixels", "timesteps_pixels", "timesteps_pixels_tasks"):
        assert (tmp_path / "out" / "figures" / f"{name}.png").is_file()


def test_the_video_that_a_result_names_is_embedded_and_no_other(tmp_path):
    contents = b"\0\0\0\x18ftypmp42"
    bare, done = (result([10.0], {0.0: [5.0]}, alpha=0.0) for _ in range(2))
    done.artefacts["video.mp4"] = hashlib.sha256(contents).hexdigest()
    for name, left in {"0": contents, "1": b"of another run", "3": contents}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "video.mp4").write_bytes(left)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "video.mp4").symlink_to(tmp_path / "0" / "video.mp4")
    text = made(tmp_path, done, done, done, bare)
    assert text.count("data:video/mp4;base64,") == text.count('src="data:video/mp4;base64,AAAAGGZ0eXBtcDQy"') == 1
    assert "](<../0/video.mp4>)" in (tmp_path / "out" / "report.md").read_text()


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        results.write(result([10.0], {0.0: [5.0]}, alpha=0.0, sha=name), tmp_path / name / "0")
    assert main(["a"]) == 0 and (tmp_path / "a" / "report" / "report.html").is_file()
    assert str(tmp_path / "a" / "report" / "report.html") in capsys.readouterr().out
    assert main(["a", "b"]) == 0
    assert "Policies" in (tmp_path / "results" / "report" / "report.md").read_text()
    assert main(["a", "--out", "elsewhere"]) == 0 and (tmp_path / "elsewhere" / "results.csv").is_file()
    assert main(["gone"]) == main(["a", "out=X"]) == 2, "no word is ignored"
    said = "error: {}: no such folder; give a sweep, a run, an analysis, or a folder of these\n"
    assert capsys.readouterr().err == said.format("gone") + said.format("out=X")
    (tmp_path / "empty").mkdir()
    assert main(["empty", "--out", "nothing"]) == 2 and not (tmp_path / "nothing").exists()
    assert "nothing to report" in capsys.readouterr().err


def test_a_report_loads_neither_torch_nor_hydra():
    code = "import sys, report.make; print({'torch', 'hydra', 'omegaconf', 'dm_control'} & set(sys.modules))"
    assert python("-c", code).stdout.strip() == "set()"
