"""Draws a random sample of the mutants of a folder with cosmic-ray's operators; run by run.py with the tool's Python.

Prints one JSON object: {"population", "excluded": {rule: count}, "not_compiled", "mutants": [{"file", "function",
"nth", "line", "operator", "was", "now", "text"}]}, where `text` is the whole mutated file and `nth` tells a line from
equal ones above it in its function.
"""

import json
import random
import sys
from pathlib import Path

# A replacement that others make needless says nothing about the tests: `a + b` as `a ** b` fails wherever `a - b` does,
# and mostly sooner. So arithmetic gets its opposite, and a comparison its negation and the two at its border.
BINARY = {"Add": ("Sub",), "Sub": ("Add",), "Mul": ("FloorDiv",), "FloorDiv": ("Mul",), "Mod": ("FloorDiv",),
          "Pow": ("Mul",), "LShift": ("RShift",), "RShift": ("LShift",), "BitAnd": ("BitOr",), "BitOr": ("BitAnd",),
          "BitXor": ("BitOr",)}
COMPARISON = {"Eq": ("NotEq", "LtE", "GtE"), "NotEq": ("Eq", "Lt", "Gt"), "Lt": ("GtE", "LtE", "NotEq"),
              "LtE": ("Gt", "Lt", "Eq"), "Gt": ("LtE", "GtE", "NotEq"), "GtE": ("Lt", "Gt", "Eq"), "Is": ("IsNot",),
              "IsNot": ("Is",)}
UNARY = ("Delete_USub", "Delete_Invert", "Delete_Not")
OTHERS = ("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
          "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer",
          "RemoveDecorator", "ZeroIterationForLoop")
KEPT = [f"core/{name}" for name in (
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, others in BINARY.items() for b in others),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, others in COMPARISON.items() for b in others),
    *(f"ReplaceUnaryOperator_{name}" for name in UNARY), *OTHERS)]
NEVER_REMOVED = ("import_name", "import_from", "string", "strings", "fstring", "global_stmt", "nonlocal_stmt")


class RemoveStatement:
    """An operator beside cosmic-ray's own: a simple statement becomes `pass`."""

    def mutation_positions(self, node):
        if node.parent is not None and node.parent.type == "simple_stmt" and node is node.parent.children[0]:
            if node.type not in NEVER_REMOVED and node.get_code(include_prefix=False) != "pass":
                yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        from parso.python.tree import Name
        return Name("pass", node.start_pos, node.get_first_leaf().prefix)


def ancestors(node):
    """The node and all that hold it, from the inside."""
    while node is not None:
        yield node
        node = node.parent


def excluded(node):
    """The rule that leaves this node's mutants out of the population, or None."""
    holders = list(ancestors(node))
    if node.type == "expr_stmt" and node.children[0].get_code().strip() == "__slots__":
        return "removal of __slots__"
    if any(holder.type == "funcdef" and holder.name.value == "__repr__" for holder in holders):
        return "text of __repr__"
    in_text = any(holder.type == "fstring" for holder in holders)
    if in_text and any(holder.type in ("raise_stmt", "assert_stmt") for holder in holders):
        return "text of an error message"
    return None


def place(node, lines):
    """(qualified function, how many lines above in it read the same) of a node."""
    holders = [holder for holder in ancestors(node) if holder.type in ("funcdef", "classdef")]
    name = ".".join(holder.name.value for holder in reversed(holders)) or "<module>"
    row = node.start_pos[0] - 1
    first = holders[0].start_pos[0] - 1 if holders else 0
    return name, sum(lines[above].strip() == lines[row].strip() for above in range(first, row))


def changed(before, after):
    """The lines that differ, without indentation: (was, now)."""
    before, after = before.splitlines(), after.splitlines()
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    text = lambda lines: "\n".join(line.strip() for line in lines[head:len(lines) - tail])
    return text(before), text(after)


def compiles(text):
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def main(root, folder, size, seed):
    import cosmic_ray.plugins
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code

    operators = {name: cosmic_ray.plugins.get_operator(name)() for name in KEPT}
    operators["RemoveStatement"] = RemoveStatement()
    population, left_out = [], {}
    sources = {path: path.read_text() for path in sorted(Path(root, folder).glob("*.py"))}
    for path, source in sources.items():
        nodes = list(ast_nodes(get_ast(source)))
        for name, operator in operators.items():
            occurrence = 0
            for node in nodes:
                for _ in operator.mutation_positions(node):
                    rule = excluded(node)
                    if rule:
                        left_out[rule] = left_out.get(rule, 0) + 1
                    else:
                        population.append((path, name, occurrence, node))
                    occurrence += 1
    if len(population) <= size * 5 // 4:
        size = len(population)  # so few more: all of them
    drawn, not_compiled = [], 0
    for path, name, occurrence, node in random.Random(seed).sample(population, len(population)):
        if len(drawn) == size:
            break
        text = mutate_code(sources[path], operators[name], occurrence)
        if text is None or text == sources[path] or not compiles(text):
            not_compiled += 1
            continue
        function, nth = place(node, sources[path].splitlines())
        was, now = changed(sources[path], text)
        drawn.append({"file": str(path.relative_to(root)), "function": function, "nth": nth, "line": node.start_pos[0],
                      "operator": name.removeprefix("core/"), "was": was, "now": now, "text": text})
    json.dump({"population": len(population), "excluded": left_out, "not_compiled": not_compiled, "mutants": drawn},
              sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
