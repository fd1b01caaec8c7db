"""
Products that are rounded as NumPy rounds them.

In: a product. Out: the same number, which compilers leave as it is. Neurons that reach
their threshold exactly spike in the same step as Nengo's only if their voltage is the
same to the last digit.
"""

from __future__ import annotations

import tensorflow as tf


def rounded(product: tf.Tensor) -> tf.Tensor:
    """
    Return a product to which something is added, or which is multiplied once more.

    XLA would compute ``a * b + c`` with a single rounding where the machine can, and
    TensorFlow and XLA both turn ``a * 2 * 3`` into ``a * 6``. Neither looks through a
    maximum, not even that with the lowest of all finite numbers.

    Parameters
    ----------
    product : tf.Tensor
        A product of two factors, of which at least one is not a constant.
    """
    return tf.maximum(product, product.dtype.min)


def rounded_in_double(product: tf.Tensor) -> tf.Tensor:
    """
    Return a product that is `rounded` in double precision, and else left to compilers.

    For neurons whose steps are so short that it would cost much of their speed. In
    single precision, their voltages differ from Nengo's for other reasons, too.
    """
    return rounded(product) if product.dtype == tf.float64 else product
