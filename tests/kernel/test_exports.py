from __future__ import annotations

import ast
import sys
from pathlib import Path

import chat4all_actors.kernel as kernel

FOLDER = Path(kernel.__file__).parent


def public_names(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return {name for name in names if not name.startswith("_")}


def test_the_package_exports_every_public_class_and_function() -> None:
    defined = {name for module in FOLDER.glob("*.py") for name in public_names(module)}
    internal = {"Life", "Place", "Resident"}
    aliases = {"FaultHandler"}
    assert set(kernel.__all__) == (defined - internal) | aliases


def test_every_exported_name_exists_and_the_list_is_sorted() -> None:
    assert all(hasattr(kernel, name) for name in kernel.__all__)
    assert kernel.__all__ == sorted(kernel.__all__)


def test_the_kernel_imports_only_trio_and_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"trio"}
    for module in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            for name in modules:
                inside = name.startswith("chat4all_actors.kernel.") or name == kernel.__name__
                assert inside or name.partition(".")[0] in allowed, f"{module.name}: {name}"
