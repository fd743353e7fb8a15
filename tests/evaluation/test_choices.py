"""Which file is converted, which α plays where, and which one is chosen."""

import time
from types import SimpleNamespace

import pytest

from drqv2.snapshot import write_snapshot
from evaluation import alpha_selection, policy_choice
from evaluation.alpha_selection import AlphaPlan
from evaluation.policy_choice import find, find_shipped
from runtime.files import write_json
from tests.drqv2.policy_files import description
from tests.refusals import refused


@pytest.mark.parametrize(
    "learned, distilled, found",
    [
        (None, 856.0, "distilled"),
        (500.0, None, "pixels"),
        (770.0, 856.0, "distilled"),
        (771.0, 856.0, "pixels"),
        (None, -100.0, "distilled"),
        (-111.0, -100.0, "distilled"),
        (-109.0, -100.0, "pixels"),
    ],
)
def test_the_pixel_policy_that_ships_is_the_learned_one_where_it_is_as_good(
    tmp_path, monkeypatch, learned, distilled, found
):
    monkeypatch.setattr(policy_choice, "CHECKPOINTS", tmp_path)
    assert find_shipped("a_task", "pixels") is None
    means = {"pixels/a_task": learned, "distilled/a_task": distilled, "state/b_task": 1.0}
    write_json(tmp_path / "checkpoints.json", {name: {"mean": mean} for name, mean in means.items() if mean})
    assert find_shipped("a_task", "pixels") == tmp_path / found / "a_task.pt"
    assert find_shipped("a_task", "state") is None


@pytest.mark.parametrize(
    "ships, returns, warns",
    [(800.0, [650.0], False), (800.0, [630.0], True), (-10.0, [-10.0, -11.0], False), (-10.0, [-13.0], True)],
)
def test_a_policy_far_below_the_one_that_ships_is_weak(tmp_path, monkeypatch, ships, returns, warns):
    """Also where returns are negative, of which 0.8 times one is a better one."""
    monkeypatch.setattr(policy_choice, "CHECKPOINTS", tmp_path)
    write_json(tmp_path / "checkpoints.json", {"state/Pendulum-v1": {"mean": ships}})
    weak = policy_choice.weakness(SimpleNamespace(task="Pendulum-v1", obs="state"), returns)
    assert (weak is not None) == warns


def test_find_prefers_the_given_file_then_the_published_layout_then_the_newest_run(tmp_path):
    with refused("python train.py task=humanoid_walk"):
        find("humanoid_walk", "pixels", root=tmp_path)
    folder = tmp_path / "humanoid_walk"
    for name, obs in (("old", "pixels"), ("new", "pixels"), ("newest", "state")):
        write_snapshot(folder / name / "snapshot.pt", {"policy": description(obs=obs)}, {})
        time.sleep(0.01)
    assert find("humanoid_walk", "pixels", root=tmp_path) == folder / "new" / "snapshot.pt"
    assert find("humanoid_walk", "state", root=tmp_path) == folder / "newest" / "snapshot.pt"
    (folder / "snapshot.pt").write_bytes(b"published")
    assert find("humanoid_walk", "pixels", root=tmp_path) == folder / "snapshot.pt"
    given = folder / "old" / "snapshot.pt"
    assert find("humanoid_walk", "pixels", snapshot=given, root=tmp_path) == given
    assert find("humanoid_walk", "pixels", snapshot=given.parent, root=tmp_path) == given
    with refused("snapshot="):
        find("humanoid_walk", "pixels", snapshot=tmp_path / "absent.pt", root=tmp_path)


# ---- α ----


@pytest.mark.parametrize(
    "alphas, select, plan, optimistic",
    [
        ([0.5], "honest", AlphaPlan("given", (), (0.0, 0.5)), False),
        ([0.5], "paper", AlphaPlan("given", (), (0.0, 0.5)), False),
        ([0.0], "honest", AlphaPlan("given", (), (0.0,)), False),
        ([1.0, 0.0, 0.5], "honest", AlphaPlan("honest", (1.0, 0.0, 0.5), (0.0,)), False),
        ([0.2, 0.4], "honest", AlphaPlan("honest", (0.2, 0.4), (0.0,)), False),
        ([0.5, 0.0], "paper", AlphaPlan("paper", (), (0.0, 0.5)), True),
        ([0.5, 0.2], "paper", AlphaPlan("paper", (), (0.0, 0.2, 0.5)), True),
    ],
)
def test_plain_conversion_always_plays_and_only_honest_selection_has_episodes_of_its_own(
    alphas, select, plan, optimistic
):
    assert alpha_selection.plan(alphas, select) == plan
    record = alpha_selection.describe(alphas, select, 0.5)
    assert (record.how, record.optimistic, "optimistic" in record.note) == (plan.how, optimistic, optimistic)
    assert record.returns_stream == ("selection" if plan.selection else "report") and record.requested == alphas


def test_of_equals_the_smallest_alpha_wins():
    assert alpha_selection.best({0.5: 3.0, 0.0: 1.0, 0.2: 3.0}) == 0.2
