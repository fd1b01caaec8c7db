"""A simplification pass: a constant image is convolved once, not in every step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from nengo.builder.operator import Copy, Operator
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.operators import ConvSet, DotSet
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet
from nengo_dl.graph.signal_io import Access, SignalIO, covers
from nengo_dl.graph.trainability import is_minibatched


def scale_convolutions(operators: Sequence[Operator]) -> list[Operator]:
    """
    Convolve the weights of one number, and multiply with the number afterwards.

    This is what the biases of channels in converted networks are: the number is the
    output of a Node, the weights are ones, and the kernel has the biases.

    Before (where nothing writes ``weights`` and ``kernel``, and ``x`` is one number)::

        DotSet(weights, x, a)                       reads weights, x, sets a
        Copy(a, image)                              reads a, sets image
        ConvInc(kernel, image, y)                   reads kernel, image, incs y

    After::

        ScaledConvInc(kernel, weights, x, y)        reads kernel, weights, x, incs y

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    operators : list of nengo.builder.Operator
        Operators that do the same.
    """
    convolutions = [op for op in operators if is_exactly(op, ConvInc, ConvSet)]
    if not convolutions:
        return list(operators)  # saves time in large networks
    io = SignalIO.of(operators)
    replaced: dict[Operator, Operator] = {}
    origins: list[Access] = []
    for op in convolutions:
        writers = _writers_of_image(op.X, io)
        if writers and _is_fixed(op.W, io):
            replaced[op] = _scaled(op, writers[-1][0])
            origins += writers
    removed = set(replaced)
    for writer, target in origins:
        if all(reader in removed for reader, _ in io.readers(target)):
            removed.add(writer)
    return [
        replaced.get(op, op) for op in operators if op in replaced or op not in removed
    ]


def _scaled(op: ConvInc | ConvSet, product: DotSet) -> Operator:
    """Return the operator in place of a convolution of a product."""
    scaled = ScaledConvInc if is_exactly(op, ConvInc) else ScaledConvSet
    return scaled(op.W, product.A, product.X, op.Y, op.conv, tag=op.tag)


def _writers_of_image(image: Signal, io: SignalIO) -> list[Access]:
    """
    Return where an image comes from: copies, and a product with one number.

    Empty if it comes from anything else.
    """
    writers: list[Access] = []
    while True:
        last = list(islice(io.writers(image), 2))
        if len(last) != 1 or not covers(last[0][1], image):
            return []
        op, target = last[0]
        writers += last
        if is_exactly(op, DotSet):
            is_scaled = op.A.shape == (image.size, 1) and op.X.size == 1
            return writers if is_scaled and _is_fixed(op.A, io) else []
        is_whole = is_exactly(op, Copy) and op.src_slice is None is op.dst_slice
        if not is_whole or op.inc or not op.src.size == target.size == image.size:
            return []
        image = op.src


def _is_fixed(signal: Signal, io: SignalIO) -> bool:
    """Return whether nothing changes a signal while the network runs."""
    return not is_minibatched(signal) and next(io.writers(signal), None) is None
