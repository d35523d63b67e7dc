"""The structure of the package in figures: files and lines of each room, import circles, `Any`, recipe keys.

    python benchmarks/structure.py [CHECKOUT]

Lines are those of the Python files, blank lines, comments and docstrings included.
"""

import ast
import sys
from collections import Counter
from pathlib import Path


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of the package."""
    root = package.parent
    names = {".".join(file.relative_to(root).with_suffix("").parts): file for file in sorted(package.rglob("*.py"))}
    return {name.removesuffix(".__init__"): file for name, file in names.items()}


def imports(file: Path, known: dict[str, Path]) -> set[str]:
    """The package's modules that a file imports, wherever in it; not those for type checking alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    targets: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                targets.add(inner if inner in known else node.module)
    return targets & known.keys()


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (strongly connected components)."""
    order: list[str] = []
    seen: set[str] = set()

    def finish(start: str, edges: dict[str, set[str]], into: list[str]) -> None:
        stack = [(start, iter(sorted(edges[start])))]
        seen.add(start)
        while stack:
            name, following = stack[-1]
            unseen = next((other for other in following if other not in seen), None)
            if unseen is None:
                into.append(name)
                stack.pop()
            else:
                seen.add(unseen)
                stack.append((unseen, iter(sorted(edges[unseen]))))

    for name in sorted(graph):
        if name not in seen:
            finish(name, graph, order)
    reverse: dict[str, set[str]] = {name: set() for name in graph}
    for name, targets in graph.items():
        for target in targets:
            reverse[target].add(name)
    seen.clear()
    groups: list[list[str]] = []
    for name in reversed(order):
        if name not in seen:
            group: list[str] = []
            finish(name, reverse, group)
            groups.append(sorted(group))
    return [group for group in groups if len(group) > 1]


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> the modules that it imports. A package's own door counts as a module like any other."""
    known = modules(package)
    return {name: imports(file, known) - {name} for name, file in known.items()}


def rooms(package: Path) -> dict[str, tuple[int, int]]:
    """Room (a folder of the package, or a file at its top) -> its number of files and of lines."""
    files, lines = Counter[str](), Counter[str]()
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        files[room] += 1
        lines[room] += len(file.read_text(encoding="utf-8").splitlines())
    return {room: (files[room], lines[room]) for room in sorted(files)}


def any_count(package: Path) -> int:
    """How many lines annotate a name or a result with a bare `Any`."""
    texts = [file.read_text(encoding="utf-8").splitlines() for file in package.rglob("*.py")]
    return sum(": Any" in line or "-> Any" in line for text in texts for line in text)


if __name__ == "__main__":
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    source = checkout / "src" / "discern_vqa"
    print(f"{'room':<18}{'files':>6}{'lines':>8}")
    for room, (count, length) in rooms(source).items():
        print(f"{room:<18}{count:>6}{length:>8,}")
    total = rooms(source).values()
    print(f"{'together':<18}{sum(count for count, _ in total):>6}{sum(length for _, length in total):>8,}")
    print(f"import circles: {circles(import_graph(source)) or 'none'}")
    print(f"lines with ': Any' or '-> Any': {any_count(source)}")
