"""Feeds damaged and hostile files to what reads them, by the thousand; not part of `make test`, which keeps a few.

    python -m tests.fuzz_snapshots [--count 1000] [--seed 0]    snapshots, to drqv2.snapshot.load_policy
    python -m tests.fuzz_snapshots --of networks                saved converted networks, to snn.load, and one decision

Each file is loaded in a process whose address space is limited to 1 GiB more than it starts with. Allowed is one
UserError (of snn: ConversionError) of one line, or, where damage hit nothing that matters, what the whole file gives.
Printed per kind of file: how many were refused, how many loaded unchanged, the longest time and the largest growth of
memory.
Exit code 1 for anything else: a traceback, another policy than the one in the file, code that ran, a process that died.
"""

import functools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

import snn
from benchmarks.contenders import markdown
from benchmarks.contenders import options as command_line
from drqv2.snapshot import load_policy, write_policy, write_snapshot
from drqv2.stored_thresholds import weights_sha256
from runtime.errors import UserError
from snn import ConversionError
from tests.drqv2 import hostile, policy_files
from tests.snn import hostile_networks

ROOT = Path(__file__).resolve().parent.parent

BASES = ("policy", "snapshot", "published")  # whole files, that others are made from
ROOM = 2**30
LONGEST = 60.0  # seconds that one file may take
originals: list[dict] = []  # what the whole files are, in the process that loads others


def write_published(folder: Path, *kinds: str) -> None:
    """Runs published_agent.py."""
    program = ROOT / "tests" / "drqv2" / "published_agent.py"
    subprocess.run([sys.executable, "-W", "ignore", str(program), str(folder), *kinds], check=True, cwd=folder)


def write_bases(folder: Path, published: Path) -> None:
    """The whole files that others are made from; `published`: where `write_published` wrote."""
    meta = policy_files.description()
    weights = policy_files.network(meta).state_dict()
    write_policy(folder / "policy.pt", meta, weights)
    more = {"critic.weight": torch.ones(50), "optimizer.actor.0.step": torch.tensor(3.0)}
    write_snapshot(folder / "snapshot.pt", {"policy": meta, "step": 5}, weights | more)
    shutil.copy(published / "relu/cartpole_swingup/snapshot.pt", folder / "published.pt")


def write_network(folder: Path) -> None:
    """A whole file of a converted network with all that such files hold, network.pt; its input is [2, 6, 6]."""
    module = hostile_networks.whole_module()
    thresholds = snn.calibrate(module, [torch.rand(8, 2, 6, 6)], hybrid=True)
    snn.save(
        snn.convert(module, thresholds, "mt", "differential", 4, crpi=snn.CRPI([0.5, 1.0], seed=7), hybrid=True),
        folder / "network.pt",
    )


def read_bases(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / f"{name}.pt").read_bytes() for name in names or BASES}


def identity(path: Path, kind: str = "") -> dict:
    """What a loaded policy, or a network where `kind` says so, does, in short. Raises UserError, ConversionError."""
    if kind.startswith("network"):
        network = snn.load(path)
        return {
            "said": repr(network),
            "thresholds": [theta.tolist() for theta in network.thresholds],
            "decided": network(torch.linspace(-1, 1, 144).view(2, 2, 6, 6)).tolist(),
            "options": [network.carry.seed, network.max_batch_bytes],
        }
    policy = load_policy(path)
    return {
        "weights": weights_sha256(policy.network.state_dict()),
        "task": policy.task,
        "trunk": policy.actor_trunk,
        "obs": policy.obs,
        "repeat": policy.action_repeat,
    }


def judge(kind: str, path: Path, originals: list[dict]) -> tuple[str, str]:
    """("refused" | "unchanged" | "FAULT", the line said)."""
    try:
        found = identity(path, kind)
    except (UserError, ConversionError) as error:
        said = str(error)
        # A network may load and then not fit its input, which is no trouble of the file's alone.
        plain = said.isprintable() and 0 < len(said) < 600 and (str(path) in said or "can't take an input" in said)
        return ("refused" if plain else "FAULT", said)
    except BaseException as error:
        return "FAULT", f"{type(error).__name__}: {error}"
    if kind in hostile.MAY_BE_HARMLESS | hostile_networks.MAY_BE_HARMLESS and found in originals:
        return "unchanged", ""
    return "FAULT", "loaded"


def prepare(folder: Path) -> None:
    """Makes this process the one that loads files: in a folder that code would leave traces in, and short of memory."""
    os.chdir(folder.parent / "here")
    originals.extend(identity(folder / f"{name}.pt", name) for name in (*BASES, "network"))
    used = int(memory("VmSize") * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))


def tried(kind: str, path: Path) -> tuple[str, str, float, float]:
    """Outcome, the line said, seconds, and megabytes that the process grew by."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    begun = time.monotonic()
    outcome, said = judge(kind, path, originals)
    return outcome, said[:300], time.monotonic() - begun, memory("VmHWM") - before


def memory(key: str) -> float:
    """A line of /proc/self/status, in MB."""
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) / 1024


def main() -> None:
    options = command_line(
        __doc__,
        count={"type": int, "default": 1000, "help": "files"},
        seed={"type": int, "default": 0, "help": "another seed makes other files"},
        of={"choices": ("snapshots", "networks"), "default": "snapshots", "help": "what they are files of"},
    )
    generators = hostile.GENERATORS if options.of == "snapshots" else hostile_networks.GENERATORS
    with tempfile.TemporaryDirectory() as name:
        here, folder = Path(name) / "here", Path(name) / "cartpole_swingup"  # a published agent's task is its folder
        here.mkdir()
        folder.mkdir()
        write_published(here.parent, "relu")
        write_bases(folder, here.parent)
        write_network(folder)
        start = functools.partial(ProcessPoolExecutor, 1, get_context("spawn"), prepare, (folder,))
        bases, pool = read_bases(folder, *(("network",) if options.of == "networks" else BASES)), start()
        answers: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        for number in range(options.count):
            kind, path = list(generators)[number % len(generators)], folder / f"{number}.pt"
            path.write_bytes(generators[kind](bases, np.random.default_rng([options.seed, number])))
            try:
                outcome, said, seconds, grown = pool.submit(tried, kind, path).result()
            except BrokenProcessPool:
                outcome, said, seconds, grown = "FAULT", "the process died", 0.0, 0.0
                pool = start()
            ran = [*here.iterdir(), *folder.glob(hostile.WITNESS)]
            # What the file itself takes, read once and copied a few times, is no blow-up.
            if ran or seconds > LONGEST or grown > 150 + 5 * path.stat().st_size / 2**20:
                outcome = "FAULT"
            answers[kind].append((outcome, seconds, grown))
            if outcome == "FAULT":
                print(f"{kind} number {number}: {said!r}, {seconds:.1f} s, {grown:.0f} MB, {ran}", flush=True)
            path.unlink()
        pool.shutdown()
    rows, faults = [], 0
    for kind, group in answers.items():
        outcomes, seconds, grown = zip(*group)
        counts = [outcomes.count(outcome) for outcome in ("refused", "unchanged", "FAULT")]
        faults += counts[-1]
        rows.append([kind, *map(str, (len(group), *counts)), f"{max(seconds):.2f}", f"{max(grown):.0f}"])
    head = ["kind", "files", "refused", "unchanged", "faults", "longest, s", "most memory, MB"]
    print(markdown(head, rows), f"{options.count} files, {faults} faults", sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
