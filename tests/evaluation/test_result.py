"""result.json comes back as it was written, and nothing else is taken for one."""

import json
import os

import numpy as np
import pytest

from evaluation import result as results
from tests.refusals import refused
from tests.report import factories


def result(**changes):
    returns, selection = {0.0: [3.0, 5.0], 0.5: [7.0, 8.0]}, {0.0: [1.0], 0.5: [2.0]}
    done = factories.result([10.0, 20.0], returns, selection=selection, alpha=[0.5, 0.0], chosen=0.5, **changes)
    done.policy.action_repeat = 2
    return done


@pytest.mark.parametrize("stream, expected", [("report", [7.5, 4.0]), ("selection", [2.0, 1.0])])
def test_returns_npy_follows_the_requested_order(tmp_path, stream, expected):
    done = result()
    done.alpha.returns_stream = stream
    results.write(done, tmp_path)
    returns = np.load(tmp_path / "returns.npy")
    assert returns.dtype == np.float64 and returns.tolist() == expected


def test_a_failed_run_says_why_and_leaves_no_returns(tmp_path):
    config = {"env_name": "cheetah_run", "obs": "pixels", "crpi": {"alpha": [0.5, float("nan"), float("inf")]}}
    results.write_failure(config, "no policy", tmp_path)
    failed = results.read(tmp_path)
    assert (failed.status, failed.cause, failed.task, failed.obs) == ("failed", "no policy", "cheetah_run", "pixels")
    assert failed.config["crpi"]["alpha"] == [0.5, "nan", "inf"]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def _edited(change):
    document = result().to_dict()
    change(document)
    return document


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda d: d.update(version=2), "its version is 2, this program reads version 1"),
        (lambda d: d.pop("version"), "version: missing"),
        (lambda d: d.pop("alpha"), "a finished result needs policy, conversion, alpha and ann"),
        (lambda d: d.update(extra=1), "extra: unknown field"),
        (lambda d: d.update(status="done"), ""),
        (lambda d: d.update(status="failed"), ""),
        (lambda d: d.update(ann=None), ""),
        (lambda d: d["ann"].update(episodes=[]), ""),
        (lambda d: d["ann"]["episodes"][0].update({"return": "10"}), r"ann.episodes\[0\].return: must be a number"),
        (lambda d: d["ann"]["episodes"][0].update(capped=True), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1], [1]]), ""),
        (
            lambda d: d["conversion"]["layers"][0].update(units=True),
            r"conversion.layers\[0\].units: must be an integer",
        ),
        (lambda d: d["alpha"].update(chosen=float("nan")), "alpha.chosen: must be a number"),
        (lambda d: d["ann"]["episodes"][0].update({"return": 11.0}), ""),
        (lambda d: d["ann"]["episodes"][0].update({"return": 1000.5, "reward_sum": 1000.5}), ""),
        (lambda d: d["ann"]["episodes"][0].update({"return": -3.0, "reward_sum": -3.0}), ""),
        (
            lambda d: d["ann"]["episodes"][0].update(decisions=0),
            r"ann.episodes\[0\].decisions: must be an integer of at least 1",
        ),
        (lambda d: d["ann"]["episodes"][0].update(decisions=4), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 25_001], [1, 1]]), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, -1], [1, 1]]), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 2, 3]] * 2), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(sops=[[3, -4], [3, 4]]), ""),
        (lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 2]] * 3), ""),
        (lambda d: d["conversion"].update(timesteps=3), ""),
        (lambda d: d["conversion"].update(layers=d["conversion"]["layers"] * 2), ""),
        (lambda d: d["snn"][2].update(activity=[dict(name="l", spike_rate=1.5, above_threshold=0.0, sops=0.0)]), ""),
    ],
)
def test_a_document_that_does_not_hold_together_is_refused(tmp_path, change, words):
    (tmp_path / "result.json").write_text(json.dumps(_edited(change)))
    with refused(rf"result.json: not a readable result \(.*{words}"):
        results.read(tmp_path)


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    done = result()
    done.ann.episodes.clear()
    with pytest.raises(ValueError):
        results.write(done, tmp_path)
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("content", [None, "fifo", b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"ann":' * 100_000])
def test_a_missing_or_broken_file_is_refused_and_a_named_pipe_not_waited_for(tmp_path, content):
    if content == "fifo":
        os.mkfifo(tmp_path / "result.json")
    elif content is not None:
        (tmp_path / "result.json").write_bytes(content)
    with refused("not a readable result"):
        results.read(tmp_path)


def test_other_tasks_may_pay_what_they_like(tmp_path):
    document = _edited(lambda d: d.update(task="HalfCheetah-v4"))
    document["ann"]["episodes"][0].update({"return": -4000.0, "reward_sum": -4000.0})
    (tmp_path / "result.json").write_text(json.dumps(document))
    assert results.read(tmp_path).ann.returns()[0] == -4000.0
