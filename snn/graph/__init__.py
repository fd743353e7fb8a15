"""From a torch module to the operations of a spiking network, by torch.fx."""
