"""A whole run in this process, with real environments and networks and tiny budgets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import snn
from drqv2.snapshot import load_policy, store_calibration
from evaluation import policy_choice, summary
from evaluation import result as results
from evaluation import run as programs
from evaluation.conversion import ConversionRun
from evaluation.settings import ConvertSettings
from runtime.files import sha256_file
from tests.configs import config
from tests.drqv2.policy_files import write_small_policy
from tests.refusals import refused

SMALL = dict(
    env_name="cartpole_swingup",
    SNN_ts=3,
    calibration__steps=12,
    num_eval_episodes=2,
    max_decisions=6,
    num_workers=0,
    chunk=3,
    crpi__select_episodes=1,
    device="cpu",
)


def _run(policies, folder, obs="state", say=lambda line: None, show=lambda result: None, warn=print, **changes):
    values = config(
        "convert", **(SMALL | dict(obs=obs, snapshot=str(policies[obs]), store=str(folder / "keys")) | changes)
    )
    return programs.convert(ConvertSettings.from_dict(values), values, folder, say, show, warn)


def _without_time(result):
    left_out = ("created", "timing", "config", "compute")
    return {name: value for name, value in result.to_dict().items() if name not in left_out}


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_a_run_writes_what_it_found(policies, tmp_path, obs):
    result = _run(policies, tmp_path, obs, crpi__alpha=0.5)
    assert results.read(tmp_path) == result
    entries = [json.loads(path.read_text()) for path in (tmp_path / "keys").rglob("*.json")]
    assert [entry["outcome"]["made"]["versions"] for entry in entries] == [result.versions] * 6
    sha256 = sha256_file(policies[obs])
    assert (result.policy.sha256, result.policy.training_seed, result.policy.frame) == (sha256, 7, 1234)
    assert [rollouts.alpha for rollouts in result.snn] == [0.0, 0.5] and result.alpha.how == "given"
    assert result.capped and np.isnan(np.load(tmp_path / "returns.npy")).tolist() == [True]
    assert result.ann.episodes[0].spikes is None and result.ann.episodes[0].decisions == 6
    layers, crpi = result.conversion.layers, result.snn[1]
    assert len(layers) == len(crpi.activity) == (7 if obs == "pixels" else 3)
    assert all(0 <= layer.dead <= layer.units for layer in layers)
    for rollouts in [result.ann, *result.snn]:
        assert [episode.seed for episode in rollouts.episodes] == [[4, 1, 0], [4, 1, 1]]
    units = np.array([layer.units for layer in layers])
    spikes = np.sum([np.sum(episode.spikes, axis=1) for episode in crpi.episodes], axis=0)
    assert [activity.spike_rate for activity in crpi.activity] == pytest.approx(spikes / (units * 3 * 12))
    (row,) = [line for line in summary.lines(result) if line.startswith("IF+CRPI")]
    assert float(row.split()[-1]) == pytest.approx(spikes.sum() / (units.sum() * 3 * 12), abs=6e-5)


def test_honest_selection_reports_plain_conversion_and_the_chosen_which_is_saved(policies, tmp_path):
    result = _run(policies, tmp_path, crpi__alpha=[0.6, 0.2, 1.0], save=True)
    groups = [(rollouts.alpha, rollouts.stream, len(rollouts.episodes)) for rollouts in result.snn]
    selected = {(alpha, "selection", 1) for alpha in (0.6, 0.2, 1.0)}
    assert set(groups) == selected | {(0.0, "report", 2), (result.alpha.chosen, "report", 2)}
    means = {alpha: result.of(alpha, "selection").mean_reward_sum() for alpha in (0.6, 0.2, 1.0)}
    assert means[result.alpha.chosen] == max(means.values())
    assert result.seeds["streams"] == ["calibration", "report", "selection"]
    assert {tuple(e.seed) for e in result.of(0.2, "selection").episodes}.isdisjoint(
        tuple(e.seed) for e in result.ann.episodes
    )
    assert np.load(tmp_path / "returns.npy").shape == (3,)
    saved = snn.load(tmp_path / programs.NETWORK)
    assert (saved.carry.alpha, saved.timesteps, saved.neuron.rule.name) == (result.alpha.chosen, 3, "if")
    for layer, told in zip(saved.layers, result.conversion.layers, strict=True):
        assert (layer.name, float(layer.theta.max())) == (told.name, pytest.approx(told.theta_max))


@pytest.mark.parametrize("obs", ["state", "pixels"])
def test_results_do_not_depend_on_how_many_run_at_once_or_with_whom(policies, tmp_path, obs):
    together = _run(policies, tmp_path / "a", obs, crpi__alpha=[0.5, 0.0], crpi__select="paper", num_envs=6)
    assert [(rollouts.alpha, rollouts.stream) for rollouts in together.snn] == [(0.0, "report"), (0.5, "report")]
    assert together.alpha.optimistic and "optimistic" in together.alpha.note
    single = _run(policies, tmp_path / "b", obs, crpi__alpha=0.5)
    assert (together.of(0.5), together.ann) == (single.of(0.5), single.ann)
    if obs == "state":  # VectorEnv's own tests show that workers render as this process does
        workers = _run(policies, tmp_path / "c", obs, crpi__alpha=0.5, num_envs=9, num_workers=2)
        assert _without_time(workers) == _without_time(single)


def test_a_video_is_written_on_request(policies, tmp_path):
    import imageio.v2 as imageio

    _run(policies, tmp_path, crpi__alpha=0.5, video=True)
    frames = list(imageio.get_reader(tmp_path / "video.mp4").iter_data())
    assert len(frames) == 7 and frames[0].shape[1] >= 3 * 320
    left, right = frames[0][44:, :320], frames[0][44:, -320:]
    assert np.abs(left.astype(int) - right).mean() < 3, "the panels must start from the same state"


def test_whatever_stops_a_video_or_a_network_the_result_stands(policies, tmp_path, monkeypatch):
    lines = []

    def show(result):
        raise BrokenPipeError("the terminal is closed")

    monkeypatch.setattr("evaluation.video.write_video", lambda *_: 1 / 0)
    monkeypatch.setattr("evaluation.run.snn.save", lambda network, path: path.write_bytes(b"whole"))
    result = _run(policies, tmp_path, warn=lines.append, show=show, crpi__alpha=0.5, video=True, save=True)
    [shown, line] = [line for line in lines if "result.json is complete" in line]
    assert "the terminal is closed" in shown and "video.mp4: not written" in line
    results.write_failure(result.config, "whatever came behind it", tmp_path)
    assert results.read(tmp_path) == result and result.status == "ok"
    assert result.artefacts == {"spiking.safetensors": sha256_file(tmp_path / "spiking.safetensors")}


@pytest.mark.parametrize(
    "name, value, said",
    [("IMAGEIO_FFMPEG_EXE", "/nope", "IMAGEIO_FFMPEG_EXE=/nope: .*unset it"), ("MUJOCO_GL", "disable", "MUJOCO_GL=")],
)
def test_a_video_that_cannot_be_made_is_said_before_anything_is_played(
    policies, tmp_path, monkeypatch, name, value, said
):
    monkeypatch.setenv(name, value)
    with refused(said):
        _run(policies, tmp_path, video=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "named, folder, route, evaluated",
    [
        ({}, "mine", "newest run in", "last evaluation: 151 at 1,200 frames"),
        ({"run": "mine"}, "mine", "run=mine", "last evaluation: 151 at 1,200 frames"),
        ({"snapshot": "shipped"}, "state", "it ships with the toolkit", "over 50 episodes"),
    ],
)
def test_the_policy_is_told_with_its_route_and_its_last_evaluation(tmp_path, named, folder, route, evaluated):
    path = write_small_policy(tmp_path / "exp_local/cartpole_swingup/mine/snapshot.pt")
    (path.parent / "eval.csv").write_text(
        "frame,step,episode_reward\n1000.0,500.0,123.4\n1200.0,600.0,150.6\n9000.0,4500.0,800.0\n"
    )
    lines, changes = [], {"snapshot": None, "root": str(tmp_path / "exp_local")} | named
    policy = _run({"state": None}, tmp_path / "out", say=lines.append, **changes).policy
    assert (Path(policy.path).parent.name, policy.weak) == (folder, None)
    assert policy.route.startswith(route) and evaluated in policy.last_evaluation
    assert f"{policy.last_evaluation}, {policy.route})" in lines[0]


def test_whole_episodes_have_returns_and_a_weak_policy_is_warned_of(policies, tmp_path):
    result = _run(policies, tmp_path, max_decisions=None, num_eval_episodes=1, crpi__alpha=0.0)
    assert not result.capped and result.ann.episodes[0].decisions == 500
    assert np.load(tmp_path / "returns.npy").tolist() == [result.snn[0].episodes[0].return_]
    assert result.policy.weak.startswith("weak ANN: it returns ")
    assert summary.lines(result)[0] == f"warning: {result.policy.weak}"
    loaded = load_policy(policies["state"])
    assert policy_choice.weakness(loaded, [700.0]) is None and policy_choice.weakness(loaded, []) is None


P90 = {"calibration__percentile": 90.0, "seed": 4}


@pytest.mark.parametrize(
    "obs, stored, asked",
    [
        ("state", {}, {}),
        ("pixels", {}, {}),
        ("state", P90, P90),
        ("pixels", P90, P90),
        ("state", {}, {"seed": 4}),
        ("state", {}, {"chunk": 2}),
        ("state", {}, {"calibration__steps": 13}),
    ],
)
def test_a_stored_calibration_is_what_a_run_of_its_settings_would_have_computed(policies, tmp_path, obs, stored, asked):
    path = shutil.copy(policies[obs], tmp_path / "carries.pt")
    values = config("convert", **(SMALL | dict(obs=obs, snapshot=str(path), store=str(tmp_path / "own")) | stored))
    with ConversionRun(ConvertSettings.from_dict(values), say=lambda line: None) as run:
        store_calibration(path, run.measured())
    lines, used = [], stored == asked
    ours = _run({obs: path}, tmp_path / "a", obs, lines.append, crpi__alpha=0.5, **asked)
    theirs = _run(policies, tmp_path / "b", obs, crpi__alpha=0.5, **asked)
    places = [result.conversion.calibration["from"] for result in (ours, theirs)]
    assert places == ["policy file" if used else "rollouts", "rollouts"]
    said = "(12 decisions" if used else "are not used, they are of other settings ("
    assert [line for line in lines if line.startswith(f"thresholds: those in the policy's file {said}")]
    assert ours.conversion.thresholds_sha256 == theirs.conversion.thresholds_sha256 and ours.snn[0] == theirs.snn[0]
    assert [(tmp_path / name / "keys/thresholds").exists() for name in "ab"] == [not used, True]
