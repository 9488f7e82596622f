"""How speed is measured: whole steps, by turns, of the same training; and that nothing grows over many runs."""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks import __main__ as entry
from benchmarks import first_step, growth, loops, memory, peers, soak, tasks, throughput, turns
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
ROWS = 64


def small(name: str = "mnist_cnn") -> tasks.Task:
    """A task of one batch a pass: whatever the order, every contender takes the same steps."""
    model = {"name": "cnn", "channels": [4, 4], "hidden": 8}
    return replace(tasks.TASKS[name], rows=ROWS, **({"model": model} if name == "mnist_cnn" else {}))


def after(f: nn.Module, loop: turns.Loop, steps: int = 3) -> dict[str, Tensor]:
    loop(steps)
    return {name: p.detach().clone() for name, p in f.named_parameters()}


@pytest.mark.parametrize("task", ["mnist_cnn", "tabular_mlp"])
def test_the_loops_take_the_steps_that_ours_takes(task: str) -> None:
    """The same weights after three steps in float32; and they have moved."""
    chosen = small(task)
    training = tasks.prepared(chosen, ROWS, "float32", "cpu")
    x, y = tasks.columns(chosen) if chosen.pictures else tasks.as_floats(chosen, training.stream)
    start = {name: p.detach().clone() for name, p in training.program.f.named_parameters()}
    nets = {name: tasks.alike(training) for name in ("bare", "loader", "tensors")}
    made = {
        "bare": loops.bare(nets["bare"], x, y, ROWS),
        "loader": loops.loader(nets["loader"], loops.Examples(x, y), ROWS),
        "tensors": loops.loader(nets["tensors"], loops.converted(x, y), ROWS),
    }
    ours = after(training.program.f, tasks.ours(training))
    assert max(float((ours[name] - start[name]).abs().max()) for name in ours) > 1e-3
    for name, loop in made.items():
        torch.testing.assert_close(after(nets[name], loop), ours, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_a_peer_takes_the_steps_of_the_bare_loop(name: str) -> None:
    """Also by count: the stopwatch sees as many passes as it asked for, and no more than two of set-up."""
    if name not in peers.installed():
        pytest.skip(f"{name} is not installed")
    chosen = small()
    training = tasks.prepared(chosen, ROWS, "float32", "cpu")
    x, y = tasks.as_floats(chosen, training.stream)
    f, other = tasks.alike(training), tasks.alike(training)
    expected = after(f, loops.bare(f, x, y, ROWS), 4)
    watch = turns.Stopwatch(tasks.first_layer(other))
    assert watch.seconds(peers.PEERS[name](other, x, y, ROWS), 1) > 0
    assert 4 <= watch.passes <= 6
    found = {key: p.detach() for key, p in other.named_parameters()}
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_whole_steps_are_timed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer of ten seconds of set-up, three a step and five at the end: four steps are twelve."""
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])
    layer = nn.Identity()

    def trainer(steps: int) -> None:
        now[0] += 10
        for _ in range(steps):
            layer(torch.zeros(1))
            now[0] += 3
        now[0] += 5

    watch = turns.Stopwatch(layer)
    assert watch.seconds(trainer, 4) == 12
    assert watch.seconds(trainer, 1) == 3, "and again"
    with pytest.raises(AssertionError, match="made 2 steps of 7"):
        watch.seconds(lambda steps: trainer(2), 4)


def test_another_contender_is_first_in_every_turn() -> None:
    order: list[str] = []
    acts = {name: lambda name=name: order.append(name) or 1.0 for name in "abc"}
    assert turns.in_turns(acts, 3) == {name: [1.0] * 3 for name in "abc"}
    assert "".join(order) == "abcbcacab"


def test_a_ratio_is_the_median_over_turns_and_survives_its_file(tmp_path: Path) -> None:
    """By hand: ratios 1.5, 0.5 and 1.0, where the ratio of medians would be 1.5."""
    taken = {"ours": [2.0, 4.0, 2.0], "other": [3.0, 2.0, 2.0]}
    case = turns.Case("case", taken, [turns.Pair("ours", "other", 1.2)], amount=8)
    (line,) = case.lines()
    assert (line.median, line.quartiles, line.met) == (1.0, (0.75, 1.25), False)
    assert case.speeds() == {"ours": 4.0, "other": 4.0}
    turns.written(tmp_path / "a.json", [case], {})
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["cases"][0]["ratios"][0]["median"] == 1.0
    assert turns.read(found)[0].lines() == [line]
    assert "ours  other    1.00   0.75–1.25  1.2 missed" in turns.said([line])


def test_the_default_precision_is_held_against_the_fastest_peer() -> None:
    kinds = ("ours", "kept", "bare", "loader", "tensors")
    taken = {f"{kind} {precision}": [1.0] for kind in kinds for precision in ("float32", "bf16")}
    taken |= {"slow": [9.0], "fast": [2.5]}
    case = turns.Case("", taken, [])
    pairs = throughput.claims(case, "mnist_mlp", 128, ["float32", "bf16"], ["slow", "fast"])
    claimed = {(pair.ours, pair.other): pair.bar for pair in pairs}
    assert claimed["ours bf16", "fast"] == 2.0
    assert ("ours bf16", "slow") not in claimed
    assert claimed["ours float32", "slow"] == claimed["ours float32", "fast"] == 1.0
    assert claimed["ours bf16", "kept bf16"] == 0.95


def told(answer: float) -> Callable[[], float]:
    if answer < 0:
        raise ValueError("below 0")
    return lambda: answer


def test_contenders_take_turns_in_processes_of_their_own() -> None:
    with turns.apart(told, {"a": (1.0,), "b": (2.0,)}) as acts:
        assert turns.in_turns(acts, 2) == {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    with pytest.raises(RuntimeError, match="c: ValueError: below 0"), turns.apart(told, {"c": (-1.0,)}):
        pass


def test_arithmetic_of_a_step_is_counted() -> None:
    """Products forward, and backward for weights and, but in the first layer, inputs: by hand for 784-512-256-10."""
    training = tasks.prepared(small("mnist_mlp"), ROWS, "float32", "cpu")
    layers = [784 * 512, 512 * 256, 256 * 10]
    by_hand = 2 * ROWS * (3 * sum(layers) - layers[0])
    assert throughput.share(training, 1.0, "cpu")["flops_a_step"] == by_hand


def test_exponents_are_the_slopes_of_the_larger_half() -> None:
    """t = 2 n^1.5 with a floor of 1,000 under the smaller sizes."""
    sizes = [10, 20, 40, 80, 160, 320]
    taken = {n: [max(2 * n**1.5, 1000.0), 3 * max(2 * n**1.5, 1000.0)] for n in sizes}
    found = growth.exponents(taken)
    assert found["exponent"] == pytest.approx(1.5)
    assert found["from"] == 80
    assert found["all"] < 1.3
    drawn = growth.figure({"samples": {**found, "taken": {str(n): each for n, each in taken.items()}}})
    assert "samples: exponent 1.50" in drawn


@pytest.mark.skipif(not memory.STATUS.exists(), reason="as Linux counts it")
def test_memory_is_at_least_that_of_weights_gradients_and_moments() -> None:
    """Four numbers of four bytes for each of 535,818 parameters, in a process of its own."""
    options = argparse.Namespace(batch=128, steps=3)
    assert memory.child("bare float32", "mnist_mlp", options, "cpu")() >= 4 * 4 * 535_818


def test_a_first_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    real = loops.update
    monkeypatch.setattr(loops, "update", lambda *a: (seen.append(a[2].shape), real(*a)))
    first_step.step("bare")
    first_step.step("loader")
    assert seen == [(64, 1, 8, 8)] * 2


@pytest.mark.parametrize("name", ["throughput", "decoding", "streaming", "growth", "members"])
def test_a_rehearsal_writes_what_the_table_reads(name: str, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    importlib.import_module(f"benchmarks.{name}").main([*entry.SPEED[name].split(), "--out", str(file)])
    told = entry.table({name: file})
    assert told.count("\n") >= 1
    found = json.loads(file.read_text())
    for case in turns.read(found) if "cases" in found else []:
        assert all(min(values) > 0 for values in case.taken.values())
        assert all(line.case in told for line in case.lines())


def test_the_one_command(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry.main(["--list"]) == 0
    said = capfd.readouterr().out
    assert all(name in said for name in (*entry.SPEED, *entry.APART))
    for words, complaint in (
        (["speed"], "unknown speed; expected some of throughput"),
        (["members", "growth", "--repeats", "3"], "name one benchmark"),
        (["--quick", "--out", "here"], "measures nothing"),
    ):
        with pytest.raises(SystemExit):
            entry.main(words)
        assert complaint in capfd.readouterr().err
    asked: list[tuple[str, list[str]]] = []
    case = turns.Case("c", {"a": [1.0], "b": [2.0]}, [turns.Pair("a", "b")])

    def run(name: str, file: Path, words: list[str]) -> bool:
        asked.append((name, words))
        if name != "memory":
            turns.written(file, [case], {})
        return name != "memory"

    monkeypatch.setattr(entry, "run", run)
    assert entry.main(["members", "--repeats", "3", "--out", str(tmp_path)]) == 0
    assert asked == [("members", ["--repeats", "3"])]
    assert (tmp_path / "members.json").is_file()
    assert entry.main(["members", "memory", "--quick"]) == 1
    assert "failed: memory" in capfd.readouterr().out
    assert entry.main(["--table", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out.count("2.00–2.00") == 1


def test_recorded_ratios_follow_from_the_recorded_turns() -> None:
    """Recomputed by hand from every turn of every recorded case."""
    for name in entry.SPEED:
        file = entry.RESULTS / f"{name}.json"
        for case in json.loads(file.read_text()).get("cases", []) if file.is_file() else []:
            for ratio in case["ratios"]:
                pairs = zip(case["taken"][ratio["ours"]], case["taken"][ratio["other"]], strict=True)
                assert ratio["median"] == pytest.approx(statistics.median(b / a for a, b in pairs))


def test_the_page_of_measurements_says_of_each_whether_it_was_measured() -> None:
    page = (ROOT / "docs" / "design" / "measured.md").read_text()
    section = page.partition("## Speed beside others")[2].partition("\n## ")[0]
    for name in (*entry.SPEED, "soak"):
        row = next(line for line in section.splitlines() if line.startswith(f"| `{name}` "))
        file = entry.RESULTS / f"{name}.json"
        assert ("unmeasured" in row) == (not file.is_file()), name


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="as Linux counts it")
def test_many_short_runs_leave_nothing_behind(tmp_path: Path) -> None:
    """The soak in small: no more files, threads, processes and tensors after the third round than after the second."""
    found = soak.soaked(3 * len(soak.recipes(tmp_path)), tmp_path, lambda number, seen: None)
    rounds = [seen for _, seen in found]
    for name in ("files", "threads", "python_threads", "children", "tensors"):
        assert rounds[2][name] <= rounds[1][name], name  # fewer where what ran before is let go of meanwhile
    slope = soak.slopes([(7 * i, {"kept": 3.0 * 7 * i, "flat": 5.0}) for i in range(1, 9)])
    assert slope == {"kept": pytest.approx(3.0), "flat": 0.0}
