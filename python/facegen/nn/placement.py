"""Where every value lives: inside a concatenation, in the caller's output, or in the arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from facegen.nn.arena import Lifetime, plan_arena
from facegen.nn.fuse import Fused
from facegen.nn.graph import Node
from facegen.nn.layers import Concat
from facegen.nn.program import Buffer, View
from facegen.nn.step_draft import StepDraft


@dataclass
class Placement:
    """Drafts in their final order (copies included) and the views of their operands."""

    drafts: list[StepDraft]
    output_values: list[str]
    buffers: list[Buffer]
    arena_floats: int
    _fused: Fused
    # StepDraft -> the concatenation whose channels it writes, and the first of them.
    _parents: dict[str, tuple[str, int]]
    _buffer_index: dict[str, int] = field(default_factory=dict)

    def view(self, value: str) -> View:
        """The floats of `value`, read or written in its own shape."""
        shape = self._fused.shapes[value]
        if value in self._fused.windows:
            source, first = self._fused.windows[value]
            whole = self.view(source)
            return replace(whole, channels=shape.channels, offset=whole.offset + first)
        base = self._fused.base[value]
        root, offset = _root(base, self._parents)
        # On its own a value is packed, in whatever shape it is read; see _read_in_other_shapes.
        stride = shape.channels if root == base else self._fused.shapes[root].channels
        return View(self._buffer_index[root], *shape, stride, offset)


def place_values(fused: Fused, inputs: Sequence[str], outputs: Sequence[str]) -> Placement:
    """Place every value; copies are added where a value must be in two places at once."""
    parents, copies = _place_in_concats(fused, inputs, outputs)
    drafts: list[StepDraft] = []
    for draft in fused.drafts:
        # A concatenation does nothing itself: its parts are written in place, or copied here.
        drafts += copies[draft.lead.name] if isinstance(draft.lead.layer, Concat) else [draft]

    output_values: list[str] = []
    output_index: dict[str, int] = {}  # root -> which output
    for i, name in enumerate(outputs):
        base, value = fused.base[name], name
        if base in inputs or base in parents or base in output_index:
            copy = _copy(f"{name} -> output {i}", name, fused)
            drafts.append(copy)
            base = value = copy.lead.name
        output_values.append(value)
        output_index[base] = i

    placement = Placement(drafts, output_values, [], 0, fused, parents)
    _make_buffers(placement, inputs, output_index)
    return placement


def _place_in_concats(
    fused: Fused, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[dict[str, tuple[str, int]], dict[str, list[StepDraft]]]:
    """Who writes straight into which concatenation, and the copies that fill the rest of each."""
    parents: dict[str, tuple[str, int]] = {}
    copies: dict[str, list[StepDraft]] = {}
    needs_packed = _read_in_other_shapes(fused, outputs)
    for concat in fused.drafts:
        if not isinstance(concat.lead.layer, Concat):
            continue
        copies[concat.lead.name] = []
        channel = 0
        for i, part in enumerate(concat.inputs):
            base, shape = fused.base[part], fused.shapes[part]
            if base in inputs or base in parents or base in needs_packed or part in fused.windows:
                copy = _copy(f"{concat.lead.name}[{i}]", part, fused)
                copies[concat.lead.name].append(copy)
                base = copy.lead.name
            parents[base] = concat.lead.name, channel
            channel += shape.channels
    return parents, copies


def _read_in_other_shapes(fused: Fused, outputs: Sequence[str]) -> set[str]:
    """Values with a reader that needs their pixels packed: it sees other channels (a Reshape)."""
    readers = [*(value for draft in fused.drafts for value in draft.reads), *outputs]
    for i, value in enumerate(readers):
        while value in fused.windows:  # of a whole that is read in its own shape
            value = fused.windows[value][0]
        readers[i] = value
    bases = {value: fused.base[value] for value in readers}
    return {
        base
        for value, base in bases.items()
        if fused.shapes[value].channels != fused.shapes[base].channels
    }


def _copy(name: str, source: str, fused: Fused) -> StepDraft:
    """A draft that copies `source` to a value of its own, `name` or the like where it is taken."""
    while name in fused.shapes:  # an activation of one part of a concatenation is named alike
        name += "'"
    fused.shapes[name] = fused.shapes[source]
    fused.base[name] = name
    return StepDraft(Node(name, None, (source,), fused.shapes[source]), (source,), [name])


def _root(base: str, parents: dict[str, tuple[str, int]]) -> tuple[str, int]:
    """The outermost concatenation that holds `base`, and its first channel there."""
    offset = 0
    while base in parents:
        base, channel = parents[base]
        offset += channel
    return base, offset


def _make_buffers(
    placement: Placement, inputs: Sequence[str], output_index: dict[str, int]
) -> None:
    """One buffer for every input, output and other root."""
    fused = placement._fused
    lifetimes: dict[str, Lifetime] = {}
    for i, draft in enumerate(placement.drafts):
        for value in (draft.lead.name, *draft.reads):
            root, _ = _root(fused.base[value], placement._parents)
            if root not in inputs and root not in output_index:
                first = lifetimes[root].first if root in lifetimes else i
                lifetimes[root] = Lifetime(fused.shapes[root].floats, first, i)
    offsets, placement.arena_floats = plan_arena(lifetimes)

    def append(root: str, kind: str, index: int, arena_offset: int = 0) -> None:
        placement._buffer_index[root] = len(placement.buffers)
        floats = fused.shapes[root].floats
        placement.buffers.append(Buffer(kind, index, floats, arena_offset))

    for i, name in enumerate(inputs):
        append(name, "input", i)
    for root, i in sorted(output_index.items(), key=lambda item: item[1]):
        append(root, "output", i)
    for root in lifetimes:
        append(root, "arena", 0, offsets[root])
