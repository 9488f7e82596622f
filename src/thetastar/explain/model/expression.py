"""A `Sequential(...)` written in a file, read from its syntax tree against a list of what may stand there.

Nothing of the file is executed: each node of the tree is known to this reader, or the file is refused.
"""

from __future__ import annotations

import ast
import operator
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from thetastar.errors import UserError, nearest

LONGEST, DEEPEST, LARGEST = 100_000, 40, 10**12  # bytes of a file, nested parentheses, numbers
MOST = 2**38  # parameters: a tebibyte in float32
EXAMPLE = "nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU())"
PLACED = ("device", "dtype")  # arguments about where, not what

BY_AXES = (
    "Conv ConvTranspose BatchNorm InstanceNorm MaxPool AvgPool LPPool AdaptiveAvgPool AdaptiveMaxPool Dropout ZeroPad "
    "ReflectionPad ReplicationPad ConstantPad CircularPad"
)
OTHERS = (
    "Linear Identity Flatten Unflatten Embedding LayerNorm GroupNorm RMSNorm LocalResponseNorm Dropout AlphaDropout "
    "FeatureAlphaDropout Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle PixelUnshuffle ChannelShuffle "
    "Fold Unfold ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Sigmoid LogSigmoid Hardsigmoid "
    "Hardswish Hardtanh Hardshrink Softshrink Softplus Softsign Softmin Softmax Softmax2d LogSoftmax Tanh Tanhshrink "
    "Threshold GLU"
)
LAYERS = frozenset([*OTHERS.split(), *(f"{name}{n}d" for name in BY_AXES.split() for n in (1, 2, 3))])
ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
NAMED = {"OrderedDict", "collections.OrderedDict"}
MODULES = {"torch", "torch.nn", "collections"}


def read_model(path: Path) -> nn.Sequential:
    """The last Sequential that the file names or writes, on torch's meta device: shapes without numbers.

    Raises:
        UserError: with the line and the reason, where something else stands there.
    """
    try:
        data = path.read_bytes()[: LONGEST + 1]
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path.name} is no text", f"a file with {EXAMPLE}", "check the path") from None
    if len(data) > LONGEST:
        raise UserError(f"{path.name} is longer than {LONGEST:,} bytes", f"a file with {EXAMPLE}", "check the path")
    return parsed(text, path.name)


def parsed(text: str, where: str = "the text") -> nn.Sequential:
    """As `read_model`, of the text itself."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        place = f"{where}, line {error.lineno}" if error.lineno else where
        raise UserError(f"{place}: {error.msg}", f"Python such as {EXAMPLE}", "mend the file") from None
    except (RecursionError, MemoryError):
        raise UserError(f"{where} is nested too deeply", f"at most {DEEPEST} levels", "write it flatter") from None
    except ValueError as error:
        raise UserError(f"{where}: {error}", f"Python such as {EXAMPLE}", "mend the file") from None
    model = _Reader(where).model(tree)
    count = sum(p.numel() for p in model.parameters())
    if count > MOST:
        size = f"{count:,} parameters, {4 * count / 2**40:,.0f} TiB in float32"
        raise UserError(f"{where}: {size}", f"at most {MOST:,}", "make it smaller")
    return model


class _Reader:
    """Walks the tree; `names` holds what the file has assigned so far."""

    def __init__(self, where: str) -> None:
        self.where, self.names, self.depth = where, dict[str, Any](), 0

    def refuse(self, node: ast.AST, got: str, expected: str = f"layers as in {EXAMPLE}", do: str = "") -> NoReturn:
        do = do or "the file is read, never run"
        raise UserError(f"{self.where}, line {getattr(node, 'lineno', 1)}: {got}", expected, do)

    def model(self, tree: ast.Module) -> nn.Sequential:
        found: nn.Sequential | None = None
        for statement in tree.body:
            value = self.statement(statement)
            found = value if isinstance(value, nn.Sequential) else found
        if found is None:
            raise UserError(f"{self.where} holds no Sequential", f"a line such as {EXAMPLE}", "add one")
        return found

    def statement(self, node: ast.stmt) -> Any:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            strange = next((name for name in module if name not in MODULES), None)
            if strange:
                self.refuse(node, f"import of {strange}", "imports of torch alone")
            return None
        if isinstance(node, ast.Expr):
            return None if isinstance(node.value, ast.Constant) else self.value(node.value)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if len(targets) == 1 and isinstance(targets[0], ast.Name):
                value = self.value(node.value)
                self.names[targets[0].id] = value
                return value
        self.refuse(node, f"{_named(node)} statement", f"NAME = {EXAMPLE}")

    def value(self, node: ast.expr) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(node, "nested too deeply", f"at most {DEEPEST} levels", "write it flatter")
        made = self._value(node)
        self.depth -= 1
        return made

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | None):
            return self.bounded(node, node.value)
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(self.value(item) for item in node.elts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            number = self.number(node.operand)
            return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            return self.arithmetic(node)
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Name | ast.Attribute):
            what = "attribute access" if isinstance(node, ast.Attribute) else "unknown name"
            self.refuse(node, f"{what} {_brief(node)}")
        self.refuse(node, f"{_named(node)} {_brief(node)}")

    def number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(node, f"arithmetic with {_brief(node)}", "arithmetic with numbers")
        return value

    def bounded(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
            self.refuse(node, "a number beyond all layers", f"at most {LARGEST:,}", "make it smaller")
        return value

    def arithmetic(self, node: ast.BinOp) -> Any:
        left, right = self.number(node.left), self.number(node.right)
        if isinstance(node.op, ast.Pow) and not 0 <= right <= 40:
            self.refuse(node, f"the power {_brief(node)}", "an exponent from 0 to 40", "make it smaller")
        try:
            value = ARITHMETIC[type(node.op)](left, right)
        except (ZeroDivisionError, OverflowError) as error:
            self.refuse(node, str(error), "a number", "mend it")
        if isinstance(value, complex):
            self.refuse(node, f"{_brief(node)} is no real number", "a number", "mend it")
        return self.bounded(node, value)

    def call(self, node: ast.Call) -> Any:
        name = _dotted(node.func)
        if name in NAMED:
            return self.ordered(node)
        kind = name.removeprefix("torch.nn.") if name.startswith("torch.") else name.removeprefix("nn.")
        if "." in kind or not kind:
            what = "attribute access" if isinstance(node.func, ast.Attribute) else "a call of"
            self.refuse(node, f"{what} {_brief(node.func)}")
        if kind == "Sequential":
            return self.sequential(node)
        if kind not in LAYERS:
            self.refuse(node, f"a call of {_brief(node.func)}", "a layer of torch.nn", nearest(kind, LAYERS))
        positional = [self.argument(argument) for argument in node.args]
        return self.built(node, kind, positional, self.keywords(node))

    def argument(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Starred):
            self.refuse(node, f"starred {_brief(node)}", "arguments one by one")
        value = self.value(node)
        if isinstance(value, nn.Module):
            self.refuse(node, f"a layer as an argument: {_brief(node)}", "numbers, words and tuples")
        return value

    def keywords(self, node: ast.Call) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self.refuse(node, "** of a mapping", "arguments one by one")
            if keyword.arg in PLACED:
                self.refuse(node, f"the argument {keyword.arg}", "layers without it", "leave it out")
            found[keyword.arg] = self.argument(keyword.value)
        return found

    def built(self, node: ast.Call, kind: str, positional: list[Any], keywords: dict[str, Any]) -> nn.Module:
        if len(positional) > 10:
            self.refuse(node, f"{len(positional)} arguments of {kind}", "fewer", "write the others by name")
        try:
            with torch.device("meta"):
                return getattr(nn, kind)(*positional, **keywords)
        except (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError, IndexError) as error:
            said = str(error).strip().split("\n")[0] or type(error).__name__
            self.refuse(node, f"{_brief(node)}: {said}", f"arguments that {kind} takes", "mend them")

    def sequential(self, node: ast.Call) -> nn.Sequential:
        if node.keywords:
            self.refuse(node, f"the argument {node.keywords[0].arg} of Sequential", "layers alone")
        parts: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.List | ast.Tuple):
                parts += [(item, self.value(item)) for item in argument.value.elts]
            elif isinstance(argument, ast.Starred):
                self.refuse(argument, f"starred {_brief(argument)}", "layers one by one")
            else:
                parts.append((argument, self.value(argument)))
        if len(parts) == 1 and isinstance(parts[0][1], OrderedDict):
            return nn.Sequential(parts[0][1])
        for argument, part in parts:
            if not isinstance(part, nn.Module):
                self.refuse(argument, f"{_brief(argument)} in a Sequential", "layers, as in " + EXAMPLE)
        return nn.Sequential(*(part for _, part in parts))

    def ordered(self, node: ast.Call) -> OrderedDict[str, nn.Module]:
        """OrderedDict([("name", layer), …])"""
        found: OrderedDict[str, nn.Module] = OrderedDict()
        pairs = self.value(node.args[0]) if len(node.args) == 1 and not node.keywords else None
        for pair in pairs if isinstance(pairs, tuple) else [None]:
            if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], nn.Module)):
                self.refuse(node, f"{_brief(node)}", 'OrderedDict([("name", layer), …])')
            name = pair[0]
            if not isinstance(name, str) or not name.isidentifier() or name in found:
                self.refuse(node, f"the name {str(name)[:40]!r} of a layer", "words, each once", "choose another")
            found[name] = pair[1]
        return found


def _dotted(node: ast.expr) -> str:
    """'torch.nn.Conv2d', or '' where it is anything but names with dots between."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _brief(node: ast.AST) -> str:
    """A node as it was written, cut short."""
    try:
        text = " ".join(ast.unparse(node).split())
    except (RecursionError, ValueError):
        return _named(node)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _named(node: ast.AST) -> str:
    """'list comprehension', 'lambda', 'for'"""
    words = {"ListComp": "a comprehension", "GeneratorExp": "a comprehension", "JoinedStr": "an f-string"}
    words |= {"DictComp": "a comprehension", "SetComp": "a comprehension", "Lambda": "a lambda"}
    return words.get(type(node).__name__, f"a {type(node).__name__.lower()}")
