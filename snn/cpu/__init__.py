"""Compiled recurrences and event-driven synapses for the CPU."""
