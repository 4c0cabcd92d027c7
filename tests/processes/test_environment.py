"""Which process a set of variables describes: torch's launcher, Slurm's srun, or nobody."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from sslang.diagnostics import DiagnosticError
from sslang.processes import environment, slurm
from sslang.processes.environment import Place

TORCH = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
         "MASTER_ADDR": "here", "MASTER_PORT": "29500"}  # fmt: skip
TORCHRUN = {**TORCH, "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RESTART_COUNT": "2"}  # fmt: skip
SLURM = {"SLURM_JOB_ID": "4242", "SLURM_STEP_ID": "1", "SLURM_PROCID": "5", "SLURM_NTASKS": "7",
         "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "4,3",
         "SLURM_STEP_NODELIST": "node[01-03,07]", "SLURM_STEP_NUM_NODES": "2"}  # fmt: skip


def refusal(env: Mapping[str, str]) -> str:
    with pytest.raises(DiagnosticError) as caught:
        environment.find(env)
    (found,) = caught.value.diagnostics
    assert found.code == "E722"
    return found.message


def test_without_variables_a_process_is_alone() -> None:
    assert environment.find({"PATH": "/bin"}) == Place()


def test_torchs_variables() -> None:
    place = environment.find(TORCH)
    assert place == Place(3, 4, 1, 2, "here", 29500, "torch")
    assert environment.find(TORCHRUN) == Place(
        3, 4, 1, 2, "here", 29500, "torch", store_open=True, attempt="2"
    )


def test_slurms_variables() -> None:
    place = environment.find(SLURM)
    assert (place.rank, place.count, place.local_rank, place.local_count) == (5, 7, 1, 3)
    assert (place.address, place.started_by) == ("node01", "slurm")
    assert 10_000 <= place.port < 30_000
    assert environment.find({**SLURM, "SLURM_PROCID": "0"}).port == place.port
    assert environment.find({**SLURM, "SLURM_JOB_ID": "4243"}).port != place.port
    assert environment.find({**SLURM, "SLURM_STEP_ID": "2"}).port != place.port


def test_the_users_address_and_port_win_under_slurm() -> None:
    place = environment.find({**SLURM, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"})
    assert (place.address, place.port) == ("10.0.0.1", 1234)


def test_on_one_node_no_name_is_looked_up() -> None:
    assert environment.find({**SLURM, "SLURM_STEP_NUM_NODES": "1"}).address == "127.0.0.1"


def test_a_batch_script_is_one_process() -> None:
    script = {k: v for k, v in SLURM.items() if "STEP" not in k} | {"SLURM_PROCID": "0"}
    assert environment.find(script) == Place()


def test_an_interactive_step_is_one_process_of_a_large_allocation() -> None:
    shell = {**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    assert environment.find(shell).count == 1


def test_torchrun_below_srun_is_torchruns() -> None:
    assert environment.find({**SLURM, **TORCHRUN}).rank == 3


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("login1", ["login1"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("a[1-2],b7,c-[09-10]-ib", ["a1", "a2", "b7", "c-09-ib", "c-10-ib"]),
        ("r[1-2]n[3,5]", ["r1n3", "r1n5", "r2n3", "r2n5"]),
        ("n[8-11].site.org", ["n8.site.org", "n9.site.org", "n10.site.org", "n11.site.org"]),
        ("", []),
    ],
)
def test_lists_of_nodes(nodes: str, expected: list[str]) -> None:
    assert list(slurm.hosts(nodes)) == expected


@pytest.mark.parametrize("nodes", ["n[1-]", "n[a-b]", "n[1--2]"])
def test_what_is_no_list_of_nodes_is_refused(nodes: str) -> None:
    assert nodes in refusal({**SLURM, "SLURM_STEP_NODELIST": nodes})


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({k: v for k, v in TORCH.items() if k != "WORLD_SIZE"}, "WORLD_SIZE"),
        ({k: v for k, v in TORCH.items() if k != "LOCAL_RANK"}, "LOCAL_RANK"),
        ({k: v for k, v in TORCH.items() if k != "MASTER_ADDR"}, "MASTER_ADDR"),
        ({k: v for k, v in TORCH.items() if k != "MASTER_PORT"}, "MASTER_PORT"),
        ({"WORLD_SIZE": "2"}, "RANK"),
        ({**TORCH, "RANK": "4"}, "RANK is 4"),
        ({**TORCH, "LOCAL_RANK": "2"}, "LOCAL_RANK is 2"),
        ({**TORCH, "RANK": "-1"}, "'-1'"),
        ({**TORCH, "RANK": "first"}, "'first'"),
        ({**SLURM, "SLURM_PROCID": "7"}, "SLURM_PROCID is 7"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_LOCALID"}, "SLURM_LOCALID"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_STEP_NODELIST"}, "process 0"),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "4(3)"}, "4(3)"),
        ({**SLURM, "WORLD_SIZE": "8"}, "WORLD_SIZE is 8"),
        ({**SLURM, **TORCH}, "process 3 of 4"),
    ],
)
def test_contradictions_name_the_variable(env: Mapping[str, str], names: str) -> None:
    assert names in refusal(env)


def test_variables_that_agree_with_slurm_are_taken() -> None:
    exported = {**SLURM, "RANK": "5", "WORLD_SIZE": "7", "LOCAL_RANK": "1", "MASTER_ADDR": "here",
                "MASTER_PORT": "1"}  # fmt: skip
    assert environment.find(exported).rank == 5
    assert environment.find({**SLURM, "WORLD_SIZE": "7"}).count == 7


@pytest.mark.parametrize("env", [TORCHRUN, SLURM])
def test_processes_are_not_started_twice(env: Mapping[str, str]) -> None:
    with pytest.raises(DiagnosticError, match="E722"):
        environment.refuse_second_start(env, nodes=1)


def test_a_launcher_on_each_node_may_be_started_by_srun() -> None:
    environment.refuse_second_start(SLURM, nodes=2)
    environment.refuse_second_start({"RANK": "0", "WORLD_SIZE": "2"}, nodes=2)  # of machines


def test_each_process_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cores", lambda: 8)
    four = Place(0, 4, 0, 4, "here", 1, "torch")
    assert environment.thread_count(four, {}) == 2
    assert environment.thread_count(Place(0, 16, 0, 16, "here", 1, "torch"), {}) == 1
    assert environment.thread_count(Place(), {}) is None
    # torchrun's own 1 is nobody's wish; another number is, and so is what our launcher gives.
    assert environment.thread_count(four, {"TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"}) == 2
    assert environment.thread_count(four, {"OMP_NUM_THREADS": "3"}) is None
    ours = Place(0, 4, 0, 4, "here", 1, "torch", reports="folder")
    given = {"TORCHELASTIC_RUN_ID": "x", "OMP_NUM_THREADS": "1"}
    assert environment.thread_count(ours, given) is None
    task = Place(0, 4, 0, 4, "here", 1, "slurm")
    assert environment.thread_count(task, {"SLURM_CPUS_PER_TASK": "5"}) == 5


def test_each_process_has_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    second, third = (Place(n, 4, n, 4, "here", 1, "torch") for n in (1, 2))
    assert environment.device_of(second, None) == "cuda:1"
    assert environment.device_of(second, "cuda") == "cuda:1"
    assert environment.device_of(third, "cpu") == "cpu"
    assert environment.device_of(Place(), None) == "cuda"
    assert environment.device_of(Place(), "cuda:1") == "cuda:1"
    with pytest.raises(DiagnosticError, match=r"E704: 3 processes .* shows 2"):
        environment.device_of(third, None)
    with pytest.raises(DiagnosticError, match="E722"):
        environment.device_of(second, "cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    bound = Place(1, 4, 1, 4, "here", 1, "slurm")  # srun shows each task its own card
    assert environment.device_of(bound, "cuda") == "cuda:0"
