"""What this machine is, and which precision and device suit it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thetastar.errors import UserError
from thetastar.protocols import Program

GROUP = Path("/sys/fs/cgroup")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt
CGROUPS = (  # limit and use of memory, in the second version and the first
    (GROUP / "memory.max", GROUP / "memory.current"),
    (GROUP / "memory/memory.limit_in_bytes", GROUP / "memory/memory.usage_in_bytes"),
)


def choose_device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"engine.device={wanted} is not here", "auto, cpu or cuda", "write engine.device=auto"
        ) from None
    return device


@cache
def native_bf16(kind: str) -> bool:
    """Whether the hardware multiplies bfloat16 itself, rather than by conversion."""
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def choose_precision(wanted: str, device: torch.device, f: nn.Module, task: str) -> str:
    """bf16 autocast where it is native and the matrix work outweighs the casts; regression keeps its digits.

    A rule and not a timing, so that the same recipe gives the same bits on the same machine.
    """
    if wanted == "tf32" and not (device.type == "cuda" and native_bf16("cuda")):
        raise UserError(
            f"engine.precision=tf32 on {device.type}",
            "a GPU of capability 8.0 or more",
            "write engine.precision=float32",
        )
    if wanted != "auto":
        return wanted
    largest = max((p.numel() for p in f.parameters() if p.ndim > 1), default=0)
    return "bf16" if native_bf16(device.type) and largest >= 16_384 and task != "regression" else "float32"


def allow_tf32(allowed: bool) -> None:
    """Whether float32 products and convolutions on a GPU may keep 10 bits of the mantissa instead of 23.

    torch allows it in convolutions unless it is told otherwise; here float32 means float32 unless a recipe says "tf32".
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


HELD = 1 << 30  # bytes


@cache
def hold_memory() -> bool:
    """Keep memory that is freed for the next step, up to a gibibyte of it; whether that could be asked for.

    The allocator of glibc gives large blocks back as they are freed, and every step takes them anew from a system that
    clears each page first: half the time of a small convolutional net. Whoever has set its variables has decided.
    """
    import ctypes

    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    held = min(HELD, free_memory() // 4)
    return all(bool(mallopt(option, held)) for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))


def channels_last(program: Program) -> Program:
    """The layout in which images convolve fastest, for kernels of four axes (stacked ones have five)."""
    for layer in program.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.ndim == 4:
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    return program


@cache
def commit() -> str | None:
    """The commit of the source tree, where it is one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def provenance() -> dict[str, Any]:
    """Versions, hardware and time, for the run folder."""
    from importlib.metadata import version

    from thetastar import __version__

    return {
        "thetastar": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),  # asked of its metadata: importing it takes a second
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "",
    }


@cache
def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has left, its control group, its own limit."""
    import resource

    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    if (info := Path("/proc/meminfo")).exists():
        known = dict(line.split(":") for line in info.read_text().splitlines())
        free = [1024 * int(known["MemAvailable"].split()[0])]
    for limit, used in CGROUPS:
        if limit.exists() and used.exists() and (bound := limit.read_text().strip()).isdigit():
            free.append(int(bound) - int(used.read_text()))
    if (own := Path("/proc/self/statm")).exists():
        taken = [int(pages) * os.sysconf("SC_PAGE_SIZE") for pages in own.read_text().split()]
        for which, place in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
            bound = resource.getrlimit(which)[0]
            if bound != resource.RLIM_INFINITY:
                free.append(bound - taken[place])
    return max(min(free), 0)


def peak_memory() -> int:
    """Bytes at the highest point of this process (on the GPU where there is one)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
