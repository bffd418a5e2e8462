"""Who reaches a Ray cluster runs code on it: each of ours wants a token, and shows its dashboard to its own machine."""

from __future__ import annotations

import importlib.util
import inspect
import re
import stat

import pytest
import ray
import ray.scripts.scripts
from test_cluster_files import AWS, CLUSTER, CLUSTERS, LAUNCHED

FILES = sorted([AWS, *(file for file in CLUSTER.rglob("*") if file.suffix in (".yaml", ".py", ".sh"))])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_dashboard_is_open_to_the_network(file):
    text = file.read_text()
    assert "0.0.0.0" not in text
    assert set(re.findall(r"dashboard-host[= ]+[\"']?([^\s\"']+)", text)) <= {"127.0.0.1"}
    assert "dashboard-host" not in str(CLUSTERS.get(file.name, "")), "KubeRay's own, behind its network policy"


def test_without_a_word_ray_shows_a_dashboard_to_its_own_machine():
    assert inspect.signature(ray.init).parameters["dashboard_host"].default == "127.0.0.1"
    start = {parameter.name: parameter.default for parameter in ray.scripts.scripts.start.params}
    assert start["dashboard_host"] == "127.0.0.1"


def test_clusters_of_all_kinds_want_a_token():
    assert all("--env RAY_AUTH_MODE=token" in config["docker"]["run_options"] for config in LAUNCHED.values())
    assert all(cluster["authOptions"] == {"mode": "token"} for cluster in CLUSTERS.values())
    slurm = (CLUSTER / "slurm.sh").read_text()
    assert slurm.index("export RAY_AUTH_TOKEN RAY_AUTH_MODE=token") < slurm.index("ray start")
    assert "RAY_AUTH_MODE=token" in (CLUSTER / "Dockerfile").read_text()


def test_the_local_cluster_wants_a_token_of_its_own_that_only_its_user_reads(tmp_path):
    spec = importlib.util.spec_from_file_location("local_cluster", CLUSTER / "local.py")
    assert spec is not None
    assert spec.loader is not None
    local = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(local)
    tokens = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cluster = local.LocalCluster(tmp_path / name)
        file = tmp_path / name / "token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert re.fullmatch("[0-9a-f]{64}", file.read_text())
        tokens.add(file.read_text())
        assert cluster.environment["RAY_AUTH_MODE"] == "token"
        assert cluster.environment["RAY_AUTH_TOKEN_PATH"] == str(file)
        assert cluster.address.startswith("127.0.0.1:")
        assert cluster.dashboard.startswith("http://127.0.0.1:")
        assert file.read_text() not in cluster.environment.values()
    assert len(tokens) == 2
