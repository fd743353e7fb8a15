"""Wrong command lines: each is answered by one line that names the option, its value and what would be right.

Run inside this process, which spares seconds of start-up each; a few also as processes of their own. A folder of
policies is there, and nothing may be left beside it.
"""

import pytest
import yaml

from cli import command_line
from evaluation.policy_choice import CHECKPOINTS
from tests.cli.command import run, run_here

# (program, words, what the line must hold, its parts divided by " … "); the exit code is 2
MISTAKES = [
    # words that are no options
    ("train", "batchsize=3", "batchsize=3: unknown option; did you mean batch_size? … --help"),
    ("train", "agent=foo", "agent=foo: unknown option; python train.py --help lists them all"),
    ("train", "+extra=3", "+extra=3: unknown option … --help"),
    ("train", "++batch_siz=3", "++batch_siz=3 … did you mean batch_size?"),
    ("train", "+lr=3", "+lr=3 … write lr=3"),
    ("train", "~lr", "~lr … write lr=value"),
    ("train", "render.devices=3", "render.devices=3 … did you mean render.device?"),
    ("train", "render=3", "render=3: render is a group of options: render.device"),
    ("train", "hydra.nonsense=1", "hydra.nonsense"),
    ("train", "--frobnicate", "--frobnicate … name=value"),
    ("train", "--config-dir=/nowhere", "--config-dir"),
    ("convert", "--env_name cheetah_run", "--env_name … name=value"),
    ("train", "=3", "=3: names no option; write name=value"),
    ("train", "lr", "lr: write lr=value"),
    ("train", "lr=[1", "lr=[1 … quote"),
    ("convert", "SNN_tz=8", "SNN_tz=8 … did you mean SNN_ts?"),
    ("convert", "crpi.alfa=1", "crpi.alfa=1 … did you mean crpi.alpha?"),
    ("convert", "alpha=0.5", "alpha=0.5 … did you mean crpi.alpha?"),
    ("convert", "+crpi.beta=1", "+crpi.beta=1: unknown option"),
    ("convert", "crpi=0.5", "crpi=0.5: crpi is a group of options: crpi.alpha"),
    ("convert", "~crpi", "~crpi"),
    ("convert", "neuron@_global_=if", "neuron@_global_=if … write neuron=if"),
    ("train", "task@_global_=cheetah_run", "write task=cheetah_run"),
    ("analyze", "SNN_tz=8", "did you mean SNN_ts?"),
    ("analyze", "+extra=3", "+extra=3 … --help"),
    ("analyze", "crpi.select=paper", "crpi.select=paper: an option of convert.py"),
    ("analyze", "video=true", "video=true: an option of convert.py"),
    ("distill", "obs=state", "obs=state: an option of train.py and convert.py and analyze.py"),
    # words of other toolkits
    ("convert", "T=32", "T=32: unknown option; write SNN_ts=32"),
    ("convert", "timesteps=32", "write SNN_ts=32"),
    ("convert", "time_steps=32", "write SNN_ts=32"),
    ("convert", "SNN_T=32", "write SNN_ts=32"),
    ("convert", "checkpoint=x.pt", "write snapshot=x.pt"),
    ("convert", "policy=x.pt", "write snapshot=x.pt"),
    ("convert", "model=x.pt", "write snapshot=x.pt"),
    ("convert", "path=x.pt", "write snapshot=x.pt"),
    ("distill", "checkpoint=x.pt", "write teacher=x.pt"),
    ("train", "checkpoint=x", "write start_from=x"),
    ("train", "frames=1000", "write num_train_frames=1000"),
    ("train", "total_timesteps=1000", "write num_train_frames=1000"),
    ("train", "steps=1000", "write num_train_frames=1000"),
    ("train", "learning_rate=1e-3", "write lr=1e-3"),
    ("train", "gamma=.9", "write discount=.9"),
    ("train", "tau=.01", "write critic_target_tau=.01"),
    ("train", "env=walker_walk", "write task=walker_walk"),
    ("convert", "env=walker_walk", "write env_name=walker_walk"),
    ("train", "SNN_ts=8", "SNN_ts=8: an option of convert.py and analyze.py"),
    # how words are written
    ("convert", "SNN_ts=4\r", "SNN_ts=4 … carriage return … Windows"),
    ("convert", ["SNN_ts = 4"], "write SNN_ts=4"),
    ("convert", "SNN_ts:4", "SNN_ts:4: write SNN_ts=4"),
    ("convert", ["SNN_ts 4"], "write SNN_ts=4"),
    ("convert", "SNN_ts=32,64", "SNN_ts=32,64: to run each of these values add -m"),
    ("convert", "crpi.alpha=0.1,0.5", "add -m … crpi.alpha=[0.1,0.5]"),
    ("train", "seed=1,2", "seed=1,2 … add -m"),
    ("convert", "-m SNN_ts=", "SNN_ts=: has no value; write SNN_ts=value"),
    ("convert", "-m env_name=", "env_name=: has no value"),
    ("convert", "-m crpi.alpha=interval(0,1)", "interval … +sweep=tune"),
    # groups
    ("train", "task=cheetah-run", "task=cheetah-run … did you mean cheetah_run?"),
    ("train", "task=cheetah", "task=cheetah … did you mean cheetah_run?"),
    ("train", "task=cheetahrun", "did you mean cheetah_run?"),
    ("train", "task=CHEETAH_RUN", "did you mean cheetah_run?"),
    ("train", "env_name=cheetah_ran", "env_name=cheetah_ran … did you mean cheetah_run?"),
    ("convert", "env_name=cheetah-run", "env_name=cheetah-run … did you mean cheetah_run?"),
    ("convert", "task=cheetahrun", "task=cheetahrun … did you mean cheetah_run?"),
    ("convert", "-m env_name=cheetah_run,cheetah", "env_name=cheetah: … did you mean cheetah_run?"),
    ("analyze", "env_name=walker", "env_name=walker … walker_walk"),
    ("train", "task=easy", "task=easy"),
    ("train", "task=null", "task=None"),
    ("train", "preset=fast", "preset=fast: must be one of cpu, debug, default, state"),
    ("convert", "neuron=IF", "neuron=IF: did you mean if?"),
    ("convert", "neuron=SNM", "did you mean snm?"),
    ("convert", "neuron=lif", "neuron=lif: must be one of dc, if, mt, snm"),
    ("convert", "neuron=null", "neuron=None: must be one of dc, if, mt, snm"),
    ("convert", "paper=table3", "write +paper=table3"),
    ("convert", "method=if_32", "write +method=if_32"),
    ("convert", "budget=quick", "write +budget=quick"),
    ("convert", "sweep=six_tasks", "write +sweep=six_tasks"),
    ("convert", "-m +paper=table9", "paper=table9: must be one of … table3"),
    ("convert", "+paper=table5", "paper=table5: must be one of … table3"),
    # types and ranges
    ("train", "obs=sound", "obs=sound … pixels, state"),
    ("train", "batch_size=0", "batch_size=0 … integer of at least 1"),
    ("train", "batch_size=many", "batch_size=many: must be an integer of at least 1"),
    ("train", "nstep=1.5", "nstep=1.5 … integer"),
    ("train", "discount=1.5", "discount=1.5: must be a number from 0 to 1"),
    ("train", "lr=-1", "lr=-1 … from 0"),
    ("train", "lr=nan", "lr=nan … from 0"),
    ("train", "lr=fast", "lr=fast … number"),
    ("train", "seed=-1", "seed=-1 … integer"),
    ("train", "seed=99999999999", "seed=99999999999: must be an integer of at least 0 and below 4294967296"),
    ("train", "precision=fp8", "precision=fp8 … bf16"),
    ("train", "normalize_observations=true", "normalize_observations=true: … obs=state"),
    ("train", "hidden_sign=[2,3]", "hidden_sign: … obs=state"),
    ("train", "obs=state hidden_sign=[1,1]", "hidden_sign=[1,1] … such as [2,3]"),
    ("train", "obs=state hidden_sign=[-1]", "hidden_sign=[-1] … such as [2,3]"),
    ("train", "actor_trunk=gelu", "actor_trunk=gelu … relu"),
    ("train", "stddev_schedule=linear(1)", "stddev_schedule"),
    (
        "train",
        "stddev_schedule='step(1)'",
        "stddev_schedule=step(1): must be a number such as … linear(start,end,decisions)",
    ),
    ("train", "stddev_schedule='linear(1,0.1,0)'", "stddev_schedule=linear(1,0.1,0): must be a number such as"),
    ("train", "compile=maybe", "compile=maybe: must be true or false"),
    ("train", "use_tb=perhaps", "use_tb=perhaps … true or false"),
    ("train", "max_decisions=0", "max_decisions=0: must be an integer of at least 1 or null"),
    ("train", "num_eval_episodes=0", "num_eval_episodes=0 … at least 1"),
    ("train", "frame_stack=0", "frame_stack=0 … at least 1"),
    ("train", "render.device=-3", "render.device=-3 … 0"),
    ("train", "num_train_frames=???", "num_train_frames … give"),
    ("train", "name=a/b", "name=a/b … root="),
    ("convert", "SNN_ts=0", "SNN_ts=0: must be an integer of at least 1"),
    ("convert", "SNN_ts=-1", "SNN_ts=-1: must be an integer of at least 1"),
    ("convert", "SNN_ts=2.5", "SNN_ts=2.5 … integer"),
    ("convert", "SNN_ts=many", "SNN_ts=many … integer"),
    ("convert", "SNN_ts=true", "SNN_ts=true: must be an integer of at least 1"),
    ("convert", "crpi.alpha=[0,true]", "crpi.alpha=[0,true] … grid"),
    ("convert", "crpi.alpha=2.1", "crpi.alpha=2.1 … from 0 to 2"),
    ("convert", "crpi.alpha=-0.1", "crpi.alpha=-0.1 … from 0 to 2"),
    ("convert", "crpi.alpha=nan", "crpi.alpha=nan"),
    ("convert", "crpi.alpha=[]", "crpi.alpha=[] … grid"),
    ("convert", "crpi.alpha=[0,0]", "crpi.alpha=[0 … twice"),
    ("convert", "crpi.mode=none", "crpi.mode=none … residual"),
    ("convert", "crpi.select=best", "crpi.select=best … honest"),
    ("convert", "seed=-1", "seed=-1 … from 0"),
    ("convert", "calibration.percentile=101", "calibration.percentile=101 … from 1 to 100"),
    ("convert", "calibration.percentile=0.999", "calibration.percentile=0.999 … from 1 to 100"),
    ("convert", "calibration.steps=0", "calibration.steps=0 … at least 1"),
    ("convert", "num_eval_episodes=0", "num_eval_episodes=0 … at least 1"),
    ("convert", "num_workers=-1", "num_workers=-1 … at least 0"),
    ("convert", "chunk=0", "chunk=0 … at least 1"),
    ("convert", "crpi.select_episodes=0", "crpi.select_episodes=0 … at least 1"),
    ("convert", "max_batch_bytes=0", "max_batch_bytes=0 … at least 1"),
    ("convert", "dtype=float16", "dtype=float16 … bfloat16"),
    ("convert", "video=1", "video=1 … true or false"),
    ("convert", "render.device=-1", "render.device=-1 … at least 0"),
    ("distill", "num_teacher_frames=0", "num_teacher_frames=0 … integer of at least 1"),
    ("distill", "episode_decisions=0", "episode_decisions=0 … integer of at least 1 or null"),
    ("distill", "task=reacher_easy lr_schedule=fast", "lr_schedule=fast … must be a number"),
    ("distill", "task=reacher_easy state_weight=-1", "state_weight=-1 … must be a number from 0"),
    ("analyze", "SNN_ts=0", "SNN_ts=0 … at least 1"),
    ("analyze", "crpi.alpha=2.1", "crpi.alpha=2.1 … 2"),
    ("analyze", "crpi.alpha=[0,3]", "crpi.alpha= … 3"),
    ("analyze", "layer_decisions=-1", "layer_decisions=-1"),
    ("analyze", "layer_decisions=1.5", "layer_decisions=1.5"),
    ("analyze", "num_eval_episodes=1", "num_eval_episodes=1"),
    # options that contradict each other
    ("convert", "num_envs=3 chunk=5", "num_envs=3 … chunk=5"),
    ("convert", "neuron=if neuron.n_thresholds=4", "neuron.n_thresholds=4 … mt"),
    ("convert", "neuron=if neuron.coding=differential", "snm"),
    ("convert", "neuron.rule=lif", "lif … if"),
    ("convert", "-m hydra/sweeper=optuna", "never tune on what you report"),
    ("convert", "+sweep=tune hydra.sweeper.storage=sqlite:///a.db", "hydra.sweeper.storage=sqlite:///a.db: optuna 2"),
    ("convert", "-m hydra/launcher=submitit_slurm", "hydra/launcher=submitit_slurm: no srun is found here … joblib"),
    ("train", "replay_buffer_size=100000000 num_train_frames=1000000000", "replay_buffer_size … smaller"),
    ("convert", "-m obs=state SNN_ts=2,4 hydra.sweep.subdir=same", "hydra.sweep.subdir … same (2 jobs)"),
    # files and devices
    ("convert", "snapshot=nowhere.pt", "nowhere.pt"),
    ("convert", "snapshot=other.txt", "other.txt"),
    ("convert", "snapshot=folder", "folder: holds neither policy.pt nor snapshot.pt; it holds half.pt"),
    ("convert", "snapshot=folder/half.pt", "half.pt: cut short after 100,000 bytes; download or copy it again"),
    ("convert", "env_name=walker_run obs=state", "env_name=walker_run … python train.py task=walker_run preset=state"),
    ("distill", "task=walker_stand", "task=walker_stand … no trained policy … train.py task=walker_stand preset=state"),
    ("convert", "env_name=walker_run snapshot=shipped", "snapshot=shipped: no policy of walker_run"),
    ("distill", "teacher=nowhere.pt", "teacher=nowhere.pt: no such file"),
    ("analyze", "snapshot=nowhere.pt", "nowhere.pt"),
    # Gymnasium's tasks
    ("convert", "env_name=Reecher-v5", "env_name=Reecher-v5: no such Gymnasium environment; did you mean Reacher-v"),
    ("convert", "env_name=CartPole-v1 snapshot=actor", "env_name=CartPole-v1: its actions are a Discrete"),
    ("convert", "env_name=Hopper-v4 snapshot=actor", "its first layer takes 10 numbers"),
    ("convert", "env_name=Reacher-v5 obs=pixels", "obs=pixels: Gymnasium's tasks are observed … write obs=state"),
    ("convert", "env_name=Reacher-v5 snapshot=actor network=relu-tanh", "network=relu-tanh: "),
    ("convert", "env_name=cheetah_run obs=state snapshot=actor", "read for Gymnasium's tasks, such as env_name=HalfCh"),
    ("convert", "hydra.run.dir=/proc/nowhere", "hydra.run.dir … /proc/nowhere … can be written"),
    ("train", "root=/dev/null/x", "root … /dev/null"),
    ("train", "device=tpu", "device=tpu … cpu"),
    ("train", "device=cuda:99", "device=cuda:99 … use"),
    ("convert", "device=cuda:99", "device=cuda:99 … use"),
    ("analyze", "device=tpu", "device=tpu"),
]


def answered(code: int, stderr: str, line: str, folder) -> None:
    lines = stderr.strip().splitlines()
    assert code == 2, stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), stderr
    assert all(part in lines[0] for part in line.split(" … ")), stderr
    assert {path.name for path in folder.iterdir()} == {"other.txt", "folder", "actor"}, (
        "a refused command left something behind"
    )


@pytest.fixture
def cwd(actor, tmp_path):
    """That folder, with a text and half a policy beside the actor."""
    (tmp_path / "other.txt").write_text("not a policy")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/half.pt").write_bytes((CHECKPOINTS / "state/cartpole_swingup.pt").read_bytes()[:100_000])
    return tmp_path


@pytest.mark.parametrize("program, given, line", MISTAKES, ids=[f"{p} {w}" for p, w, _ in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(cwd, program, given, line, capsys, monkeypatch):
    split = tuple(given.split(" ") if isinstance(given, str) else given)
    code, stderr = run_here(program, split, cwd, capsys, monkeypatch)
    answered(code, stderr, line, cwd)


@pytest.mark.parametrize("program, given, line", [MISTAKES[0], MISTAKES[9], ("convert", "SNN_ts=0", "SNN_ts=0")])
def test_the_same_holds_for_a_process_of_its_own(cwd, program, given, line):
    answered(2, run(f"{program}.py", *given.split(), cwd=cwd, code=2).stderr, line, cwd)


@pytest.mark.parametrize("program", command_line.PROGRAMS)
def test_the_task_goes_by_both_names_in_every_program(program):
    for name in ("task", "env_name"):
        [one, several] = command_line.check(program, [f"{name}=walker_walk", f"{name}=walker_walk,cheetah_run"])
        assert one.input_line == f"{command_line.TASK[program]}=walker_walk"
        assert several.key_or_group == command_line.TASK[program] and several.is_sweep_override()


@pytest.mark.parametrize("program, given", [("convert", "task=HalfCheetah-v4"), ("train", "env_name=Pusher-v5")])
def test_the_configuration_that_is_shown_is_the_one_that_would_run(program, given, tmp_path):
    shown = yaml.safe_load(run(f"{program}.py", "--cfg", "job", given, cwd=tmp_path).stdout)
    assert shown["obs"] == "state" and given.partition("=")[2] in (shown.get("env_name"), shown.get("task_name"))
    line = run(f"{program}.py", "--cfg", "job", "obs=state", "sed=2", cwd=tmp_path, code=2).stderr
    assert line.startswith("error: sed=2: unknown option; did you mean seed")


def test_what_is_no_mistake():
    given = ["++SNN_ts=8", "+paper=table3", "budget=quick", "method=if_32,mt_2", "hydra.run.dir=x", "crpi={alpha: 0.5}"]
    assert [override.input_line for override in command_line.check("convert", given)] == given


def test_every_word_of_advice_leads_to_an_option_and_hides_none():
    known = {
        option
        for program in command_line.PROGRAMS
        for option in (*command_line.options(program), *command_line.groups(program))
    }
    for names, targets in command_line.ADVICE.items():
        assert set(targets) <= known
        for program in command_line.PROGRAMS:
            assert not set(names) & set(command_line.groups(program))
