"""The published DrQ-v2 pipeline, rebuilt from dm_control's own wrappers and renderer, as the tests' independent oracle.

`python oracle.py OUT TASK/pixels TASK/state ...` writes observations, rewards and discounts of an episode of each to
OUT (npz), under random actions that are a function of the task's number of actuators.
"""

import sys

import numpy as np

SEED, REPEAT, DECISIONS = (0, 7, 3), 2, 3


class Float32Actions:
    def __init__(self, environment):
        self._environment = environment

    def __getattr__(self, name):
        return getattr(self._environment, name)

    def action_spec(self):
        spec = self._environment.action_spec()
        return spec.replace(
            dtype=np.float32, minimum=spec.minimum.astype(np.float32), maximum=spec.maximum.astype(np.float32)
        )

    def step(self, action):
        assert action.dtype == np.float32
        return self._environment.step(action.astype(np.float64))


def actions(count, dimension):
    return np.random.RandomState(dimension).uniform(-1, 1, (count, dimension)).astype(np.float32)


def load(task, kind):
    # Here, so that the tests can use `actions` without loading dm_control in their own way.
    from dm_control import manipulation, suite
    from dm_control.suite.wrappers import action_scale, pixels

    domain, name = task.split("_", 1)
    random = np.random.RandomState(SEED)
    if task == "reach_duplo":
        raw = manipulation.load(f"reach_duplo_{'vision' if kind == 'pixels' else 'features'}", seed=random)
        return action_scale.Wrapper(Float32Actions(raw), -1.0, 1.0), "front_close" if kind == "pixels" else None
    if domain == "cup":
        domain = "ball_in_cup"
    raw = suite.load(domain, name, task_kwargs={"random": random}, visualize_reward=False)
    scaled = action_scale.Wrapper(Float32Actions(raw), -1.0, 1.0)
    if kind == "state":
        return scaled, None
    camera = 2 if domain == "quadruped" else 0
    return pixels.Wrapper(scaled, True, {"height": 84, "width": 84, "camera_id": camera}), "pixels"


def observe(step, key):
    if key is None:
        return np.concatenate([np.asarray(value).ravel() for value in step.observation.values()])
    picture = step.observation[key]
    return (picture[0] if picture.ndim == 4 else picture).copy()


def roll_out(task, kind):
    environment, key = load(task, kind)
    observations = [observe(environment.reset(), key)]
    rewards, discounts = [], []
    for action in actions(DECISIONS, environment.action_spec().shape[0]):
        reward, discount = 0.0, 1.0
        for _ in range(REPEAT):
            step = environment.step(action)
            reward += (step.reward or 0.0) * discount
            discount *= step.discount
            if step.last():
                break
        observations.append(observe(step, key))
        rewards.append(reward)
        discounts.append(discount)
    return {"observations": observations, "rewards": rewards, "discounts": discounts}


if __name__ == "__main__":
    _, out, *cases = sys.argv
    np.savez(out, **{f"{case}/{name}": part for case in cases for name, part in roll_out(*case.split("/")).items()})
