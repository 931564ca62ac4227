"""What launchers tell a process by its environment: where it stands among those started together.

| started by | variables | connected by |
|---|---|---|
| facegen launch | FACEGEN_RANK, FACEGEN_RANKS, FACEGEN_LINKS | socket pairs |
| mpirun of Open MPI | OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE | MPI |
| mpirun of MPICH, Intel MPI | PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS | MPI |
| srun | SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID | MPI |
| torchrun | RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE | nothing: a share each |

The first line that fits counts; none does where FACEGEN_RANKS is "off". In a batch script Slurm's
variables of the job announce tasks too, but no step (SLURM_STEP_ID): a command that is not started
by srun is one process there.
Everything here is a function of a mapping and imports nothing of MPI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from facegen.errors import FacegenError
from facegen.shares import split

Environment = Mapping[str, str]

# Steps above are Slurm's own: the batch script, the interactive shell, the job's containers.
_LAST_STEP = 0xFFFFFFF0


@dataclass(frozen=True)
class Place:
    """A process among those started together.

    Attributes
    ----------
    rank, size
        Number of this process, from 0, and of all.
    local_rank, local_size
        The same among those of this machine.
    launcher
        "launch", "mpirun", "srun", "torchrun", or "" for a process by itself.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launcher: str = ""

    @property
    def connected(self) -> bool:
        """Whether the processes can reach each other."""
        return self.size > 1 and self.launcher != "torchrun"


def find_place(environment: Environment) -> Place:
    """Where a process stands, by the variables that launchers set.

    Raises
    ------
    FacegenError
        A variable is no number, or a rank is not below the number of ranks.
    """
    return _first(environment, _launch, _open_mpi, _pmi, _slurm, _torchrun)


def find_torchrun(environment: Environment) -> Place:
    """Where a process stands by torchrun's variables alone: inside a task of srun they count."""
    return _first(environment, _torchrun)


def _first(environment: Environment, *finds: Callable[[Environment], Place | None]) -> Place:
    if environment.get("FACEGEN_RANKS") == "off":
        return Place()
    for find in finds:
        place = find(environment)
        if place is not None:
            if not 0 <= place.rank < place.size:
                raise FacegenError(
                    f"{place.launcher} announces rank {place.rank} of {place.size}: "
                    f"expected 0 to {place.size - 1}"
                )
            return place
    return Place()


def gpus_of(place: Place, gpus: Sequence[int], environment: Environment) -> tuple[int, ...]:
    """Which of the visible GPUs a rank computes on.

    One each, by the local rank modulo their number; where there are more GPUs than ranks on this
    machine, several neighbouring ones each. All of them where Slurm bound them to this very task
    (``--gpus-per-task``).
    """
    if place.size == 1 or not gpus or len(gpus) <= _gpus_per_task(environment):
        return tuple(gpus)
    if len(gpus) <= place.local_size:
        return (gpus[place.local_rank % len(gpus)],)
    share = split(len(gpus), place.local_size)[place.local_rank % place.local_size]
    return tuple(gpus[i] for i in share)


def find_shard(text: str, environment: Environment) -> tuple[int, int]:
    """What ``--shard`` means: (i, n), this process does part i, from 0, of n.

    Parameters
    ----------
    text
        "i/n"; or "auto": the number of this task in a Slurm job array, among the tasks of srun or
        the processes of torchrun, or of both: every task of an array may have several.

    Raises
    ------
    FacegenError
        Another text, i not below n, or "auto" where nothing announces several processes.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    if text != "auto":
        raise FacegenError(f"--shard: expected i/n with i from 0 to n - 1, or auto, found {text!r}")
    task, tasks = _array(environment)
    place = find_place(environment)
    if tasks * place.size == 1:
        raise FacegenError(
            "--shard auto: found no Slurm job array, no srun and no torchrun (expected "
            "SLURM_ARRAY_TASK_ID, SLURM_PROCID or RANK)"
        )
    return task * place.size + place.rank, tasks * place.size


def _launch(environment: Environment) -> Place | None:
    if "FACEGEN_RANK" not in environment:
        return None
    rank, size = _number(environment, "FACEGEN_RANK"), _number(environment, "FACEGEN_RANKS")
    return Place(rank, size, rank, size, "launch")


def _open_mpi(environment: Environment) -> Place | None:
    if "OMPI_COMM_WORLD_RANK" not in environment:
        return None
    rank = _number(environment, "OMPI_COMM_WORLD_RANK")
    size = _number(environment, "OMPI_COMM_WORLD_SIZE")
    local = _number(environment, "OMPI_COMM_WORLD_LOCAL_RANK", rank)
    local_size = _number(environment, "OMPI_COMM_WORLD_LOCAL_SIZE", size)
    return Place(rank, size, local, local_size, "mpirun")


def _pmi(environment: Environment) -> Place | None:
    if "PMI_RANK" not in environment or "PMI_SIZE" not in environment:
        return None
    rank, size = _number(environment, "PMI_RANK"), _number(environment, "PMI_SIZE")
    slurm = _slurm(environment)
    if slurm is not None and (slurm.rank, slurm.size) == (rank, size):
        return slurm
    local = _number(environment, "MPI_LOCALRANKID", rank)
    return Place(rank, size, local, _number(environment, "MPI_LOCALNRANKS", size), "mpirun")


def _slurm(environment: Environment) -> Place | None:
    step = environment.get("SLURM_STEP_ID", environment.get("SLURM_STEPID", ""))
    if not step.isdecimal() or int(step) >= _LAST_STEP or "SLURM_PROCID" not in environment:
        return None
    size = _number(environment, "SLURM_STEP_NUM_TASKS", 0)
    size = size or _number(environment, "SLURM_NTASKS", 1)
    local_size = _tasks_of_node(environment) or size
    rank = _number(environment, "SLURM_PROCID")
    return Place(rank, size, _number(environment, "SLURM_LOCALID", rank), local_size, "srun")


def _torchrun(environment: Environment) -> Place | None:
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return None
    rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    local = _number(environment, "LOCAL_RANK", rank)
    return Place(rank, size, local, _number(environment, "LOCAL_WORLD_SIZE", size), "torchrun")


def _array(environment: Environment) -> tuple[int, int]:
    """(number from 0, count) of this task in a Slurm job array; (0, 1) outside of one."""
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return 0, 1
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
    step = _number(environment, "SLURM_ARRAY_TASK_STEP", 1) or 1
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1)
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", first + (count - 1) * step)
    offset = _number(environment, "SLURM_ARRAY_TASK_ID") - first
    if last - first != (count - 1) * step or offset % step or not 0 <= offset // step < count:
        raise FacegenError(
            "--shard auto: the job array has gaps (expected --array=0-7 or alike); "
            "write --shard i/n instead"
        )
    return offset // step, count


def _tasks_of_node(environment: Environment) -> int:
    """Tasks on this node by SLURM_STEP_TASKS_PER_NODE, "4(x2),1" for 4, 4 and 1; 0 if unknown."""
    text = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE", ""))
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:\(x(\d{1,7})\))?", part)
        if match is None:
            return 0
        counts += [int(match[1])] * int(match[2] or 1)
    node = _number(environment, "SLURM_NODEID", 0)
    return counts[node] if node < len(counts) else 0


def _gpus_per_task(environment: Environment) -> int:
    """GPUs that Slurm bound to each task, 0 if it was not asked to."""
    count = re.search(r"(?:^|:)(\d{1,9})$", environment.get("SLURM_GPUS_PER_TASK", ""))  # "h100:2"
    if count is None:  # "cpu=8,gres/gpu:h100=2"
        tres = environment.get("SLURM_TRES_PER_TASK", "")
        count = re.search(r"gres[/:]gpu(?::[^=:,]*[^\d=:,][^=:,]*)?[=:](\d{1,9})(?:,|$)", tres)
    return int(count[1]) if count else 0


def _number(environment: Environment, name: str, default: int | None = None) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise FacegenError(f"environment variable {name}: expected a number, found {text!r}")
    return int(text)
