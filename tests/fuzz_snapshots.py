"""Feeds damaged and hostile files to what reads them, by the thousand; not part of `make test`, which keeps a few.

    python -m tests.fuzz_snapshots [--count 1000] [--seed 0]    snapshots, to drqv2.snapshot.load_policy
    python -m tests.fuzz_snapshots --of networks                saved converted networks, to snn.load, and one decision

Each file is loaded in a process whose address space is limited to 1 GiB more than it starts with. Allowed is one
UserError (of snn: ConversionError) of one line, or, where damage hit nothing that matters, what the whole file gives.
Printed per kind of file: how many were refused, how many loaded unchanged, the longest time and the largest growth of
memory.
Exit code 1 for anything else: a traceback, another policy than the one in the file, code that ran, a process that died.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BASES = ("policy", "snapshot", "published")  # whole files, that others are made from
ROOM = 2**30
LONGEST = 60.0  # seconds that one file may take


def write_published(folder: Path, *kinds: str) -> None:
    """Runs published_agent.py."""
    program = ROOT / "tests" / "drqv2" / "published_agent.py"
    subprocess.run([sys.executable, "-W", "ignore", str(program), str(folder), *kinds], check=True, cwd=folder)


def write_bases(folder: Path, published: Path) -> None:
    """The whole files that others are made from; `published`: where `write_published` wrote."""
    import torch

    from drqv2.snapshot import write_policy, write_snapshot
    from tests.drqv2 import policy_files

    meta = policy_files.description()
    network = policy_files.network(meta)
    write_policy(folder / "policy.pt", meta, network)
    tensors = dict(network.state_dict()) | {
        "critic.weight": torch.ones(50),
        "optimizer.actor.0.step": torch.tensor(3.0),
    }
    write_snapshot(folder / "snapshot.pt", {"policy": meta, "step": 5}, tensors)
    shutil.copy(published / "relu/cartpole_swingup/snapshot.pt", folder / "published.pt")


def write_network(folder: Path) -> None:
    """A whole file of a converted network with all that such files hold, network.pt; its input is [2, 6, 6]."""
    import torch

    import snn
    from tests.snn.hostile_networks import whole_module

    module = whole_module()
    thresholds = snn.calibrate(module, [torch.rand(8, 2, 6, 6)], hybrid=True)
    snn.save(
        snn.convert(module, thresholds, "mt", "differential", 4, crpi=snn.CRPI([0.5, 1.0], seed=7), hybrid=True),
        folder / "network.pt",
    )


def read_bases(folder: Path, *more: str) -> dict[str, bytes]:
    return {name: (folder / f"{name}.pt").read_bytes() for name in (*BASES, *more)}


def identity(path: Path, kind: str = "") -> dict:
    """What a loaded policy, or a network where `kind` says so, does, in short. Raises UserError, ConversionError."""
    import hashlib

    from drqv2.snapshot import load_policy

    if kind.startswith("network"):
        import torch

        import snn

        network = snn.load(path)
        thresholds = [theta.tolist() for theta in network.thresholds]
        decided = network(torch.linspace(-1, 1, 144).view(2, 2, 6, 6)).tolist()
        return {
            "said": repr(network),
            "thresholds": thresholds,
            "decided": decided,
            "options": [network.carry.seed, network.max_batch_bytes],
        }

    policy = load_policy(path)
    digest = hashlib.sha256()
    for name, value in policy.network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode() + value.numpy().tobytes())
    return {
        "weights": digest.hexdigest(),
        "task": policy.task,
        "trunk": policy.actor_trunk,
        "obs": policy.obs,
        "repeat": policy.action_repeat,
    }


def judge(kind: str, path: Path, originals: list[dict]) -> tuple[str, str]:
    """("refused" | "unchanged" | "FAULT", the line said)."""
    from runtime.errors import UserError
    from snn import ConversionError
    from tests.drqv2 import hostile
    from tests.snn import hostile_networks

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


def serve(folder: Path) -> None:
    """Loads each file named on stdin and answers with a line of JSON."""
    os.chdir(folder.parent / "here")
    originals = [identity(folder / f"{name}.pt", name) for name in (*BASES, "network")]
    used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    print("ready", flush=True)
    for line in sys.stdin:
        kind, path = line.split()
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        begun = time.monotonic()
        outcome, said = judge(kind, Path(path), originals)
        answer = {
            "outcome": outcome,
            "said": said[:300],
            "seconds": time.monotonic() - begun,
            "grown_mb": memory("VmHWM") - before,
        }
        print(json.dumps(answer), flush=True)


def memory(key: str) -> float:
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) / 1024


def start(folder: Path) -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz_snapshots", "--serve", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout.readline().strip() == "ready"
    return server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", choices=("snapshots", "networks"), default="snapshots")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    import numpy as np

    from tests.drqv2 import hostile
    from tests.snn import hostile_networks

    generators = hostile.GENERATORS if options.of == "snapshots" else hostile_networks.GENERATORS
    with tempfile.TemporaryDirectory() as name:
        here, folder = Path(name) / "here", Path(name) / "cartpole_swingup"  # a published agent's task is its folder
        here.mkdir()
        folder.mkdir()
        write_published(here.parent, "relu")
        write_bases(folder, here.parent)
        write_network(folder)
        bases, server = read_bases(folder, "network"), start(folder)
        answers: dict[str, list[dict]] = defaultdict(list)
        faults = 0
        for number in range(options.count):
            kind = list(generators)[number % len(generators)]
            path = folder / f"{number}.pt"
            path.write_bytes(generators[kind](bases, np.random.default_rng([options.seed, number])))
            size = path.stat().st_size / 2**20
            try:
                server.stdin.write(f"{kind} {path}\n")
                server.stdin.flush()
                answer = json.loads(server.stdout.readline())
            except (BrokenPipeError, ValueError):
                answer = {
                    "outcome": "FAULT",
                    "said": f"the process died ({server.wait()})",
                    "seconds": 0.0,
                    "grown_mb": 0.0,
                }
                server = start(folder)
            ran = [*here.iterdir(), *folder.glob(hostile.WITNESS)]
            # What the file itself takes, read once and copied a few times, is no blow-up.
            if ran or answer["seconds"] > LONGEST or answer["grown_mb"] > 150 + 5 * size:
                answer["outcome"] = "FAULT"
            answers[kind].append(answer)
            if answer["outcome"] == "FAULT":
                faults += 1
                print(f"{kind} number {number}: {answer} {ran}", flush=True)
            path.unlink()
        server.stdin.close()
    print("| kind | files | refused | unchanged | faults | longest, s | most memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for kind, group in answers.items():
        count = Counter(answer["outcome"] for answer in group)
        print(
            f"| {kind} | {len(group)} | {count['refused']} | {count['unchanged']} | {count['FAULT']} | "
            f"{max(a['seconds'] for a in group):.2f} | {max(a['grown_mb'] for a in group):.0f} |"
        )
    print(f"{sum(map(len, answers.values()))} files, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
