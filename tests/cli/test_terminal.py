"""What stands on the terminal: help, version, completion, jobs' labels; ended pipes, closed streams, old encodings."""

import builtins
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import snn
from cli import command_line, help_text, terminal
from cli.sweep import SweepProgress
from evaluation import result as results
from tests.cli.command import TINY, environment, run, run_here
from tests.processes import ROOT, python

WORDS = (*TINY, "obs=state", "hydra.run.dir=out")


@pytest.mark.parametrize(
    "program, sentence",
    [("train", "transitions per update"), ("distill", "step size"), ("convert", "steps T per"), ("analyze", "0: none")],
)
def test_help_is_the_programs_own(program, sentence, tmp_path, capsys, monkeypatch):
    text = help_text.usage(program, f"What {program} does.")
    assert text.startswith(f"What {program} does.") and sentence in text
    for option in command_line.options(program):
        # Those of a group's file stand under the group's name.
        if option.partition(".")[0] not in ("neuron", "task_name"):
            assert f"  {option}=" in text, option
    assert (
        f"  {command_line.groups(program)[0]}={'|'.join(command_line.choices(command_line.groups(program)[0]))}" in text
    )
    assert "hydra:" not in text and "powered" not in text
    assert run_here(program, ("--help",), tmp_path, capsys, monkeypatch) == (0, "")


def test_the_version_is_the_toolkits():
    line = help_text.version()
    assert line.startswith(f"snn-crpi {snn.__version__} (python 3.") and "torch 2." in line and "commit " in line


@pytest.mark.parametrize(
    "typed, offered", [("train.py task=walker_", "task=walker_run"), ("convert.py neuron=s", "neuron=snm")]
)
def test_completion(typed, offered):
    """What the line of `eval "$(python train.py -sc install=bash)"` asks the program."""
    asked = {"COMP_LINE": f"python {typed}", "COMP_POINT": str(len(typed) + 7), "COMP_TYPE": "9"}
    assert offered in run(typed.split()[0], "-sc", "query=bash", cwd=ROOT, **asked).stdout.split()


def test_a_jobs_lines_say_which_job_speaks(capsys):
    with terminal.labelled(SweepProgress(["seed"], 3).label(1, ["task=cheetah_run", "seed=2"])):
        print("one\ntwo")
        print("three")
    assert capsys.readouterr().out == "[2/3 seed=2] one\n[2/3 seed=2] two\n[2/3 seed=2] three\n"


def convert(words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess:
    """As a shell runs it, with pipes and redirections."""
    command = ["bash", "-c", f"set -o pipefail; '{sys.executable}' '{ROOT / 'convert.py'}' {words}"]
    return subprocess.run(command, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "ends, extra",
    [("| head -n 1", {}), (">&-", {}), ("2>&-", {}), ("| cat", {"PYTHONIOENCODING": "ascii"})],
    ids=["head", "no stdout", "no stderr", "ascii"],
)
def test_a_result_stands_whatever_becomes_of_the_output(cwd: Path, ends, extra):
    done = convert(f"{' '.join(WORDS)} {ends}", cwd, **extra)
    assert results.read(cwd / "out").status == "ok" and "Traceback" not in done.stderr + done.stdout
    assert not extra or " ? " in done.stdout  # for ±, which that encoding lacks


def test_where_stderr_is_closed_a_mistake_is_told_on_stdout(cwd: Path):
    done = convert("SNN_tz=2 2>&-", cwd)
    assert done.returncode == 2 and done.stdout.startswith("error: SNN_tz=2: unknown option")


def test_without_the_checkout_on_the_path_a_line_says_how(tmp_path):
    for program in command_line.PROGRAMS:
        script = ROOT / f"{program}.py"
        said = python(script, "--version", cwd=tmp_path, code=1, PYTHONSAFEPATH="1", PYTHONPATH=None).stderr
        assert said.startswith("error: ") and "PYTHONPATH" in said and said.count("\n") == 1


def test_ctrl_c_says_what_stands_and_leaves_no_empty_folder(cwd: Path, capsys, monkeypatch):
    def interrupted(*_, **__):
        stop = KeyboardInterrupt()
        stop.add_note("at frame 6,012; the same command goes on from frame 4,000")
        raise stop

    monkeypatch.setattr("evaluation.run.convert", interrupted)
    code, error = run_here("convert", WORDS[:-1], cwd, capsys, monkeypatch)
    assert (code, error) == (130, "stopped by Ctrl-C; at frame 6,012; the same command goes on from frame 4,000\n")
    assert [path.name for path in cwd.iterdir()] == ["exp_local"]


@pytest.mark.parametrize("program", command_line.PROGRAMS)
def test_ctrl_c_while_modules_load_leaves_no_traceback(program, monkeypatch):
    def interrupted(name: str, *args: object, **kwargs: object) -> ModuleType:
        if name == "cli":
            raise KeyboardInterrupt
        return load(name, *args, **kwargs)

    load = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / f"{program}.py"))
    assert stop.value.code == 130
