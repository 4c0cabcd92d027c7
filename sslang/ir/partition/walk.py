"""A step over the whole batch made into one that a part of the batch can compute.

Rows of the batch are split into parts, over processes and micro-batches. Before, `z @ z.T` over
all rows; after, where z has the rows of a part:

    all_z = gather_rows(z)             # the rows of all parts
    transpose = transpose(all_z)
    enter = enter(transpose)           # its gradient is the sum of those of all parts
    matmul = matmul(z, enter)          # the rows of this part, the columns of all

Each part computes its own rows; what mixes rows is computed by all alike from gathered values or
from sums over the parts. Gradients follow the same graph: of a gathered value each part keeps
that of its own rows; of a value that all have and a part uses, the parts' gradients add up; a
trained value that all use alike counts once. So the gradients of parameters, summed over the
parts, are those of the whole batch.

Of a sharded state a process holds some rows. It gets those that an index names from their owners,
and of a product with the transpose its own rows:

    gather = gather(memory, index)     # before
    matmul = matmul(z, transpose)

    ask = ask(index, rows = dataset)   # after: once for all that is read by this index
    gather = fetch(memory, ask)
    matmul = product(z, memory, rows = dataset)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sslang.ir.graph import (
    APPLY,
    ASK,
    ENTER,
    FETCH,
    FIELD,
    MEMBER,
    ONCE,
    PERMUTE,
    PRODUCT,
    TOTAL,
    UNPERMUTE,
    Graph,
    Node,
    Write,
)
from sslang.ir.partition.crossings import Growing
from sslang.ir.partition.partition import Partition
from sslang.ir.partition.placement import (
    ANY_ORDER,
    Columns,
    Local,
    Placement,
    Sharded,
    Whole,
    factor_of_batch,
)
from sslang.ir.partition.reduce import mean_nodes, sums_rows, variance_nodes
from sslang.ir.partition.rowwise import Operands, roles
from sslang.ops import PRIMITIVES
from sslang.types import SCALAR, Size, TensorType, ViewType


def partition(
    graph: Graph,
    whole: frozenset[str] = frozenset(),
    sharded: frozenset[str] = frozenset(),
    normed: frozenset[str] = frozenset(),
) -> Partition:
    """The graph of a part.

    `whole` are applications of nets that need all images of a process together, for statistics
    over the batch: what they give is no embedding that a micro-batch can make. `sharded` are
    states that are read in parts alone, of which each process holds some rows. `normed` are
    applications with batch norm, which has to be computed once a step.
    """
    walk = _Walk(graph, whole, sharded, normed)
    for node in graph.nodes:
        walk.visit(node)
    outputs = {key: walk.output(key, name) for key, name in graph.outputs.items()}
    writes = {
        state: Write(
            walk.whole(write.value, Whole(True)),
            None if write.index is None else walk.whole(write.index, Whole(True)),
        )
        for state, write in graph.writes.items()
    }
    return Partition(Graph(tuple(walk.nodes), outputs, writes).pruned(), walk.placed)


class _Walk(Growing):
    """One walk over a graph, inserting nodes."""

    def __init__(
        self,
        graph: Graph,
        all_images: frozenset[str],
        sharded: frozenset[str],
        normed: frozenset[str],
    ) -> None:
        super().__init__(graph)
        self.all_images = all_images
        self.sharded = sharded
        self.normed = normed
        self.applied_alike: dict[str, str] = {}  # nets on what all have: the name of the result

    # --- the nodes of the step -----------------------------------------------------------

    def visit(self, node: Node) -> None:
        placement = self._source(node)
        if placement is not None:
            self.add(node, placement)
        elif any(isinstance(self.placed[n], Sharded) for n in node.references):
            self._of_shared(node)
        elif node.op in (PERMUTE, UNPERMUTE):
            self._permute(node)
        elif node.op == APPLY:
            self._apply(node)
        elif node.op in (MEMBER, FIELD):
            self._part_of(node)
        elif not any(self._split(n) for n in node.references):
            self._alike(node)
        else:
            self._split_op(node)

    def _source(self, node: Node) -> Placement | None:
        """The placement of what has no operand, or is a view."""
        match node.op:
            case "image":
                return Local()
            case "input":
                return Local()
            case "draw":
                per_row = node.setting("per") == "row"
                return Local(order=ANY_ORDER) if per_row else Whole()
            case "read" if node.setting("state") in self.sharded:
                return Sharded()
            case "schedule" | "size" | "permutation" | "read":
                return Whole()
            case "weight":
                return Whole(trained=True)
        if node.op in PRIMITIVES and PRIMITIVES[node.op].kind == "view":
            assert isinstance(node.type, ViewType)
            return Local(1, node.type.patches, self._order(node.references[0]))
        return None

    def _order(self, name: str) -> str | None:
        placement = self.placed[name]
        assert isinstance(placement, Local)
        return placement.order

    def _split(self, name: str) -> bool:
        return not isinstance(self.placed[name], Whole)

    def _alike(self, node: Node) -> None:
        """An op on what all have."""
        found = [self.placed[n] for n in node.references]
        batch = any(isinstance(p, Whole) and p.batch for p in found)
        trained = any(isinstance(p, Whole) and p.trained for p in found)
        to = Whole(batch, trained and not batch)
        self.add(self._with(node, {n: self.whole(n, to) for n in node.references}), to)

    def _of_shared(self, node: Node) -> None:
        """A use of a state of which each process holds some rows."""
        if node.op == "transpose":
            self.add(node, Sharded())
        elif node.op == "matmul":
            self._product(node)
        else:
            self._fetch(node)

    def _fetch(self, node: Node) -> None:
        """Rows of a sharded state: of the part's own indices, or of those that all have."""
        state, index = node.references
        placement = self.placed[index]
        to: Local | Whole
        if isinstance(placement, Local):
            early = placement.embedding and index not in self.of_images
            to = replace(placement, embedding=early)
        else:
            to = Whole(not isinstance(placement, Whole) or placement.batch)
            index = self.whole(index, to)
        asked = self.cross(ASK, "ask", index, (("rows", self._rows_of_state(state)),), to)
        self.add(replace(node, op=FETCH, inputs=(state, asked), settings=()), to)

    def _product(self, node: Node) -> None:
        """`x @ state.T` of a sharded state: the rows of x that the part has, or all of them."""
        left, columns = node.references
        (state,) = self.by_name[columns].references
        placement = self.placed[left]
        to: Local | Whole
        if isinstance(placement, Local):
            layout, to = (placement.outer, placement.inner), replace(placement, embedding=False)
        else:
            layout, to = (0, 0), Whole(True)
            left = self.whole(left, to)
        settings = (
            ("rows", self._rows_of_state(state)), ("outer", layout[0]), ("inner", layout[1]),
        )  # fmt: skip
        self.add(replace(node, op=PRODUCT, inputs=(left, state), settings=settings), to)

    def _rows_of_state(self, name: str) -> Size:
        type_ = self.by_name[name].type
        assert isinstance(type_, TensorType)
        return type_.shape[0]

    def _permute(self, node: Node) -> None:
        value, permutation = node.references
        placement = self.placed[value]
        if node.op == PERMUTE and isinstance(node.type, ViewType):
            assert isinstance(placement, Local) and placement.order is None, "permuted twice"
            self.add(node, replace(placement, order=permutation))
            return
        whole = self.made_by_all(value) or self.whole(value, Whole(True))
        self._alike(self._with(node, {value: whole}))

    def _part_of(self, node: Node) -> None:
        """A member of joined rows, or a field of a record."""
        (source,) = node.references
        if source in self.applied_alike:
            field = replace(node, name=self.fresh(f"alike_{node.name}"),
                            inputs=(self.applied_alike[source],))  # fmt: skip
            self._once(node, field)
            return
        placement = self.placed[source]
        if not isinstance(placement, Local):
            self._alike(node)
            return
        outer = placement.outer
        if node.op == MEMBER:
            assert outer % node.setting("of") == 0, f"{node.name} cuts through a member"
            outer //= node.setting("of")
        self.add(node, self._local(node, outer, placement))

    def _local(self, node: Node, outer: int, like: Local) -> Local:
        """The placement of rows that go along with those of `like`, by the type of the node."""
        assert isinstance(node.type, TensorType)
        factor = factor_of_batch(node.type.shape[0])
        assert factor is not None and factor % outer == 0, f"the rows of {node.name}"
        return replace(like, outer=outer, inner=factor // outer)

    def _apply(self, node: Node) -> None:
        placements = [self.placed[n] for n in node.references]
        free = all(isinstance(p, Whole) and not p.batch for p in placements)
        if free and node.name not in self.normed:
            settings = (*node.settings, ("alike", True))
            self.add(replace(node, settings=settings), Whole(trained=True))
            return
        if free or not all(self._has_rows(n) for n in node.references):
            self._apply_alike(node)
            return
        names = {n: self._rows_for_net(n) for n in node.references}
        found = [self._local_of(names[n]) for n in node.references]
        values = self._values(node, found)
        orders = {p.order for p in found} - {ANY_ORDER}
        no_family = sum(p.outer for p in values) != node.setting("views")
        if len(orders) > 1 or (node.setting("group") and no_family):
            self._apply_alike(node)
            return
        embedding = all(p.embedding for p in found) and node.name not in self.all_images
        like = Local(1, 1, next(iter(orders), None), embedding)
        self.add(self._with(node, names), self._local(node, sum(p.outer for p in values), like))

    def _apply_alike(self, node: Node) -> None:
        """A net on what all have, for it has no rows to share: all compute the same.

        Its parameters' gradients come from one part, and its operands' go to all.
        """
        names = {}
        for name in node.references:
            assert not isinstance(self.by_name[name].type, ViewType), "images in two orders"
            whole = self.whole(name, Whole(True))
            names[name] = self.cross(ENTER, "enter", whole, (), Whole(True))
        settings = (*node.settings, ("alike", True))
        applied = replace(node, name=self.fresh(f"alike_{node.name}"), settings=settings)
        self.applied_alike[node.name] = applied.name
        self._once(node, self._with(applied, names))

    def _once(self, node: Node, made: Node) -> None:
        """`made`, which takes the place of `node`; its gradient goes on in one part alone."""
        self.add(made, Whole(True))
        self.add(Node(node.name, ONCE, (made.name,), (), node.type, node.span), Whole(True))

    def _values(self, node: Node, found: list[Local]) -> list[Local]:
        """The placements of what the net is applied to: its drops and masks follow."""
        count = len(found) - bool(node.setting("drop_path"))
        return found[: count // 2] if node.setting("keep") else found[:count]

    def _local_of(self, name: str) -> Local:
        placement = self.placed[name]
        assert isinstance(placement, Local)
        return placement

    def _factor(self, name: str) -> int | None:
        """How many rows a value has for each image, if it has any."""
        type_ = self.by_name[name].type
        return factor_of_batch(type_.shape[0]) if isinstance(type_, TensorType) else None

    def _has_rows(self, name: str) -> bool:
        return isinstance(self.placed[name], Local) or self._factor(name) is not None

    def _rows_for_net(self, name: str) -> str:
        if isinstance(self.placed[name], Local):
            return name
        factor = self._factor(name)
        assert factor is not None
        return self.rows_of(name, Local(factor, 1))

    def _split_op(self, node: Node) -> None:
        """An op of the language with at least one operand that is split."""
        if node.op == "pixels":
            self.add(node, self._local(node, 1, self._local_of(node.references[0])))
            return
        if self._columns(node) or self._joined(node) or self._flattened(node):
            return
        if self._sum_of_rows(node):
            return
        operands = Operands(
            tuple(self.by_name[n].type for n in node.references),
            tuple(isinstance(self.placed[n], Local) for n in node.references),
        )
        found = roles(node, operands)
        carriers = [] if found is None else [
            p for n, role in zip(node.references, found, strict=True)
            if role == "rows" and isinstance(p := self.placed[n], Local)
        ]  # fmt: skip
        like = _agreed(carriers)
        if found is None or like is None:
            self._alike(self._with(node, {n: self.whole(n, Whole(True)) for n in node.references}))
            return
        names: dict[str, str] = {}
        inputs = []
        for name, role in zip(node.references, found, strict=True):
            names[name] = self.rows_of(name, like) if role == "rows" else self.entered(name)
            inputs.append(names[name])
        listed = iter(inputs)
        operands_ = tuple(next(listed) if isinstance(i, str) else i for i in node.inputs)
        embedding = all(self._is_embedding(n) for n in inputs)
        self.add(replace(node, inputs=operands_), replace(like, embedding=embedding))

    def _is_embedding(self, name: str) -> bool:
        placement = self.placed[name]
        match placement:
            case Local():
                return placement.embedding
            case Whole():
                return not placement.batch
        return False

    def _columns(self, node: Node) -> bool:
        """`x.T` of a local matrix, and `x.T @ y` of two, which is a sum over rows."""
        names = node.references
        if node.op == "transpose" and isinstance(self.placed[names[0]], Local):
            type_ = node.type
            assert isinstance(type_, TensorType)
            if type_.rank == 2:
                self.add(node, Columns(names[0]))
                return True
        if node.op != "matmul":
            return False
        left, right = self.placed[names[0]], self.placed[names[1]]
        if not isinstance(left, Columns) or not isinstance(right, Local):
            return False
        source = self._local_of(left.source)
        if source.order is not None or _agreed([source, right]) is None:
            return False
        right_type = self.by_name[names[1]].type
        if not isinstance(right_type, TensorType) or right_type.rank != 2:
            return False
        part = replace(node, name=self.fresh(f"{node.name}_part"))
        embedding = source.embedding and right.embedding
        self.add(part, Local(embedding=embedding))
        self.add(Node(node.name, TOTAL, (part.name,), (), node.type, node.span), Whole(True))
        return True

    def _joined(self, node: Node) -> bool:
        """`concat` along rows of values that are split alike: members one after the other."""
        if node.op != "concat" or node.setting("axis") not in (0, None):
            return False
        found = [self.placed[n] for n in node.references]
        locals_ = [p for p in found if isinstance(p, Local)]
        if len(locals_) != len(found):
            return False
        like = _agreed([replace(p, outer=1) for p in locals_])
        if like is None:
            return False
        self.add(node, replace(like, outer=sum(p.outer for p in locals_)))
        return True

    def _flattened(self, node: Node) -> bool:
        """`flatten` from the first axis on: more rows an image."""
        if node.op != "flatten" or node.setting("axis") != 0:
            return False
        placement = self.placed[node.references[0]]
        assert isinstance(node.type, TensorType)
        if not isinstance(placement, Local) or factor_of_batch(node.type.shape[0]) is None:
            return False
        self.add(node, self._local(node, placement.outer, placement))
        return True

    def _sum_of_rows(self, node: Node) -> bool:
        """Sums, means and variances over rows are made of sums over the parts."""
        first = self.placed[node.references[0]]
        type_ = self.by_name[node.references[0]].type
        if not isinstance(first, Local) or first.order is not None:
            return False
        assert isinstance(type_, TensorType)
        if not sums_rows(node, type_):
            return False
        if node.op == "sum":
            return self._sum(node)
        made = (mean_nodes if node.op == "mean" else variance_nodes)(node, type_, self.fresh)
        if made is None:
            return False
        for part in made:
            self.visit(part)
        return True

    def _sum(self, node: Node) -> bool:
        names = {n: n for n in node.references}
        value = self._local_of(node.references[0])
        if len(node.references) == 2:
            mask = node.references[1]
            kind, type_ = self.by_name[mask].type, self.by_name[node.references[0]].type
            assert isinstance(kind, TensorType) and isinstance(type_, TensorType)
            if kind.rank == type_.rank and kind.shape[0] == type_.shape[0]:
                names[mask] = self.rows_of(mask, value)
                if _agreed([self._local_of(names[mask]), value]) is None:
                    return False
            else:
                names[mask] = self.entered(mask)
        part = self._with(replace(node, name=self.fresh(f"{node.name}_part")), names)
        embedding = all(self._is_embedding(n) for n in names.values())
        self.add(part, Local(embedding=embedding))
        self.add(Node(node.name, TOTAL, (part.name,), (), node.type, node.span), Whole(True))
        return True

    # --- outputs -------------------------------------------------------------------------

    def output(self, key: str, name: str) -> str:
        """The node of an output: a scalar loss that all have; other outputs as they are."""
        if key != "loss":
            return name
        node = self.by_name[name]
        if node.type != SCALAR:
            settings = (("axis", None), ("keep", False))
            mean = Node(self.fresh("mean_loss"), "mean", (name,), settings, SCALAR, node.span)
            self.visit(mean)
            name = mean.name
        return self.whole(name, Whole(True))

    def _with(self, node: Node, names: Mapping[str, str]) -> Node:
        inputs = tuple(names.get(i, i) if isinstance(i, str) else i for i in node.inputs)
        return replace(node, inputs=inputs)


def _agreed(found: list[Local]) -> Local | None:
    """What local values that are used row by row have in common; None where rows do not meet."""
    orders = {p.order for p in found} - {ANY_ORDER}
    if not found or len(orders) > 1 or len({(p.outer, p.inner) for p in found}) > 1:
        return None
    order = next(iter(orders), ANY_ORDER)
    return Local(found[0].outer, found[0].inner, order, all(p.embedding for p in found))
