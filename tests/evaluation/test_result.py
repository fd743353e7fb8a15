"""result.json comes back as it was written, and nothing else is taken for one."""

import copy
import json
import os

import numpy as np
import pytest

from evaluation import result as results
from evaluation.result import (
    ActivityRecord,
    AlphaRecord,
    ConversionRecord,
    EpisodeRecord,
    LayerRecord,
    PolicyRecord,
    Result,
    RolloutRecord,
)
from runtime.errors import UserError


def episode(number, value, *, capped=False, spiking=True):
    counts = {"spikes": [[1, 2]], "sops": [[3, 4]], "above_threshold": [0.25]} if spiking else {}
    return EpisodeRecord(
        seed=[4, 1, number],
        episode=number,
        return_=None if capped else value,
        reward_sum=value,
        decisions=500,
        capped=capped,
        **counts,
    )


def result(capped=False, returns_stream="report"):
    made = lambda alpha, stream, values: RolloutRecord(  # noqa: E731
        alpha=alpha,
        stream=stream,
        episodes=[
            episode(i, v, capped=capped, spiking=alpha is not None and stream == "report") for i, v in enumerate(values)
        ],
        activity=[ActivityRecord(name="policy.0", spike_rate=0.1, above_threshold=0.25, sops=12.0)]
        if alpha is not None and stream == "report"
        else [],
    )
    return Result(
        status="ok",
        cause=None,
        created="2026-01-01T00:00:00+00:00",
        config={"a": {"b": [1, None]}},
        versions={"torch": "2"},
        task="cartpole_swingup",
        obs="state",
        capped=capped,
        seeds={"seed": 1},
        policy=PolicyRecord(
            path="/p/snapshot.pt", sha256="ab", frame=1000, training_seed=1, actor_trunk="relu", action_repeat=2
        ),
        conversion=ConversionRecord(
            neuron="if",
            rule="if",
            coding="rate",
            n_thresholds=None,
            timesteps=2,
            mode="residual",
            hybrid=False,
            dtype=None,
            v_base=0.5,
            clip=[-0.5, 0.5],
            calibration={"steps": 5},
            thresholds_sha256="cd",
            layers=[
                LayerRecord(name="policy.0", kind="linear", neuron="if", units=7, theta_min=0.1, theta_max=2.0, dead=1)
            ],
        ),
        alpha=AlphaRecord(
            requested=[0.5, 0.0], chosen=0.5, how="honest", optimistic=False, note="", returns_stream=returns_stream
        ),
        ann=made(None, "report", [10.0, 20.0]),
        snn=[
            made(0.0, "selection", [1.0]),
            made(0.5, "selection", [2.0]),
            made(0.0, "report", [3.0, 5.0]),
            made(0.5, "report", [7.0, 8.0]),
        ],
    )


def test_round_trip(tmp_path):
    path = results.write(result(), tmp_path)
    assert results.read(path) == results.read(tmp_path) == result()
    assert json.loads(path.read_text())["ann"]["episodes"][0]["return"] == 10.0


@pytest.mark.parametrize("stream, expected", [("report", [7.5, 4.0]), ("selection", [2.0, 1.0])])
def test_returns_npy_follows_the_requested_order(tmp_path, stream, expected):
    results.write(result(returns_stream=stream), tmp_path)
    returns = np.load(tmp_path / "returns.npy")
    assert returns.dtype == np.float64
    np.testing.assert_array_equal(returns, expected)


def test_what_was_cut_short_is_no_return(tmp_path):
    results.write(result(capped=True), tmp_path)
    assert np.isnan(np.load(tmp_path / "returns.npy")).all()
    back = results.read(tmp_path)
    assert back.capped and back.ann.returns() == [] and back.ann.mean_reward_sum() == 15.0


def test_a_failed_run_says_why_and_leaves_no_returns(tmp_path):
    failed = Result(
        status="failed", cause="no policy", created="2026", config={}, versions={}, task="cheetah_run", obs="pixels"
    )
    results.write(failed, tmp_path)
    assert results.read(tmp_path) == failed
    assert not (tmp_path / "returns.npy").exists()


def _edited(change):
    document = result().to_dict()
    change(document)
    return document


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version=2),
        lambda d: d.pop("alpha"),
        lambda d: d.update(extra=1),
        lambda d: d.update(status="done"),
        lambda d: d.update(status="failed"),
        lambda d: d.update(ann=None),
        lambda d: d["ann"].update(episodes=[]),
        lambda d: d["ann"]["episodes"][0].update({"return": "10"}),
        lambda d: d["ann"]["episodes"][0].update(capped=True),
        lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1]]),
        lambda d: d["conversion"]["layers"][0].update(units=True),
        lambda d: d["alpha"].update(chosen=float("nan")),
        lambda d: d["ann"]["episodes"][0].update({"return": 11.0}),
        lambda d: d["ann"]["episodes"][0].update({"return": 1000.5, "reward_sum": 1000.5}),
        lambda d: d["ann"]["episodes"][0].update({"return": -3.0, "reward_sum": -3.0}),
        lambda d: d["ann"]["episodes"][0].update(decisions=0),
        lambda d: d["ann"]["episodes"][0].update(decisions=4),
        lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 3501]]),
        lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, -1]]),
        lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 2, 3]]),
        lambda d: d["snn"][2]["episodes"][0].update(sops=[[3, -4]]),
        lambda d: d["snn"][2]["episodes"][0].update(spikes=[[1, 2]] * 2),
        lambda d: d["conversion"].update(timesteps=3),
        lambda d: d["conversion"].update(layers=d["conversion"]["layers"] * 2),
        lambda d: d["snn"][2]["activity"][0].update(spike_rate=1.5),
    ],
)
def test_a_document_that_does_not_hold_together_is_refused(tmp_path, change):
    (tmp_path / "result.json").write_text(json.dumps(_edited(change)))
    with pytest.raises(UserError, match="result.json: not a readable result") as refusal:
        results.read(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"ann":' * 100_000])
def test_a_missing_or_broken_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(UserError, match="not a readable result"):
        results.read(tmp_path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(UserError, match="not a readable result"):
        results.read(tmp_path)


def test_other_tasks_may_pay_what_they_like(tmp_path):
    document = _edited(lambda d: d.update(task="HalfCheetah-v4"))
    document["ann"]["episodes"][0].update({"return": -4000.0, "reward_sum": -4000.0})
    (tmp_path / "result.json").write_text(json.dumps(document))
    assert results.read(tmp_path).ann.returns()[0] == -4000.0


def test_a_result_that_could_not_be_read_back_is_not_written(tmp_path):
    wrong = copy.deepcopy(result())
    wrong.ann.episodes[0].reward_sum = float("inf")
    with pytest.raises(ValueError):
        results.write(wrong, tmp_path)
    assert not list(tmp_path.iterdir())
