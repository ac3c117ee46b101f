"""What a traceback of ours shows: where it happened and what was raised, and no local variable.

Tools print tracebacks with locals: Sentry, rich, ``pytest --showlocals``. Frames of a driver hold the password that it
connects with, and frames on the way of a record hold its value. So where an error leaves a public method, every frame
beneath forgets its locals, also those of the errors that led to it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def without_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Let no error leave a function, or a coroutine function, with the locals of the frames that it came through."""
    if iscoroutinefunction(function):

        async def leave_by_await(*args: Any, **kwargs: Any) -> Any:
            handled = sys.exception()
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                forget_locals(error, handled)
                # The only frame that is not over yet, and so cannot be cleared.
                del args, kwargs, handled
                raise

        return cast("Callable[P, T]", wraps(function)(leave_by_await))

    def leave(*args: Any, **kwargs: Any) -> Any:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            forget_locals(error, handled)
            del args, kwargs, handled
            raise

    return cast("Callable[P, T]", wraps(function)(leave))


def forget_locals(error: BaseException, handled: BaseException | None = None) -> None:
    """Clear the frames of an error and of those that led to it, as far as they have ended.

    Args:
        error: What was raised.
        handled: What the caller was handling when it called us. It is the caller's, and stays as it is.
    """
    seen = {id(None), id(handled)}
    found: list[BaseException | None] = [error]
    while found:
        each = found.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback.clear_frames(each.__traceback__)
        found += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            found += cast("BaseExceptionGroup[BaseException]", each).exceptions
