"""A pretended CUDA device for a torch that was built without CUDA.

Tensors say cuda:0 and compute on the CPU. Known of CUDA are: errors where devices meet or numpy is asked for; what the
host waits for, by the line of ours that asked; races between streams, and memory that a stream gives away while another
reads it; TF32, and division by a Python number. Not known: cuDNN, memory limits, the true order of what runs at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.cuda.device import load
from tests.cuda.gpu import Log

_CUDA = torch.device("cuda:0")
aten = torch.ops.aten
_COPIES = {aten._to_copy.default, aten.copy_.default, aten.to.device, aten.to.dtype_layout, aten.to.other}
_INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# The host must know a value or a size before it can go on.
_READS = {"_local_scalar_dense", "nonzero", "equal", "bincount", "masked_select", "unique_consecutive", "_unique2"}
_CONVOLUTIONS = {aten.convolution.default, aten.convolution_backward.default, aten.conv2d.default}
_PRODUCTS = {aten.mm.default, aten.addmm.default, aten.linear.default}


class Stream:
    """Work in order. `seen`: up to which moment of other streams its work comes after theirs."""

    def __init__(self, device: Any = None) -> None:
        self.now, self.seen = 0, {}

    def __deepcopy__(self, memo: dict) -> Stream:
        return self

    def record_event(self) -> tuple[Stream, int]:
        return self, self.now

    def wait_event(self, event: tuple[Stream, int]) -> None:
        self.seen[event[0]] = max(event[1], self.seen.get(event[0], 0))


class OnDevice(torch.Tensor):
    """Its values are `inner`; made on `stream` as its work number `moment`, and lent to the streams `readers`."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor, stream: Stream) -> OnDevice:
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        tensor = torch.Tensor._make_wrapper_subclass(cls, inner.size(), device=_CUDA, **layout)
        stream.now += 1
        tensor.inner, tensor.stream, tensor.moment, tensor.readers = inner, stream, stream.now, {stream}
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _Device.in_use.run(func, args, kwargs or {})

    def record_stream(self, stream: Stream) -> None:
        self.readers.add(stream)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> None:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy


class _Mode(TorchDispatchMode):
    """Brings every operation of a thread to the device, which leaves the CPU's alone."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _Device.in_use.run(func, args, kwargs or {})


class _Device:
    in_use: _Device

    def __init__(self) -> None:
        self.log = Log()
        self._streams = threading.local()
        self._default = Stream()

    @property
    def current(self) -> Stream:
        return getattr(self._streams, "current", self._default)

    @contextlib.contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        before, self._streams.current = self.current, stream
        yield
        self._streams.current = before

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        copy.is_page_locked = True
        self.log.pin(copy)
        return copy

    def run(self, func: Any, args: tuple, kwargs: dict) -> Any:
        leaves = tree_leaves((args, kwargs))
        here = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
        away = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice)]
        asked = next((leaf.type for leaf in leaves if isinstance(leaf, torch.device)), None)
        if not here and asked != "cuda":
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        for tensor in here:
            self._check_order(tensor)
        if name in _READS:
            self.log.wait()
        if func in _COPIES:
            source = args[1] if func is aten.copy_.default else args[0]
            behind = kwargs.get("non_blocking", False) or any(arg is True for arg in args)
            if (away or asked == "cpu") and not (behind and getattr(source, "is_page_locked", False)):
                self.log.wait()
        elif func in _INDEXED:
            # A mask's size isn't known on the host, and an index from there is copied.
            for index in args[1]:
                if index is not None and (index.dtype is torch.bool or not isinstance(index, OnDevice)):
                    self.log.wait()
        elif any(tensor.dim() for tensor in away):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu in {name}")
        by_number = func is aten.div.Tensor and not isinstance(args[1], OnDevice)
        result = _compute(func, *tree_map(_inner, (args, kwargs)), by_number)
        if name == "_local_scalar_dense" or asked == "cpu":
            return result
        known = {id(tensor.inner): tensor for tensor in here}
        if func is aten.copy_.default and away:
            known[id(result)] = args[0]

        def wrapped(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            if id(value) in known:
                return known[id(value)]
            return OnDevice(value.clone() if any(value is tensor for tensor in away) else value, self.current)

        return tree_map(wrapped, result)

    def _check_order(self, tensor: OnDevice) -> None:
        stream = self.current
        if tensor.stream is not stream and stream.seen.get(tensor.stream, 0) < tensor.moment:
            raise RuntimeError("race: read on a stream that hasn't waited for the one that writes it")
        if stream not in tensor.readers:
            raise RuntimeError("memory may be given away while this stream reads it: record_stream is missing")


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.inner if isinstance(leaf, OnDevice) else leaf


def _compute(func: Any, args: tuple, kwargs: dict, by_number: bool) -> Any:
    """The values as CUDA would have them."""
    rounds = func in _CONVOLUTIONS and torch.backends.cudnn.allow_tf32
    if rounds or func in _PRODUCTS and torch.backends.cuda.matmul.allow_tf32:
        args = tree_map(_as_tf32, args)
    if by_number:
        dtype = torch.result_type(args[0].new_empty((), dtype=args[0].dtype), 1.0)
        return args[0].to(dtype) * (1 / torch.as_tensor(args[1], dtype=dtype))
    return func(*args, **kwargs | ({"pin_memory": False} if "pin_memory" in kwargs else {}))


def _as_tf32(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor) or leaf.dtype is not torch.float32:
        return leaf
    return ((leaf.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32).view_as(leaf)


@contextlib.contextmanager
def pretend() -> Iterator[Log]:
    """The device is there, in all threads that start inside."""
    load()
    device = _Device.in_use = _Device()
    says = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "Pretended GPU",
        "get_device_capability": (9, 0),
        "is_bf16_supported": True,
        "_lazy_init": None,
    }
    answers = {name: lambda *_, value=value, **__: value for name, value in says.items()}
    answers |= {"Stream": Stream, "stream": device.on, "current_stream": lambda *_: device.current}
    answers["set_device"] = lambda which: device.log.devices.append(str(which))
    run_thread = threading.Thread.run

    def run_on_device(thread: threading.Thread) -> None:
        with _Mode():
            run_thread(thread)

    with (
        mock.patch.multiple(torch.cuda, **answers),
        mock.patch.object(torch.backends.cudnn, "version", lambda: 91900),
        mock.patch.object(torch.Tensor, "pin_memory", lambda tensor, *_: device.pin(tensor)),
        mock.patch.object(torch.__future__, "_overwrite_module_params_on_conversion", True),
        mock.patch.object(threading.Thread, "run", run_on_device),
        _Mode(),
    ):
        yield device.log
