"""What an einsum expression does, in words and on small numbers."""

from __future__ import annotations

import math
import re

import torch
from rich.console import RenderableType
from rich.text import Text
from torch import Tensor

from thetastar.errors import UserError
from thetastar.explain.showing import Shown

SIZES = (2, 3, 4, 2, 3, 2, 2, 2)  # of the letters in their order, where no shapes are given
LARGEST = 10**7  # entries of what is computed
KNOWN = {
    "i->": "the sum of a vector",
    "i,i->": "the dot product of two vectors",
    "i,j->ij": "the outer product of two vectors",
    "ij->ji": "the transpose",
    "ii->": "the trace",
    "ii->i": "the diagonal",
    "ij,j->i": "a matrix times a vector",
    "ij,jk->ik": "the product of two matrices",
    "ij,kj->ik": "a matrix times the transpose of another: all dot products of their rows",
    "hij,hjk->hik": "one matrix product for each entry of a batch",
    "hij,hkj->hik": "all dot products of rows, for each entry of a batch: attention scores",
    "ij,ij->": "the sum of the entrywise product of two matrices",
    "ij,ij->ij": "the entrywise product of two matrices",
}


def show(arguments: list[str]) -> Shown:
    """`'bik,bkj->bij' [2,3,4 2,4,5]`: the expression, then a shape an operand."""
    if not arguments:
        raise UserError("einsum without an expression", "an expression", "write theta explain topic einsum 'ij,jk->ik'")
    operands, output = parsed(arguments[0])
    sizes = sizes_of(operands, arguments[1:])
    if (work := math.prod(sizes.values())) > LARGEST:
        raise UserError(f"{work:,} products", f"at most {LARGEST:,}", "choose smaller shapes, or fewer letters")
    largest = max(math.prod(sizes[letter] for letter in operand) for operand in operands)
    if largest > LARGEST:
        raise UserError(f"an operand of {largest:,} entries", f"at most {LARGEST:,}", "take fewer letters")
    tensors = [small(tuple(sizes[letter] for letter in operand)) for operand in operands]
    result = torch.einsum(",".join(operands) + "->" + output, *tensors)
    summed = [letter for letter in sizes if letter not in output]
    lines = sentences(operands, output, summed)
    parts: list[RenderableType] = [Text(line) for line in lines]
    parts.append(Text("\n" + as_loops(operands, output, summed)))
    shapes = [f"{name} {shape_of(operand, sizes)}" for name, operand in zip(names(operands), operands, strict=True)]
    parts.append(Text(f"\nshapes: {', '.join(shapes)} → {shape_of(output, sizes)}"))
    what = "products" if len(operands) > 1 else "entries read"
    parts.append(Text(f"{what}: {' · '.join(map(str, sizes.values()))} = {work:,}"))
    parts += [Text(f"\n{name} =\n{written(tensor)}") for name, tensor in zip(names(operands), tensors, strict=True)]
    parts.append(Text(f"\nresult =\n{written(result)}"))
    data = {
        "expression": arguments[0],
        "words": lines,
        "sizes": sizes,
        "summed": summed,
        "shape": list(result.shape),
        "operands": [tensor.tolist() for tensor in tensors],
        "result": result.tolist(),
    }
    return Shown(parts, data)


def parsed(expression: str) -> tuple[list[str], str]:
    """Letters of each operand and of the output; implicit outputs are the letters that occur once, in order."""
    text = expression.replace(" ", "")
    left, arrow, output = text.partition("->")
    operands = left.split(",")
    if not re.fullmatch(r"[A-Za-z,]+", left) or (output and not output.isalpha()) or not all(operands):
        raise UserError(f"einsum '{expression}'", "letters, commas and ->, such as 'ij,jk->ik'", "write it so")
    letters = "".join(operands)
    if not arrow:
        output = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    unknown = [letter for letter in output if letter not in letters]
    if unknown:
        raise UserError(
            f"einsum '{expression}': '{unknown[0]}' is in the output alone", "letters of the operands", "drop it"
        )
    twice = [letter for letter in output if output.count(letter) > 1]
    if twice:
        raise UserError(f"einsum '{expression}': '{twice[0]}' is twice in the output", "each letter once", "drop one")
    return operands, output


def sizes_of(operands: list[str], shapes: list[str]) -> dict[str, int]:
    """The size of every letter, as given or small."""
    letters = list(dict.fromkeys("".join(operands)))
    if not shapes:
        return {letter: SIZES[i % len(SIZES)] for i, letter in enumerate(letters)}
    if len(shapes) != len(operands):
        raise UserError(f"{len(shapes)} shapes for {len(operands)} operands", "one shape an operand", "write 2,3 3,4")
    sizes: dict[str, int] = {}
    for operand, text in zip(operands, shapes, strict=True):
        numbers = text.split(",")
        if not all(number.isdigit() and int(number) > 0 for number in numbers) or len(numbers) != len(operand):
            raise UserError(f"shape '{text}' for '{operand}'", f"{len(operand)} whole numbers > 0", "write them as 2,3")
        for letter, number in zip(operand, map(int, numbers), strict=True):
            if sizes.setdefault(letter, number) != number:
                raise UserError(
                    f"'{letter}' is {sizes[letter]} and {number}", "one size a letter", "mend one of the shapes"
                )
    return sizes


def small(shape: tuple[int, ...]) -> Tensor:
    """1, 2, 3, …, so that every number of the result can be recomputed by hand."""
    return torch.arange(1, math.prod(shape) + 1).view(shape)


def names(operands: list[str]) -> list[str]:
    return ["x"] if len(operands) == 1 else [f"x{i + 1}" for i in range(len(operands))]


def shape_of(letters: str, sizes: dict[str, int]) -> str:
    return "(" + ", ".join(f"{letter}={sizes[letter]}" for letter in letters) + ")"


def sentences(operands: list[str], output: str, summed: list[str]) -> list[str]:
    """What it does, in words."""
    said: list[str] = []
    known = KNOWN.get(renamed(operands, output))
    if known:
        said.append(f"This is {known}.")
    for operand in operands:
        twice = [letter for letter in dict.fromkeys(operand) if operand.count(letter) > 1]
        said += [f"'{letter}' twice in '{operand}' takes the diagonal of these axes." for letter in twice]
    kept = f"an entry for every {', '.join(output)}" if output else "a single number"
    said.append(f"The result has {kept}.")
    if summed and len(operands) > 1:
        said.append(f"Entries with the same letters are multiplied, and the products summed over {', '.join(summed)}.")
    elif summed:
        said.append(f"It sums over {', '.join(summed)}.")
    elif len(operands) > 1:
        said.append("Entries with the same letters are multiplied; nothing is summed.")
    elif operands[0] != output and not any(operands[0].count(letter) > 1 for letter in operands[0]):
        said.append("Nothing is summed: the axes change places.")
    return said


def renamed(operands: list[str], output: str) -> str:
    """With the letters of KNOWN, so that 'ab,bc->ac' and 'ij,jk->ik' are the same."""
    found = dict.fromkeys("".join(operands))
    for alphabet in ("ijkl", "hijk"):
        if len(found) <= len(alphabet):
            names = dict(zip(found, alphabet, strict=False))
            text = ",".join("".join(names[c] for c in operand) for operand in operands)
            text += "->" + "".join(names[c] for c in output)
            if text in KNOWN:
                return text
    return ""


def as_loops(operands: list[str], output: str, summed: list[str]) -> str:
    """for i, k: out[i, k] = Σ_j x1[i, j] · x2[j, k]"""
    product = " · ".join(f"{n}[{', '.join(o)}]" for n, o in zip(names(operands), operands, strict=True))
    sign = f"Σ_{{{', '.join(summed)}}} " if summed else ""
    place = f"result[{', '.join(output)}]" if output else "result"
    return (f"for every {', '.join(output)}:  " if output else "") + f"{place} = {sign}{product}"


def written(tensor: Tensor) -> str:
    """Numbers in columns, one block a leading index."""
    if tensor.ndim == 0:
        return f"  {tensor.item()}"
    width = len(str(tensor.abs().max().item()))
    rows = tensor.reshape(-1, tensor.shape[-1]).tolist()
    lines = ["  " + " ".join(f"{value:{width}}" for value in row) for row in rows]
    height = tensor.shape[-2] if tensor.ndim > 1 else 1
    return "\n\n".join("\n".join(lines[start : start + height]) for start in range(0, len(lines), height))
