"""What the package calls: nothing that executes, or unpickles, what a file holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    [*(ROOT / "abaw_ray").rglob("*.py"), *(ROOT / "tune_spaces").rglob("*.py"), *ROOT.glob("cluster/*.py")]
)

PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
"""Modules that execute what they read, wherever they are, as `ray.cloudpickle`."""
UNPACKERS = {"extract", "extractall", "unpack_archive"}
"""Methods that write what an archive names; none is needed."""
SAFE_NAMES = {"pickle.UnpicklingError"}
"""What is used of them and reads nothing."""
SHELLS = {"os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "commands.getoutput"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"SafeLoader", "yaml.SafeLoader", "yaml.CSafeLoader", "_Loader"}
"""`_Loader` is `config.yaml_values`'s own; that it is a safe one is asserted below."""

ALLOWED = {
    ("abaw_ray/inference/torch_model.py", "torch.export.load"): "after the archive's members and calls were looked at",
    ("abaw_ray/tuning/sweep.py", "Tuner.restore"): "Tune's state in the user's own sweep is pickled by Ray",
    ("abaw_ray/tuning/spaces.py", "spec.loader.exec_module"): "--space FILE.py is the user's code",
    ("abaw_ray/tuning/spaces.py", "importlib.util.spec_from_file_location"): "--space FILE.py is the user's code",
    ("abaw_ray/tuning/spaces.py", "importlib.import_module"): "installed search spaces",
    ("abaw_ray/plugins.py", "importlib.import_module"): "own parts, torch_module and --people, named by the user",
}
"""Calls that load code, or what Ray pickled, and why; each must still be there."""


def dotted(node: ast.expr) -> str:
    """A name as it is written, as `torch.load`, or `().load` of what a call gives; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value) or '()'}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def full_names(tree: ast.AST) -> dict[str, str]:
    """Names that imports bind -> what they are, as np -> numpy."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {n.asname: n.name for n in node.names if n.asname}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
    return found


def is_false(call: ast.Call, option: str, default: bool) -> bool:
    """Whether a call says False for an option, written out; `default` where it says nothing."""
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    if option not in values:
        return default
    return isinstance(values[option], ast.Constant) and values[option].value is False


def is_dangerous(name: str, call: ast.Call) -> bool:
    """Whether a call executes, or may unpickle, what it is given."""
    last = name.rpartition(".")[2]
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("numpy.load", "numpy.lib.format.read_array"):
        return not is_false(call, "allow_pickle", default=False)
    if name == "torch.load":
        said = options.get("weights_only")
        return not (isinstance(said, ast.Constant) and said.value is True)
    if name in ("yaml.load", "yaml.load_all"):
        loader = options.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
        return loader is None or dotted(loader) not in SAFE_LOADERS
    if name.startswith("yaml.") and last in ("full_load", "unsafe_load", "full_load_all", "unsafe_load_all"):
        return True
    if name.startswith(("subprocess.", "asyncio.create_subprocess_shell")):
        return last == "create_subprocess_shell" or not is_false(call, "shell", default=True)
    if (PICKLERS & {*name.split(".")} and name not in SAFE_NAMES) or last == "read_pickle":
        return True
    loads_code = last in ("import_module", "spec_from_file_location", "exec_module", "run_path", "run_module")
    of_torch = name in ("torch.export.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter")
    of_ray = last == "restore" and name.rpartition(".")[0].endswith(("Tuner", "Trainer"))
    return loads_code or of_torch or of_ray or name in BUILT_IN | SHELLS or last in UNPACKERS


def dangers(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each dangerous call or import in a module."""
    tree = ast.parse(text)
    names = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (written := dotted(node.func)):
            first, dot, rest = written.partition(".")
            name = f"{names.get(first, first)}{dot}{rest}"
            if is_dangerous(name, node):
                yield node.lineno, written
        if isinstance(node, ast.ImportFrom) and node.module in PICKLERS:
            yield from ((node.lineno, f"{node.module}.{n.name}") for n in node.names)


def test_nothing_that_is_read_is_executed():
    found = {
        (file.relative_to(ROOT).as_posix(), name): line for file in SOURCES for line, name in dangers(file.read_text())
    }
    assert len(SOURCES) > 300
    assert {f"{file}:{line}: {name}" for (file, name), line in found.items() if (file, name) not in ALLOWED} == set()
    assert set(ALLOWED) - set(found) == set(), "allowed, and not there any more"


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(data)",
        "from pickle import loads",
        "from ray import cloudpickle\ncloudpickle.loads(data)",
        "import joblib\njoblib.load(file)",
        "import numpy as np\nnp.load(file)",
        "import numpy as np\nnp.load(file, allow_pickle=True)",
        "from numpy import load\nload(file, allow_pickle=wanted)",
        "import torch\ntorch.load(file)",
        "import torch\ntorch.load(file, weights_only=False)",
        "import torch\ntorch.load(file, weights_only=wanted)",
        "import torch\ntorch.hub.load('a/b', 'c')",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.unsafe_load(text)",
        "import subprocess\nsubprocess.run(line, shell=True)",
        "from subprocess import Popen as run\nrun(line, shell=wanted)",
        "import os\nos.system(line)",
        "eval(text)",
        "exec(text)",
        "import tarfile\ntarfile.open(file).extractall(folder)",
        "import shutil\nshutil.unpack_archive(file)",
    ],
)
def test_what_would_execute_is_found(code):
    assert [*dangers(code)]


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\nnp.load(file, allow_pickle=False)",
        "import torch\ntorch.load(file, map_location='cpu', weights_only=True)",
        "import yaml\nyaml.safe_load(text)",
        "import subprocess\nsubprocess.run(['ls'], check=True)",
        "import ast\nast.literal_eval(text)\nmodel.eval()",
        "import pickle\nexcept_ = pickle.UnpicklingError",
    ],
)
def test_what_is_safe_is_let_through(code):
    assert [*dangers(code)] == []


def test_the_loader_of_yaml_makes_plain_values_alone():
    import yaml

    from abaw_ray.config import yaml_values

    assert issubclass(yaml_values._Loader, yaml.SafeLoader)
