import re

import pytest

import gaugebias.stats as room

EXAMPLES = {
    name: re.findall(r"```python\n(.*?)```", value.__doc__ or "", flags=re.DOTALL)
    for name, value in vars(room).items()
    if not name.startswith("_")
}


@pytest.mark.parametrize("name", [name for name, found in EXAMPLES.items() if found])
def test_docstring_example_runs(name):
    for example in EXAMPLES[name]:
        lines = example.splitlines()
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        exec("\n".join(line[indent:] for line in lines), {})
