"""What a pickle would make, told from its opcodes: nothing is unpickled, imported or called.

The opcodes run on a stack that holds plain data and, in place of every object, what would be called with what. See
https://docs.python.org/3/library/pickletools.html for what each of them does.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST_OPCODES: Final = 200_000


class UnclearError(Exception):
    """The opcodes make no sense, or are too many."""


@dataclass(eq=False)
class Name:
    """Something that unpickling would import."""

    path: str


@dataclass(eq=False)
class Group:
    """A list, tuple, set or frozenset."""

    kind: str
    items: list[Any]


@dataclass(eq=False)
class Pairs:
    """A dict. Its keys may be things that cannot be hashed here."""

    items: list[tuple[Any, Any]]


@dataclass(eq=False)
class Made:
    """Something that unpickling would make by a call.

    Attributes:
        maker: What is called.
        arguments: With what.
        later: What is set on it or added to it afterwards.
    """

    maker: Any
    arguments: list[Any]
    later: list[Any] = field(default_factory=list[Any])


class Outline:
    """What a pickle holds.

    Attributes:
        value: Numbers, texts, bytes, ``Group`` and ``Pairs``, and a ``Name`` or ``Made`` in place of each object.
        protocol: The pickle protocol.
        imports: What unpickling would import, in order.
    """

    def __init__(self, payload: bytes) -> None:
        """Tell what a pickle holds.

        Raises:
            UnclearError: It cannot be told.
        """
        self.value: Any = None
        self.protocol = 0
        self.imports: dict[str, None] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        try:
            for number, (opcode, argument, _) in enumerate(pickletools.genops(payload)):
                if number == MOST_OPCODES:
                    raise UnclearError(f"it has more than {MOST_OPCODES:,} opcodes")
                self._run(opcode, argument)
        except UnclearError:
            raise
        except Exception as error:
            raise UnclearError("its opcodes make no sense") from error

    def _run(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        act = _ACTIONS.get(opcode.name)
        if act is not None:
            act(self, argument)
        elif opcode.arg is not None and not opcode.stack_before:
            # A number, a text or bytes.
            self._stack.append(argument)
        else:
            raise UnclearError(f"its opcode {opcode.name} is not known here")

    def push(self, value: Any, /) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise UnclearError("its opcodes make no sense")
        return value

    def pop_last(self, number: int) -> list[Any]:
        return [self.pop() for _ in range(number)][::-1]

    def pop_to_mark(self) -> list[Any]:
        items = list[Any]()
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def repeat(self) -> None:
        self.push(self._stack[-1])

    def drop(self) -> None:
        self._stack.pop()

    def push_name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise UnclearError("it imports something whose name is no text")
        path = f"{module}.{name}"
        self.imports[path] = None
        self.push(Name(path))

    def add(self, items: list[Any]) -> None:
        target = self._stack[-1]
        # On this stack, only a dict's pairs are tuples.
        if isinstance(target, Pairs) and not all(isinstance(item, tuple) for item in items):
            raise UnclearError("it adds to a dict what are no pairs")
        (target.later if isinstance(target, Made) else target.items).extend(items)

    def make(self, arguments: Any) -> None:
        given = list[Any](arguments.items) if isinstance(arguments, Group) else [arguments]
        self.push(Made(self.pop(), given))

    def make_of_keywords(self) -> None:
        keywords = self.pop()
        self.make(self.pop())
        self._stack[-1].arguments.append(keywords)

    def build(self) -> None:
        state, target = self.pop(), self._stack[-1]
        if not isinstance(target, Made):
            raise UnclearError("it sets the state of something that it did not make")
        target.later.append(state)

    def remember(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def recall(self, place: int) -> None:
        self.push(self._memo[place])

    def call_marked(self) -> None:
        maker, *arguments = self.pop_to_mark()
        self.push(Made(maker, arguments))

    def call_named(self, argument: str) -> None:
        arguments = self.pop_to_mark()
        self.push_name(*argument.split(" ", 1))
        self.push(Made(self.pop(), arguments))

    def see_protocol(self, protocol: int) -> None:
        self.protocol = protocol

    def stop(self) -> None:
        self.value = self.pop()


_MARK: Final = object()
_Action = Callable[[Outline, Any], object]


def _paired(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


_ACTIONS: Final[Mapping[str, _Action]] = {
    "PROTO": Outline.see_protocol,
    "FRAME": lambda _, __: None,
    "STOP": lambda outline, _: outline.stop(),
    "NONE": lambda outline, _: outline.push(None),
    "NEWTRUE": lambda outline, _: outline.push(True),  # noqa: FBT003  # what the opcode makes
    "NEWFALSE": lambda outline, _: outline.push(False),  # noqa: FBT003
    "MARK": lambda outline, _: outline.push(_MARK),
    "POP": lambda outline, _: outline.drop(),
    "POP_MARK": lambda outline, _: outline.pop_to_mark(),
    "DUP": lambda outline, _: outline.repeat(),
    "EMPTY_LIST": lambda outline, _: outline.push(Group("list", [])),
    "EMPTY_TUPLE": lambda outline, _: outline.push(Group("tuple", [])),
    "EMPTY_SET": lambda outline, _: outline.push(Group("set", [])),
    "EMPTY_DICT": lambda outline, _: outline.push(Pairs([])),
    "LIST": lambda outline, _: outline.push(Group("list", outline.pop_to_mark())),
    "TUPLE": lambda outline, _: outline.push(Group("tuple", outline.pop_to_mark())),
    "TUPLE1": lambda outline, _: outline.push(Group("tuple", outline.pop_last(1))),
    "TUPLE2": lambda outline, _: outline.push(Group("tuple", outline.pop_last(2))),
    "TUPLE3": lambda outline, _: outline.push(Group("tuple", outline.pop_last(3))),
    "FROZENSET": lambda outline, _: outline.push(Group("frozenset", outline.pop_to_mark())),
    "DICT": lambda outline, _: outline.push(Pairs(_paired(outline.pop_to_mark()))),
    "APPEND": lambda outline, _: outline.add(outline.pop_last(1)),
    "APPENDS": lambda outline, _: outline.add(outline.pop_to_mark()),
    "ADDITEMS": lambda outline, _: outline.add(outline.pop_to_mark()),
    "SETITEM": lambda outline, _: outline.add(_paired(outline.pop_last(2))),
    "SETITEMS": lambda outline, _: outline.add(_paired(outline.pop_to_mark())),
    "PUT": Outline.remember,
    "BINPUT": Outline.remember,
    "LONG_BINPUT": Outline.remember,
    "MEMOIZE": Outline.remember,
    "GET": Outline.recall,
    "BINGET": Outline.recall,
    "LONG_BINGET": Outline.recall,
    "GLOBAL": lambda outline, argument: outline.push_name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda outline, _: outline.push_name(*outline.pop_last(2)),
    "EXT1": lambda outline, argument: outline.push_name("copyreg extension", str(argument)),
    "EXT2": lambda outline, argument: outline.push_name("copyreg extension", str(argument)),
    "EXT4": lambda outline, argument: outline.push_name("copyreg extension", str(argument)),
    "REDUCE": lambda outline, _: outline.make(outline.pop()),
    "NEWOBJ": lambda outline, _: outline.make(outline.pop()),
    "NEWOBJ_EX": lambda outline, _: outline.make_of_keywords(),
    "OBJ": lambda outline, _: outline.call_marked(),
    "INST": Outline.call_named,
    "BUILD": lambda outline, _: outline.build(),
    "PERSID": lambda outline, argument: outline.push(Made(Name("a persistent id"), [argument])),
    "BINPERSID": lambda outline, _: outline.push(Made(Name("a persistent id"), outline.pop_last(1))),
    "NEXT_BUFFER": lambda outline, _: outline.push(Made(Name("a buffer outside of the pickle"), [])),
    "READONLY_BUFFER": lambda _, __: None,
}
