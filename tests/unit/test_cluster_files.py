"""The files in cluster/ and ray_cluster.yaml against the schemas, the image, the command and each other."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import ray
import typer.main
import yaml
from packaging.requirements import Requirement
from ray._private.ray_constants import DEFAULT_OBJECT_STORE_MEMORY_PROPORTION
from ray.autoscaler._private.util import prepare_config, validate_config

from abaw_ray.cli import app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
KUBERNETES = "1.33"
NAMESPACE = "abaw"

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (CLUSTER / "constraints.txt").read_text().splitlines() if line[0] != "#")

AWS, ON_PREMISES = ROOT / "ray_cluster.yaml", CLUSTER / "on_premises.yaml"
LAUNCHED = {file: yaml.safe_load(file.read_text()) for file in (AWS, ON_PREMISES)}

MANIFESTS = sorted((CLUSTER / "kuberay").glob("*.yaml"))
OBJECTS = [(file.name, document) for file in MANIFESTS for document in yaml.safe_load_all(file.read_text())]
JOBS = {name: document for name, document in OBJECTS if document["kind"] == "RayJob"}
CLUSTERS = {name: d["spec"].get("rayClusterSpec", d["spec"]) for name, d in OBJECTS if d["kind"].startswith("Ray")}
WORKERS = [(name, group) for name, cluster in CLUSTERS.items() for group in cluster["workerGroupSpecs"]]
NODES = {f"{name}-head": cluster["headGroupSpec"]["template"] for name, cluster in CLUSTERS.items()} | {
    f"{name}-{group['groupName']}": group["template"] for name, group in WORKERS
}
PODS = NODES | {f"{name}-submitter": job["spec"]["submitterPodTemplate"] for name, job in JOBS.items()}
SECURITY = next(iter(PODS.values()))["spec"]["securityContext"]

on_nodes = pytest.mark.parametrize("name", NODES)
on_pods = pytest.mark.parametrize("name", PODS)
on_launched = pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)


def of_kind(kind, file=None):
    """Objects of a kind by name."""
    return {d["metadata"]["name"]: d for name, d in OBJECTS if d["kind"] == kind and file in (None, name)}


# --- ray up


@on_launched
def test_ray_up_accepts_the_file(file):
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(LAUNCHED[file], schema)
    prepared = prepare_config(copy.deepcopy(LAUNCHED[file]))
    validate_config(prepared)
    # where nothing is said, Ray installs another Ray
    assert prepared["setup_commands"] == prepared["head_setup_commands"] == []


@on_launched
def test_machines_share_a_token_and_a_file_system(file):
    config = LAUNCHED[file]
    assert config["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    options = config["docker"]["run_options"]
    assert {"--env RAY_AUTH_MODE=token", "--volume /mnt/abaw:/mnt/abaw"} <= set(options)
    assert any(re.fullmatch(r"--ulimit nofile=\d+:\d+", option) for option in options)
    dockers = [config["docker"], *(t.get("docker", {}) for t in config.get("available_node_types", {}).values())]
    sizes = re.findall("--shm-size=[0-9]+g", json.dumps(dockers))
    assert len(sizes) == len(config.get("available_node_types", ["head", "worker"]))
    head = next(command for command in config["head_start_ray_commands"] if "--head" in command)
    assert "--dashboard-host=127.0.0.1" in head


def test_machines_on_aws_come_when_needed_and_are_cheap():
    types = LAUNCHED[AWS]["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    for name in ("gpu", "cpu"):
        assert types[name]["min_workers"] == 0 < types[name]["max_workers"]
        assert types[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "--gpus=all" in types["gpu"]["docker"]["worker_run_options"]
    assert len({t["node_config"]["ImageId"] for t in types.values()}) == 1
    assert LAUNCHED[AWS]["provider"]["cache_stopped_nodes"] is False


def test_the_head_of_ones_own_machines_does_no_work():
    start = " ".join(LAUNCHED[ON_PREMISES]["head_start_ray_commands"]).split()
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(start)


# --- the image


def stages():
    """The Dockerfile's stages, each a list of (instruction, arguments)."""
    text = re.sub(r"^\s*#.*\n", "", (CLUSTER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    starts = [i for i, (word, _) in enumerate(instructions) if word == "FROM"]
    return [instructions[i:j] for i, j in zip(starts, [*starts[1:], None], strict=True)]


def last(word):
    """Arguments of an instruction in the stage that becomes the image."""
    return [" ".join(rest.split()) for found, rest in stages()[-1] if found == word]


def test_base_images_are_pinned():
    aliases = set()
    for (_, start), *_ in stages():
        image, *alias = start.split(" AS ")
        assert image in aliases or re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w.-]+", image), image
        aliases |= set(alias)


def test_the_image_runs_as_the_user_of_the_pods():
    assert last("USER") == [f"{SECURITY['runAsUser']}:{SECURITY['runAsGroup']}"]
    assert f"useradd --uid {SECURITY['runAsUser']} " in " ".join(last("RUN"))


def test_the_image_has_no_compiler():
    tools = r"build-essential|\bgcc|\bg\+\+|clang|cmake|\bmake\b|cargo|-dev\b|\bgit\b"
    assert re.findall(tools, " ".join(last("RUN"))) == []


def test_the_image_is_ready_for_login_shells_and_ray_up():
    assert {"PATH=/opt/venv/bin:$PATH", "HOME=/home/ray", "RAY_AUTH_MODE=token"} <= set(" ".join(last("ENV")).split())
    assert 'PATH=/opt/venv/bin:\\$PATH" > /etc/profile.d/' in " ".join(last("RUN"))
    assert {"openssh-client", "rsync"} <= set(" ".join(last("RUN")).split())


def test_only_what_the_image_needs_is_sent_to_its_build():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copies = [shlex.split(rest) for stage in stages() for word, rest in stage if word == "COPY"]
    copied = {source for words in copies if not words[0].startswith("--from") for source in words[:-1]}
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_direct_dependencies_are_pinned_as_the_project_allows():
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(PINS[requirement.name]), requirement
    python = re.match(r"python:([\d.]+)", stages()[0][0][1])[1]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)


# --- Kubernetes


@pytest.mark.parametrize(
    "document", [d for _, d in OBJECTS if d["apiVersion"] in ("v1", "networking.k8s.io/v1")], ids=lambda d: d["kind"]
)
def test_objects_follow_kubernetes_schemas(document):
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


@on_pods
def test_pods_follow_kubernetes_schemas(name):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **PODS[name]}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def closed(required, **properties):
    """A schema of an object with these fields and no other."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


ANY, TEXT, COUNT = {"type": "object"}, {"type": "string"}, {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}

# of ray.io/v1 in KubeRay 1.7: the fields in use, required there or wanted here
GROUP = closed(
    ["groupName", "replicas", "minReplicas", "maxReplicas", "template"],
    groupName=TEXT, replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT, rayStartParams=TEXTS, template=ANY,
)  # fmt: skip
AUTOSCALER = closed(["version"], version={"const": "v2"}, idleTimeoutSeconds=COUNT, resources=ANY, securityContext=ANY)
RAY_CLUSTER = closed(
    ["rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs"],
    rayVersion=TEXT,
    authOptions=closed(["mode"], mode={"const": "token"}),
    enableInTreeAutoscaling={"const": True},
    autoscalerOptions=AUTOSCALER,
    headGroupSpec=closed(["rayStartParams", "template"], rayStartParams=TEXTS, template=ANY),
    workerGroupSpecs={"type": "array", "minItems": 1, "items": GROUP},
)
RAY_JOB = closed(
    ["entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"],
    entrypoint=TEXT,
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"const": True},
    ttlSecondsAfterFinished=COUNT,
    submitterConfig=closed(["backoffLimit"], backoffLimit=COUNT),
    submitterPodTemplate=ANY,
    rayClusterSpec=RAY_CLUSTER,
)
METADATA = closed(["name", "namespace"], name={"pattern": "^[a-z][-a-z0-9]*$"}, namespace={"const": NAMESPACE})


@pytest.mark.parametrize("document", [d for _, d in OBJECTS if d["kind"].startswith("Ray")], ids=lambda d: d["kind"])
def test_ray_objects_have_the_fields_of_kuberay(document):
    specs = {"RayCluster": RAY_CLUSTER, "RayJob": RAY_JOB}
    version, kind = {"const": "ray.io/v1"}, {"enum": [*specs]}
    spec = specs[document["kind"]]
    schema = closed(
        ["apiVersion", "kind", "metadata", "spec"], apiVersion=version, kind=kind, metadata=METADATA, spec=spec
    )
    jsonschema.validate(document, schema)


def test_every_object_is_in_the_namespace():
    outside = [d for _, d in OBJECTS if d["metadata"].get("namespace") != NAMESPACE]
    assert sorted(d["kind"] for d in outside) == ["Namespace", "PersistentVolume"]
    assert [*of_kind("Namespace")] == [NAMESPACE]


def test_one_image_and_one_ray_everywhere():
    images = {container["image"] for pod in PODS.values() for container in pod["spec"]["containers"]}
    images |= {config["docker"]["image"] for config in LAUNCHED.values()}
    (image,) = images
    assert image.rpartition(":")[2] == PROJECT["version"]
    assert f"--tag {image} " in (CLUSTER / "Dockerfile").read_text()
    assert {cluster["rayVersion"] for cluster in CLUSTERS.values()} == {PINS["ray"]}


def test_what_is_written_several_times_is_the_same():
    rest = [{k: v for k, v in cluster.items() if k != "workerGroupSpecs"} for cluster in CLUSTERS.values()]
    assert all(cluster == rest[0] for cluster in rest)
    assert rest[0]["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    for part in ("gpu", "cpu", "submitter"):
        first, second, *others = [pod for name, pod in PODS.items() if name.endswith(f"-{part}")]
        assert all(pod == first for pod in (second, *others)), part
    for name, group in WORKERS:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"], name


@on_pods
def test_pods_are_restricted(name):
    spec = PODS[name]["spec"]
    assert spec["securityContext"] == SECURITY
    assert SECURITY["runAsNonRoot"] is True
    assert SECURITY["seccompProfile"] == {"type": "RuntimeDefault"}
    containers = [c["securityContext"] for c in spec["containers"]]
    containers += [cluster["autoscalerOptions"]["securityContext"] for cluster in CLUSTERS.values()]
    assert all(c == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}} for c in containers)
    # the head's autoscaler talks to Kubernetes, nothing else does
    assert spec.get("automountServiceAccountToken", True) is name.endswith("-head")
    # nor is a pod used again for another node
    assert spec["restartPolicy"] == "Never"


@on_pods
def test_pods_get_what_they_ask_for(name):
    spec = PODS[name]["spec"]
    (container,) = spec["containers"]
    asked = container["resources"]["requests"]
    assert asked == container["resources"]["limits"]
    assert {"cpu", "memory"} <= set(asked)
    tolerated = [toleration["key"] for toleration in spec.get("tolerations", [])]
    assert ("nvidia.com/gpu" in asked) == ("nvidia.com/gpu" in tolerated) == name.endswith("-gpu")


@on_nodes
def test_the_object_store_fits_into_dev_shm(name):
    (container,) = NODES[name]["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in NODES[name]["spec"]["volumes"]}
    (shm,) = [volumes[m["name"]]["emptyDir"] for m in container["volumeMounts"] if m["mountPath"] == "/dev/shm"]
    size, memory = (float(q.removesuffix("Gi")) for q in (shm["sizeLimit"], container["resources"]["limits"]["memory"]))
    assert shm["medium"] == "Memory"
    assert DEFAULT_OBJECT_STORE_MEMORY_PROPORTION * memory <= size < memory / 2


@pytest.mark.parametrize("storage", ["storage-pvc.yaml", "storage-s3.yaml"])
def test_each_kind_of_storage_has_what_the_nodes_mount(storage):
    claims = of_kind("PersistentVolumeClaim", storage)
    assert claims["abaw"]["spec"]["accessModes"] == ["ReadWriteMany"]
    for name, pod in NODES.items():
        claimed = [volume for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in claimed}
        mounts = {m["mountPath"]: m for m in pod["spec"]["containers"][0]["volumeMounts"] if m["name"] in volumes}
        used = {path: volumes[mount["name"]] for path, mount in mounts.items()}
        assert used == {"/mnt/abaw": "abaw", "/mnt/data": "abaw-data"}, name
        assert set(used.values()) == set(claims)
        assert mounts["/mnt/data"]["readOnly"] is True


def test_only_databases_are_in_s3():
    claims, plain = (
        of_kind("PersistentVolumeClaim", "storage-s3.yaml"),
        of_kind("PersistentVolumeClaim", "storage-pvc.yaml"),
    )
    assert claims["abaw"] == plain["abaw"]
    volume, claim = of_kind("PersistentVolume")["abaw-data"]["spec"], claims["abaw-data"]["spec"]
    assert volume["csi"]["driver"] == "s3.csi.aws.com"
    assert {"read-only", "allow-other", f"uid={SECURITY['runAsUser']}"} <= set(volume["mountOptions"])
    assert volume["accessModes"] == claim["accessModes"] == ["ReadOnlyMany"]
    assert volume["storageClassName"] == claim["storageClassName"] == ""
    assert volume["claimRef"] == {"namespace": NAMESPACE, "name": "abaw-data"}
    assert claim["volumeName"] == "abaw-data"


def test_ray_ports_are_closed_to_other_namespaces_but_for_the_operator_and_prometheus():
    policy = of_kind("NetworkPolicy")["ray"]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"ray.io/is-ray-node": "yes"}}
    assert policy["policyTypes"] == ["Ingress"]
    own, operator, prometheus = policy["ingress"]
    assert own == {"from": [{"podSelector": {}}]}
    label = {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    assert operator["from"] == [{"namespaceSelector": {}, "podSelector": label}]
    assert [port["port"] for port in operator["ports"]] == [8265]
    assert [port["port"] for port in prometheus["ports"]] == [8080]
    monitor = of_kind("PodMonitor")["ray"]["spec"]
    assert monitor["selector"] == policy["podSelector"]
    for pod in NODES.values():
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert ports[monitor["podMetricsEndpoints"][0]["port"]] == 8080


def parsed(name):
    """Verb and parameters of a job's entrypoint, as our command understands them."""
    *command, verb = (words := shlex.split(JOBS[name]["spec"]["entrypoint"]))[:4]
    assert command == ["python", "-m", "abaw_ray"]
    return verb, typer.main.get_command(app).commands[verb].make_context(verb, words[4:]).params


@pytest.mark.parametrize("name", JOBS)
def test_jobs_are_commands_of_ours(name):
    verb, parameters = parsed(name)
    assert (name, JOBS[name]["metadata"]["name"]) == (f"rayjob-{verb}.yaml", f"abaw-{verb}")
    paths = [str(value) for value in parameters.values() if isinstance(value, Path)]
    paths += [text.partition("=")[2] for text in parameters.get("database") or ()]
    # Ray runs jobs in folders of its own
    assert paths
    assert [path for path in paths if not path.startswith(("/mnt/abaw/", "/mnt/data/"))] == []


@pytest.mark.parametrize("name", ["rayjob-distill.yaml", "rayjob-tune.yaml"])
def test_workers_of_a_job_fit_its_nodes(name):
    _, parameters = parsed(name)
    (group,) = CLUSTERS[name]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    # a cluster without nodes yet looks as if it had no GPUs
    assert parameters["gpu"] is True
    assert parameters["cpus_per_worker"] <= int(limits["cpu"])
    assert parameters["workers"] <= group["maxReplicas"] * int(limits["nvidia.com/gpu"])


# --- Slurm

SRUN = """
while [[ $1 == --* ]]; do options+=" $1"; shift; done
echo "srun$options: $*" >> "$NOTES"
exec "$@"
"""
RAY = """
[[ $1 == start ]] || exit 0
trap 'kill $!; echo stopped >> "$NOTES"; exit' TERM
sleep 25 > /dev/null 2>&1 &
echo started >> "$NOTES"
wait
"""
PYTHON = f"""
if [[ $1 == -c ]]; then exec {sys.executable} "$@"; fi
if [[ $1 == - ]]; then  # waits for the nodes
    for _ in {{1..200}}; do [[ $(grep -c started "$NOTES") == 2 ]] && exit; sleep 0.05; done
    exit 1
fi
echo "python $* $RAY_ADDRESS $RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> "$NOTES"
exit "$STATUS"
"""


@pytest.fixture
def slurm(tmp_path):
    """Runs slurm.sh among programs that note what they are asked for; its status, and the notes."""
    notes = tmp_path / "notes"
    notes.touch()
    nodes, address = "printf '%s\\n' node1 node2 node3", "echo 192.0.2.1"
    for name, text in {"scontrol": nodes, "hostname": address, "srun": SRUN, "ray": RAY, "python": PYTHON}.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run(*arguments, status=0):
        job = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_CPUS_PER_TASK": "16"}
        stubs = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(notes), "STATUS": str(status)}
        script = ["bash", str(CLUSTER / "slurm.sh"), *arguments]
        done = subprocess.run(script, env=os.environ | job | stubs, capture_output=True, text=True, timeout=300)
        return done.returncode, notes.read_text()

    return run


@pytest.mark.parametrize("status", [0, 2, 130])
def test_slurm_job_has_the_status_of_the_command(slurm, status):
    found, notes = slurm("train", "--store", "a store", status=status)
    assert found == status
    assert re.search(r"python -m abaw_ray train --store a store 192\.0\.2\.1:2\d{4} token [0-9a-f]{64}\n", notes)


def test_slurm_job_starts_every_node_and_leaves_nothing(slurm):
    _, notes = slurm("demo", "demo")
    # both are started side by side: either may be noted first
    started = [line for line in notes.splitlines() if "ray start" in line]
    head, workers = sorted(started, key=lambda line: "--head" not in line)
    assert {"--nodelist=node1:", "--head"} <= set(head.split())
    assert {"--nodes=2", "--ntasks=2", "--exclude=node1:"} <= set(workers.split())
    assert f"--port={re.search(r'--address=[^ ]+:([0-9]+)', workers)[1]} " in head
    assert notes.count("stopped") == 2
    assert "--nodes=3 --ntasks=3: rm -rf /tmp/ray-123456" in notes


def test_slurm_script_without_a_verb_does_nothing(slurm):
    subprocess.run(["bash", "-n", CLUSTER / "slurm.sh"], check=True)
    assert slurm() == (2, "")


# --- README


def test_readme_names_each_file():
    text = (CLUSTER / "README.md").read_text()
    files = [*MANIFESTS, *LAUNCHED, *(CLUSTER / name for name in ("Dockerfile", "constraints.txt", "slurm.sh"))]
    assert [file.name for file in files if file.name not in text] == []
