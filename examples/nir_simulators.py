"""A network written as NIR (`python -m snn.export`), played by other simulators; docs/nir.md says what the file holds.

For observations x [B, ...], float32, and the file's T = `timesteps`, each function returns the decisions [B, actions].
"""

from functools import partial

import torch
from torch import Tensor


def sinabs(path: str, x: Tensor, timesteps: int) -> Tensor:
    """By sinabs 3.1: single spikes and no lower bound for the membrane; it resets by subtraction anyway.

    `pip install sinabs`, then `pip install -U nir nirtorch`: it asks for a nir whose `IF` knows no `v_reset`. Its own
    `from_nir` does for chains; it runs the branches of residual networks in a wrong order, which nirtorch's
    `nir_to_torch` does not.
    """
    import nir
    import nirtorch
    from sinabs.activation import SingleSpike
    from sinabs.layers import IAFSqueeze
    from sinabs.nir import _import_sinabs_module

    layer_of = partial(_import_sinabs_module, batch_size=len(x), num_timesteps=timesteps)
    kinds = (nir.Affine, nir.Conv1d, nir.Conv2d, nir.Flatten, nir.IF)
    network = nirtorch.nir_to_torch(nir.read(path), dict.fromkeys(kinds, layer_of))
    for layer in network.modules():
        if isinstance(layer, IAFSqueeze):
            layer.spike_fn, layer.min_v_mem = SingleSpike, None
            layer.init_state_with_shape((len(x), *layer.spike_threshold.shape))
            layer.v_mem.fill_(0.5)  # v_init
    output, *_ = network(x.repeat_interleave(timesteps, 0))
    return output.unflatten(0, (len(x), timesteps)).mean(1)


def spikingjelly(path: str, x: Tensor, timesteps: int) -> Tensor:
    """By spikingjelly 2.0 (`pip install spikingjelly`)."""
    from spikingjelly.activation_based import neuron
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    network = import_from_nir(path, dt=1.0)
    for layer in network.modules():
        if isinstance(layer, neuron.IFNode):
            layer.v_reset = None  # soft reset
            layer.v = 0.5  # v_init
    outputs, state = [], None
    for _ in range(timesteps):
        output, state = network(x, state)
        outputs.append(output)
    return torch.stack(outputs).mean(0)
