"""What the variables of launchers mean, as users' machines set them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen import FacegenError
from facegen.launchers import gpus_of
from facegen.parallel import Place, find_place, find_shard

# A batch script of 4 tasks, before any srun: the job is announced, no step is.
BATCH = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_TASKS_PER_NODE": "2(x2)",
}
STEP = BATCH | {
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "5",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "PMIX_RANK": "5",
}
MPICH = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}

FOUND: dict[str, tuple[dict[str, str], Place]] = {
    "nothing": ({"HOME": "/root"}, Place()),
    "batch script": (BATCH, Place()),
    "batch step": (BATCH | {"SLURM_STEP_ID": "4294967291"}, Place()),
    "interactive step": (STEP | {"SLURM_STEP_ID": "4294967290"}, Place()),
    "srun": (STEP, Place(3, 4, 1, 2, "srun")),
    "srun, the older name": (
        {k: v for k, v in STEP.items() if k != "SLURM_STEP_ID"} | {"SLURM_STEPID": "0"},
        Place(3, 4, 1, 2, "srun"),
    ),
    "srun of one task in a job of four": (
        STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_STEP_TASKS_PER_NODE": "1"},
        Place(0, 1, 1, 2, "srun"),
    ),
    "srun on unequal nodes": (
        STEP | {"SLURM_STEP_TASKS_PER_NODE": "3,1", "SLURM_LOCALID": "0"},
        Place(3, 4, 0, 1, "srun"),
    ),
    "srun --mpi=pmi2": (
        STEP | {"PMI_RANK": "3", "PMI_SIZE": "4"},
        Place(3, 4, 1, 2, "srun"),
    ),
    "srun --mpi=pmix": (STEP | {"PMIX_RANK": "3"}, Place(3, 4, 1, 2, "srun")),
    "mpirun of Open MPI": (OPEN_MPI, Place(5, 8, 1, 4, "mpirun")),
    "mpirun of MPICH": (MPICH, Place(5, 8, 1, 4, "mpirun")),
    "mpirun of Open MPI in a batch script": (BATCH | OPEN_MPI, Place(5, 8, 1, 4, "mpirun")),
    # mpirun starts its daemons with srun: a step of one task a node, whose variables are inherited.
    "mpirun of Open MPI through srun": (
        STEP | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"} | OPEN_MPI,
        Place(5, 8, 1, 4, "mpirun"),
    ),
    "mpirun of MPICH through srun": (
        STEP | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"} | MPICH,
        Place(5, 8, 1, 4, "mpirun"),
    ),
    "torchrun": (TORCHRUN, Place(5, 8, 1, 4, "torchrun")),
    "torchrun, no local variables": (
        {"RANK": "1", "WORLD_SIZE": "2"},
        Place(1, 2, 1, 2, "torchrun"),
    ),
    "torchrun in a batch script": (BATCH | TORCHRUN, Place(5, 8, 1, 4, "torchrun")),
    "facegen launch in a step": (
        STEP | {"FACEGEN_RANK": "1", "FACEGEN_RANKS": "2"},
        Place(1, 2, 1, 2, "launch"),
    ),
    "torchrun that is to be left out of account": (TORCHRUN | {"FACEGEN_RANKS": "off"}, Place()),
    "mpirun that is to be left out of account": (MPICH | {"FACEGEN_RANKS": "off"}, Place()),
    "launch that is to be left out of account": (
        {"FACEGEN_RANK": "1", "FACEGEN_RANKS": "off"},
        Place(),
    ),
    "a job array": (BATCH | {"SLURM_ARRAY_TASK_ID": "3"}, Place()),
}


@pytest.mark.parametrize("case", FOUND)
def test_place(case: str) -> None:
    environment, place = FOUND[case]
    found = find_place(environment)
    assert (found.rank, found.size, found.connected) == (place.rank, place.size, place.connected)
    if place.size > 1:
        assert found == place


@pytest.mark.parametrize(
    "environment",
    [
        OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "5"},
        OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": ""},
        MPICH | {"PMI_RANK": "x"},
        TORCHRUN | {"WORLD_SIZE": "-8"},
        STEP | {"SLURM_PROCID": "4"},
    ],
)
def test_what_cannot_be_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(FacegenError, match="announces rank|expected a number"):
        find_place(environment)


def place(local_rank: int, local_size: int) -> Place:
    return Place(local_rank, local_size, local_rank, local_size, "mpirun")


@pytest.mark.parametrize(
    ("gpus", "ranks", "expected"),
    [
        (4, 4, [(0,), (1,), (2,), (3,)]),
        (4, 2, [(0, 1), (2, 3)]),
        (4, 3, [(0, 1), (2,), (3,)]),
        (2, 4, [(0,), (1,), (0,), (1,)]),
        (1, 3, [(0,), (0,), (0,)]),
        (3, 1, [(0, 1, 2)]),
        (0, 2, [(), ()]),
    ],
)
def test_gpus_of_the_ranks_of_a_machine(
    gpus: int, ranks: int, expected: list[tuple[int, ...]]
) -> None:
    found = [gpus_of(place(rank, ranks), range(gpus), {}) for rank in range(ranks)]
    assert found == expected


@pytest.mark.parametrize(
    ("variables", "visible", "expected"),
    [
        ({"SLURM_GPUS_PER_TASK": "2"}, 2, (0, 1)),  # bound: both are this task's
        ({"SLURM_GPUS_PER_TASK": "h100:2"}, 2, (0, 1)),
        ({"SLURM_TRES_PER_TASK": "cpu=8,gres/gpu:h100=2"}, 2, (0, 1)),
        ({"SLURM_TRES_PER_TASK": "gres/gpu:2"}, 2, (0, 1)),
        ({"SLURM_TRES_PER_TASK": "cpu=8"}, 2, (1,)),
        ({"SLURM_GPUS_PER_TASK": "1"}, 4, (2, 3)),  # not bound: all of the node's are visible
        ({"SLURM_GPUS_PER_TASK": ""}, 2, (1,)),
    ],
)
def test_gpus_that_slurm_bound(
    variables: dict[str, str], visible: int, expected: tuple[int, ...]
) -> None:
    assert gpus_of(place(1, 2), range(visible), variables) == expected


@given(st.integers(1, 16), st.integers(1, 16))
def test_all_gpus_are_used_and_shared_evenly(gpus: int, ranks: int) -> None:
    shares = [gpus_of(place(rank, ranks), range(gpus), {}) for rank in range(ranks)]
    used = [gpu for share in shares for gpu in share]
    counts = [used.count(gpu) for gpu in range(gpus)]
    assert len(used) == sum(counts) and min(counts) >= 1 and max(counts) - min(counts) <= 1
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def array(task: int, first: int = 0, last: int = 7, step: int = 1) -> dict[str, str]:
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_STEP": str(step),
        "SLURM_ARRAY_TASK_COUNT": str((last - first) // step + 1),
    }


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("0/1", {}, (0, 1)),
        ("3/8", {}, (3, 8)),
        ("3/8", STEP | array(1), (3, 8)),
        ("auto", BATCH | array(3), (3, 8)),
        ("auto", array(1, 1, 4), (0, 4)),
        ("auto", array(30, 10, 40, 10), (2, 4)),
        ("auto", STEP, (3, 4)),
        ("auto", STEP | array(2), (11, 32)),
        ("auto", TORCHRUN, (5, 8)),
    ],
)
def test_shard(text: str, environment: dict[str, str], expected: tuple[int, int]) -> None:
    assert find_shard(text, environment) == expected


@pytest.mark.parametrize("text", ["", "1", "1/1", "8/8", "-1/8", "1/0", "a/b", "1/2/3", "1.0/2"])
def test_shard_refused(text: str) -> None:
    with pytest.raises(FacegenError, match="--shard: expected i/n"):
        find_shard(text, {})


def test_shard_auto_refused() -> None:
    with pytest.raises(FacegenError, match="found no Slurm job array"):
        find_shard("auto", BATCH)
    gaps = array(3) | {"SLURM_ARRAY_TASK_COUNT": "5"}  # --array=0,2,3,5,7
    with pytest.raises(FacegenError, match="gaps"):
        find_shard("auto", gaps)
