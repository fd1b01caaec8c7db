"""
Tracebacks of what functions of users raise, without our frames in between.

In: an exception that went through the package, TensorFlow, and Keras. Out: the same
exception, with the line that called us, and the lines of the user's function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any, TypeVar

import nengo

_FunctionT = TypeVar("_FunctionT", bound=Callable)
_PACKAGE = __name__.partition(".")[0] + "."
# Code of functions below which all frames that are not ours belong to the user.
_CALLERS: set[CodeType] = set()
# Code of methods that shorten tracebacks, maybe on their way to another such method.
_SHORTENERS: set[CodeType] = set()


def calls_users_code(function: _FunctionT) -> _FunctionT:
    """Decorate a function of ours that calls functions of users."""
    _CALLERS.add(function.__code__)
    return function


def shortens_tracebacks(method: Callable[..., Any]) -> Callable[..., Any]:
    """
    Decorate a method for users, so that errors of their functions are easy to read.

    What a function of the user raises leaves the method as the same object. Its
    traceback leads from the caller of the method to the function. All frames stay if
    Nengo is set to show them (``nengo.rc["exceptions"]["simplified"] = "False"``).

    Parameters
    ----------
    method : function
        A method that calls functions of the user.
    """

    def short_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except BaseException as err:
            users = users_traceback(err)
            if users is None or not nengo.rc["exceptions"].getboolean("simplified"):
                raise
            raise err.with_traceback(users)  # noqa: B904

    _SHORTENERS.add(short_method.__code__)
    return functools.wraps(method)(short_method)


def users_traceback(error: BaseException) -> TracebackType | None:
    """
    Return the part of a traceback that shows the user's code.

    Parameters
    ----------
    error : BaseException
        The exception, which may have been raised by a function of the user.

    Returns
    -------
    traceback : traceback or None
        From the first frame of the user's function on; the last frame alone if the
        function is not written in Python. None if no function of the user was called.
    """
    tb = error.__traceback__
    while tb is not None and not _calls_user(tb):
        tb = tb.tb_next
    while tb is not None and tb.tb_next is not None and _is_ours(tb):
        tb = tb.tb_next
    return tb


def _calls_user(tb: TracebackType) -> bool:
    code = tb.tb_frame.f_code
    is_short = code in _SHORTENERS and tb.tb_next is not None
    return code in _CALLERS or (is_short and not _is_ours(tb.tb_next))


def _is_ours(tb: TracebackType | None) -> bool:
    name = "" if tb is None else tb.tb_frame.f_globals.get("__name__", "")
    return str(name).startswith(_PACKAGE)
