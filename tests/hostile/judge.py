"""The whole files that damaged and hostile ones are made from, and what may become of these.

Allowed is one UserError (of snn: ConversionError) of one line, or, where damage hit nothing that matters, what the
whole file gives.
"""

import shutil
from pathlib import Path

import torch

import snn
from drqv2.snapshot import load_policy, write_policy, write_snapshot
from drqv2.stored_thresholds import weights_sha256
from runtime.errors import UserError
from snn import ConversionError
from tests.drqv2 import policy_files
from tests.hostile import networks, snapshots


def write_bases(folder: Path, published: Path) -> None:
    """policy.pt, snapshot.pt, published.pt and network.pt, a converted network with all that such files hold; its input
    is [2, 6, 6]. `published`: a published agent's snapshot."""
    meta = policy_files.description()
    weights = policy_files.network(meta).state_dict()
    write_policy(folder / "policy.pt", meta, weights)
    more = {"critic.weight": torch.ones(50), "optimizer.actor.0.step": torch.tensor(3.0)}
    write_snapshot(folder / "snapshot.pt", {"policy": meta, "step": 5}, weights | more)
    shutil.copy(published, folder / "published.pt")
    module, crpi = networks.whole_module(), snn.CRPI([0.5, 1.0], seed=7)
    thresholds = snn.calibrate(module, [torch.rand(8, 2, 6, 6)], hybrid=True)
    network = snn.convert(module, thresholds, "mt", "differential", 4, crpi=crpi, hybrid=True)
    snn.save(network, folder / "network.pt")


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
    if kind in snapshots.MAY_BE_HARMLESS | networks.MAY_BE_HARMLESS and found in originals:
        return "unchanged", ""
    return "FAULT", "loaded"


def memory(key: str) -> float:
    """A line of /proc/self/status, in MB."""
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) / 1024
