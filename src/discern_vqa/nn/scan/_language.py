"""A small language for arithmetic on vectors of float32, translated to machine code while the program runs.

A kernel is written as a Python function that *describes* the computation: sums and products of `Lanes` (a few float32
side by side), places in memory, and loops. `Kernel.translate` hands the description to LLVM (the pip package
`llvmlite`), which makes code for this very processor in about a tenth of a second. Nothing is written to disk and no
compiler has to be installed.

Why not numba: the scan written in it took 3.5 times as long and 11 seconds of every process to import and compile;
benchmarks/README.md has the figures.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

FLOAT, INT32, INT64, POINTER = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.PointerType()


class Int:
    """A whole number that is known only when the kernel runs: a size, a position, a stride."""

    def __init__(self, kernel: "Kernel", value: Any) -> None:
        self.kernel, self.value = kernel, value

    def _with(self, other: "Int | int", operation: str) -> "Int":
        return Int(self.kernel, getattr(self.kernel.builder, operation)(self.value, self.kernel.number(other).value))

    def __add__(self, other: "Int | int") -> "Int":
        return self._with(other, "add")

    def __sub__(self, other: "Int | int") -> "Int":
        return self._with(other, "sub")

    def __mul__(self, other: "Int | int") -> "Int":
        return self._with(other, "mul")

    def __floordiv__(self, other: "Int | int") -> "Int":
        return self._with(other, "sdiv")

    def __mod__(self, other: "Int | int") -> "Int":
        return self._with(other, "srem")

    def __lt__(self, other: "Int | int") -> Any:
        return self.kernel.builder.icmp_signed("<", self.value, self.kernel.number(other).value)

    def at_most(self, other: "Int") -> "Int":
        """The smaller of the two."""
        return Int(self.kernel, self.kernel.builder.select(self < other, self.value, other.value))


class Lanes:
    """`kernel.width` numbers side by side; arithmetic acts on all of them at once."""

    def __init__(self, kernel: "Kernel", value: Any) -> None:
        self.kernel, self.value = kernel, value

    def __add__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.kernel, self.kernel.builder.fadd(self.value, other.value))

    def __sub__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.kernel, self.kernel.builder.fsub(self.value, other.value))

    def __mul__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.kernel, self.kernel.builder.fmul(self.value, other.value))

    def times(self, factor: "Lanes", plus: "Lanes") -> "Lanes":
        """self * factor + plus, in one instruction where the processor has it."""
        args = [self.value, factor.value, plus.value]
        return Lanes(self.kernel, self.kernel.intrinsic("llvm.fmuladd", self.kernel.lanes_type, args))

    def sum(self) -> Any:
        """The sum over the lanes, a single number; added in pairs."""
        start = ir.Constant(FLOAT, -0.0)
        return self.kernel.intrinsic("llvm.vector.reduce.fadd", FLOAT, [start, self.value], fastmath=("reassoc",))


class Place:
    """An address of float32 in memory. `place + n` lies n numbers further on."""

    def __init__(self, kernel: "Kernel", pointer: Any) -> None:
        self.kernel, self.pointer = kernel, pointer

    def __add__(self, numbers: Int | int) -> "Place":
        step = [self.kernel.number(numbers).value]
        return Place(self.kernel, self.kernel.builder.gep(self.pointer, step, inbounds=True, source_etype=FLOAT))

    def lanes(self) -> Lanes:
        """The numbers that begin here, as many as there are lanes."""
        return Lanes(self.kernel, self.kernel.builder.load(self.pointer, typ=self.kernel.lanes_type, align=4))

    def repeated(self) -> Lanes:
        """The one number here, in every lane."""
        number = self.kernel.builder.load(self.pointer, typ=FLOAT)
        nothing = ir.Constant(self.kernel.lanes_type, ir.Undefined)
        single = self.kernel.builder.insert_element(nothing, number, ir.Constant(INT32, 0))
        first = ir.Constant(ir.VectorType(INT32, self.kernel.width), [0] * self.kernel.width)
        return Lanes(self.kernel, self.kernel.builder.shuffle_vector(single, nothing, first))

    def put(self, lanes: Lanes) -> None:
        """Writes all lanes, beginning here."""
        self.kernel.builder.store(lanes.value, self.pointer, align=4)

    def put_number(self, number: Any) -> None:
        """Writes one number here."""
        self.kernel.builder.store(number, self.pointer)


class Array:
    """float32 in memory with a stride, in numbers, for each of its indices."""

    def __init__(self, start: Place, *strides: Int | int) -> None:
        self.start, self.strides = start, strides

    def at(self, *indices: Int | int) -> Place:
        """The place of these indices; those left out are 0."""
        place = self.start
        for index, stride in zip(indices, self.strides, strict=False):
            place = place + self.start.kernel.number(index) * stride
        return place


class Kernel:
    """One function under description. It takes the address of a list of int64: the values of `names`, in their order.

    `given[name]` is such a value, `place(name)` the memory it points to. `width` is the number of lanes.
    """

    def __init__(self, name: str, names: Sequence[str], width: int) -> None:
        self.name, self.width = name, width
        self.module = ir.Module(name)
        self.function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER]), name)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.lanes_type = ir.VectorType(FLOAT, width)
        listed = Place(self, self.function.args[0])
        self.given = {key: self.read_int(listed, self.number(index)) for index, key in enumerate(names)}

    def place(self, name: str) -> Place:
        """The memory whose address was given under this name."""
        return Place(self, self.builder.inttoptr(self.given[name].value, POINTER))

    def number(self, value: Int | int) -> Int:
        """A number known now, as one known when the kernel runs."""
        return Int(self, ir.Constant(INT64, value)) if isinstance(value, int) else value

    def read_int(self, place: Place, index: Int) -> Int:
        """Entry `index` of a list of int64."""
        where = self.builder.gep(place.pointer, [index.value], source_etype=INT64)
        return Int(self, self.builder.load(where, typ=INT64))

    def constant(self, number: float) -> Lanes:
        """The same number in every lane."""
        return Lanes(self, ir.Constant(self.lanes_type, [number] * self.width))

    def scratch(self, numbers: Int | int) -> Place:
        """Memory of the running thread, on its stack; asked for before anything else."""
        memory = self.builder.alloca(FLOAT, size=self.number(numbers).value)
        memory.align, memory.type = 64, POINTER
        return Place(self, memory)

    def intrinsic(self, name: str, result: Any, args: list[Any], fastmath: tuple[str, ...] = ()) -> Any:
        """A call of LLVM's own function for this vector width."""
        full = f"{name}.v{self.width}f32"
        called = self.module.globals.get(full)
        if called is None:
            called = ir.Function(self.module, ir.FunctionType(result, [arg.type for arg in args]), full)
        return self.builder.call(called, args, fastmath=fastmath)

    @contextmanager
    def loop(
        self, stop: Int, step: int = 1, start: Int | int = 0, carry: Sequence[Lanes] = ()
    ) -> Iterator[tuple[Int, list[Lanes]]]:
        """`for i in range(start, stop, step)`. `carry` are lanes that live in registers from round to round: the body
        replaces the entries of the list it is given, and after the loop the list holds what the last round left."""
        begin, before = self.number(start), self.builder.block
        body, after = self.function.append_basic_block("body"), self.function.append_basic_block("after")
        self.builder.cbranch(begin < stop, body, after)
        self.builder.position_at_end(body)
        index = self.builder.phi(INT64)
        index.add_incoming(begin.value, before)
        entering = [self.builder.phi(self.lanes_type) for _ in carry]
        held = [Lanes(self, phi) for phi in entering]
        yield Int(self, index), held
        advanced, last = Int(self, index) + step, self.builder.block
        index.add_incoming(advanced.value, last)
        for phi, first, current in zip(entering, carry, held, strict=True):
            phi.add_incoming(first.value, before)
            phi.add_incoming(current.value, last)
        self.builder.cbranch(advanced < stop, body, after)
        self.builder.position_at_end(after)
        for position, first in enumerate(carry):
            leaving = self.builder.phi(self.lanes_type)
            leaving.add_incoming(first.value, before)
            leaving.add_incoming(held[position].value, last)
            held[position] = Lanes(self, leaving)

    @contextmanager
    def units(self, total: Int, counter: Place) -> Iterator[Int]:
        """Units of work 0 ... total - 1. Threads that run the kernel at once share the counter and take the next one
        each, so that a thread that is held up holds nobody else up. Ends the kernel."""
        blocks = [self.function.append_basic_block(name) for name in ("next", "unit", "end")]
        self.builder.branch(blocks[0])
        self.builder.position_at_end(blocks[0])
        unit = Int(self, self.builder.atomic_rmw("add", counter.pointer, self.number(1).value, "monotonic"))
        self.builder.cbranch(unit < total, blocks[1], blocks[2])
        self.builder.position_at_end(blocks[1])
        yield unit
        self.builder.branch(blocks[0])
        self.builder.position_at_end(blocks[2])
        self.builder.ret_void()

    def translate(self) -> Callable[[int], None]:
        """Machine code for this processor, as a function of the list's address. It lets other Python threads run."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(str(self.module))
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=str(llvm.get_host_cpu_features().flatten()), opt=2
        )
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        code = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(self.name))
        code.engine = engine  # type: ignore[attr-defined]  # the code lives as long as its engine
        return code


@cache
def host_width() -> int:
    """float32 lanes of this processor's widest vectors."""
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


EXP2 = (1.0, 0.6931472028550587, 0.2402264791363958, 0.0555033247114896, 0.00961843735641377, 0.0013398874406058833,
        0.00015353362250208988)  # fmt: skip
"""2**f on [-1/2, 1/2] as a polynomial: least relative error (2.0e-9) among those that are exactly 1 at 0."""

ROUND = 12582912.0
"""1.5 * 2**23: a float32 to which a small number has been added keeps that number's whole part in its last bits."""


def exp2(z: Lanes) -> Lanes:
    """2**z to 8e-8 of its value: exactly 1 at 0, 2**-126 below -126, infinite from 128 on; NaN stays NaN."""
    kernel, builder = z.kernel, z.kernel.builder
    ints = ir.VectorType(INT32, kernel.width)
    for sign, end in ((">", kernel.constant(-126.0)), ("<", kernel.constant(128.0))):
        z = Lanes(kernel, builder.select(builder.fcmp_unordered(sign, z.value, end.value), z.value, end.value))
    shifted = z + kernel.constant(ROUND)
    fraction = z - (shifted - kernel.constant(ROUND))
    power = kernel.constant(EXP2[-1])
    for coefficient in EXP2[-2::-1]:
        power = power.times(fraction, plus=kernel.constant(coefficient))
    exponent = builder.shl(builder.bitcast(shifted.value, ints), ir.Constant(ints, [23] * kernel.width))
    scaled = builder.add(builder.bitcast(power.value, ints), exponent)
    return Lanes(kernel, builder.bitcast(scaled, kernel.lanes_type))
