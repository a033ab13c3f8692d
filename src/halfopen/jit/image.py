"""Compile the kernels of one module into an image: ``python -m halfopen.jit.image MODULE``.

numba makes LLVM's assembly of every kernel; here all of them become one object file (ELF, x86-64)
without any reference to the outside, and its sections are laid one behind the other.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from elftools.elf.elffile import ELFFile
from numba.core import types
from numba.np.numpy_support import from_dtype

from halfopen.jit.cache import directory
from halfopen.jit.mapped import CODE

_PC32, _PLT32 = 2, 4  # R_X86_64_PC32 and R_X86_64_PLT32, System V ABI for AMD64, table 4.10


def compiled(dispatcher: Any, takes: tuple[Any, ...]) -> tuple[str, str]:
    """numba's assembly of a kernel for arguments of the kinds `takes`, and the name it has there."""

    def kind(each: Any) -> Any:
        if each is int:
            return types.int64
        dtype = np.dtype(each)
        return types.Array(from_dtype(dtype.base), 1 + dtype.ndim, "C")

    signature = tuple(map(kind, takes))
    dispatcher.compile(signature)
    made = dispatcher.overloads[signature]
    return made.library.get_llvm_str(), made.fndesc.llvm_func_name


def object_file(kernels: dict[str, tuple[str, str]]) -> bytes:
    """One object file of kernels, given by name: their assembly, and how they are called in it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    whole = llvm.parse_assembly("")
    for name, (assembly, inner) in kernels.items():
        module = llvm.parse_assembly(assembly)
        for each in (*module.functions, *module.global_variables):
            if not each.is_declaration:
                each.linkage = "internal"
        function = module.get_function(inner)
        function.linkage = "external"
        function.name = name
        whole.link_in(module)
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=os.environ["NUMBA_CPU_NAME"], opt=2, reloc="pic", codemodel="small"
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(whole, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options()))
    return bytes(target.emit_object(whole))


def linked(elf: bytes) -> tuple[bytes, dict[str, int]]:
    """The sections of an object file as one piece that can lie anywhere, and where each kernel begins."""
    file: Any = ELFFile(BytesIO(elf))
    code = bytearray()
    begins: dict[int, int] = {}
    for number, section in enumerate(file.iter_sections()):
        if section["sh_flags"] & 0x2 and section["sh_type"] == "SHT_PROGBITS":  # SHF_ALLOC
            if section["sh_flags"] & 0x1:  # SHF_WRITE
                raise ValueError(f"{section.name}: kernels have no memory of their own")
            code += bytes(-len(code) % section["sh_addralign"])
            begins[number] = len(code)
            code += section.data()
    symbols = file.get_section_by_name(".symtab")

    def place(symbol: Any) -> int:
        if symbol["st_shndx"] not in begins:
            raise ValueError(f"{symbol.name}: kernels call nothing outside")
        return begins[symbol["st_shndx"]] + int(symbol["st_value"])

    for section in file.iter_sections():
        if section["sh_type"] == "SHT_RELA" and section["sh_info"] in begins:
            for entry in section.iter_relocations():
                if entry["r_info_type"] not in (_PC32, _PLT32):
                    raise ValueError(f"relocation of type {entry['r_info_type']}")
                at = begins[section["sh_info"]] + entry["r_offset"]
                value = place(symbols.get_symbol(entry["r_info_sym"])) + entry["r_addend"] - at
                code[at : at + 4] = value.to_bytes(4, "little", signed=True)
    return bytes(code), {
        symbol.name: place(symbol)
        for symbol in symbols.iter_symbols()
        if symbol["st_info"]["bind"] == "STB_GLOBAL"
    }


def main(module: str) -> None:
    """Write the image of a module's kernels."""
    importlib.import_module(module)
    from halfopen.jit.compiled import KERNELS

    kernels = {
        dispatcher.__name__: compiled(dispatcher, takes)
        for dispatcher, takes in KERNELS
        if dispatcher.__module__ == module
    }
    code, begins = linked(object_file(kernels))
    about = {"size": CODE + len(code), "begins": {name: CODE + begin for name, begin in begins.items()}}
    head = json.dumps(about).encode() + b"\n"
    with NamedTemporaryFile(dir=directory(), prefix=f"{module}.", delete=False) as unfinished:
        unfinished.write(head.ljust(CODE, b"\0") + code)
    Path(unfinished.name).rename(directory() / f"{module}.image")


if __name__ == "__main__":
    main(sys.argv[1])
