"""Small mistakes that could be made in a file of Python, each as a replacement of bytes."""

import ast
import copy
import difflib
from collections.abc import Callable, Iterator
from typing import NamedTuple

BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.BitAnd: ast.BitOr,
}
COMPARISON = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPPOSITES = [
    ("min", "max"),
    ("any", "all"),
    ("floor", "ceil"),
    ("sin", "cos"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
]
NAMES = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}


MODULES = ("torch", "math", "np", "nn", "files", "json", "hashlib", "warnings", "tables", "seeds")


class Mutant(NamedTuple):
    """A replacement of source[start:stop]; the operator says what kind of mistake it is."""

    file: str
    start: int
    stop: int
    text: str
    operator: str

    def applied(self, source: bytes) -> bytes:
        """The source with the mistake."""
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def diff(self, source: bytes) -> str:
        """The lines that differ."""
        before, after = (s.decode().splitlines() for s in (source, self.applied(source)))
        lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
        return "\n".join(lines)

    def change(self, source: bytes) -> tuple[str, str]:
        """The line where it begins, before and after, which name it wherever it moves."""
        pairs = (line for line in self.diff(source).splitlines() if line[:1] in "+-")
        lines = [(line[:1], line[1:].strip()) for line in pairs]
        was, became = (" ".join(t for s, t in lines if s == sign) for sign in "-+")
        return was, became


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All mistakes of our kinds in a file, in order; none in annotations, texts and messages."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def made(node: ast.AST, text: str, operator: str) -> Mutant:
        start = starts[node.lineno - 1] + node.col_offset
        stop = starts[node.end_lineno - 1] + node.end_col_offset
        return Mutant(file, start, stop, text, operator)

    tree = ast.parse(source)
    found: list[Mutant] = []
    for node, function in _visited(tree, None):
        if isinstance(node, ast.expr):
            for operator, changed in _expressions(node):
                found.append(made(node, f"({ast.unparse(changed)})", operator))
        elif isinstance(node, ast.stmt):
            if isinstance(node, ast.If | ast.While):
                found.append(made(node.test, f"not ({ast.unparse(node.test)})", "negation added"))
            found += [made(node, text, operator) for operator, text in _statements(node, function)]
    return [m for m in dict.fromkeys(found) if m.applied(source) != source and _compiles(m, source)]


def _compiles(mutant: Mutant, source: bytes) -> bool:
    try:
        compile(mutant.applied(source), mutant.file, "exec")
    except SyntaxError:
        return False
    return True


def _visited(node: ast.AST, function: ast.AST | None) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """The nodes whose value the program uses, with the function that each stands in."""
    if isinstance(node, ast.FunctionDef):
        function = node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "msg", "exc") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom):
                yield child, function
                if not _is_message(child):
                    yield from _visited(child, function)


def _is_message(node: ast.AST) -> bool:
    """Whether it is a call that warns; what a warning says is a matter of taste."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warn")


def _expressions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    def changed(**fields: object) -> ast.expr:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    match node:
        case ast.BinOp(op=op) if type(op) in BINARY:
            yield "arithmetic", changed(op=BINARY[type(op)]())
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in COMPARISON.get(type(op), ()):
                    yield "comparison", changed(ops=[*ops[:i], other(), *ops[i + 1 :]])
        case ast.BoolOp(op=op):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield "and/or", changed(op=other)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            yield "negation removed", operand
        case ast.Constant(value=bool(value)):
            yield "True/False", changed(value=not value)
        case ast.Constant(value=int(value)):
            yield "constant", changed(value=value + 1)
        case ast.Constant(value=float(value)):
            yield "constant", changed(value=value * 2 or 1.0)
        case ast.IfExp(body=body, orelse=orelse):
            yield "branches swapped", changed(body=orelse, orelse=body)
        case ast.Call():
            yield from _calls(node, changed)


def _calls(node: ast.Call, changed: Callable[..., ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    if name in NAMES:
        function = copy.copy(node.func)
        setattr(function, "attr" if isinstance(function, ast.Attribute) else "id", NAMES[name])
        yield "min/max", changed(func=function)
    if isinstance(node.func, ast.Attribute) and not _is_unseen(node, name):
        yield "call dropped", node.func.value
    for i in range(len(node.args) - 1 if name not in ("min", "max", "hypot") else 0):
        pair = node.args[i : i + 2]
        if not any(isinstance(a, ast.Starred) or _is_text(a) for a in pair):
            args = [*node.args[:i], *pair[::-1], *node.args[i + 2 :]]
            yield "arguments swapped", changed(args=args)
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield (
                "argument dropped",
                changed(keywords=[*node.keywords[:i], *node.keywords[i + 1 :]]),
            )
            if keyword.arg in ("min", "max"):
                other = ast.keyword(NAMES[keyword.arg], keyword.value)
                keywords = [*node.keywords[:i], other, *node.keywords[i + 1 :]]
                yield "min/max", changed(keywords=keywords)


def _is_text(node: ast.expr) -> bool:
    """Whether it is a name in quotes, whose swap with anything no program survives."""
    return isinstance(node, ast.JoinedStr | ast.Constant) and not isinstance(
        getattr(node, "value", None), int | float
    )


def _is_unseen(node: ast.Call, name: str) -> bool:
    """Whether nothing would be called, or what is dropped matters on other devices alone."""
    inner = ast.unparse(node.func.value)
    module = inner.startswith(MODULES) or inner in ("self", "cls", "super()")
    return module or name in ("cpu", "detach", "contiguous") or "device" in ast.unparse(node)


def _statements(node: ast.stmt, function: ast.AST | None) -> Iterator[tuple[str, str]]:
    if function is None or not isinstance(function, ast.FunctionDef):
        return
    match node:
        case ast.Expr(value=ast.Constant() | ast.Yield() | ast.YieldFrom()):
            return
        case ast.Expr() | ast.AugAssign() | ast.Raise():
            yield "statement dropped", "pass"
        case ast.Assign(targets=[target]) if _is_rebound(target, node, function):
            yield "statement dropped", "pass"
    if isinstance(node, ast.Expr | ast.AugAssign) and function.body[-1] is not node:
        yield "returning early", "return"


def _is_rebound(target: ast.expr, node: ast.stmt, function: ast.FunctionDef) -> bool:
    """Whether the program still runs without the assignment: the name has an older value."""
    if not isinstance(target, ast.Name):
        return isinstance(target, ast.Attribute | ast.Subscript)
    older = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
    for other in ast.walk(function):
        stored = isinstance(other, ast.Name) and isinstance(other.ctx, ast.Store)
        if stored and other.lineno < node.lineno:
            older.append(other.id)
    return target.id in older
