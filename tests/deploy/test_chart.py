"""The chart: its values keep to their schema, its templates ask for values that there are, and it renders."""

import itertools
import json
import re

import pytest
import yaml
from tests.deploy.deployed import ALERTS, CHART, DASHBOARD, DEPLOY, helm
from tests.deploy.test_images import PORTS, STAGES, all_of, flags, help_of

import soonest
from soonest.core import PolicyError
from soonest.gateway.settings import Settings, check
from soonest.policies import policy
from soonest.policies.registry import BUILT_IN

VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").iterdir())}
FULL = {
    "keys": {"existingSecret": "keys"},
    "engineKey": {"existingSecret": "engine"},
    "predictor": {"existingClaim": "forecasts"},
    "journal": {"kind": "file"},
    "flags": ["--max-waiting=1000"],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
}
SHARED = {"journal": {"kind": "postgres", "existingSecret": "journal"}, "replicaCount": 3}
WRONG = [
    {"engines": []},
    {"engines": ["http://user:password@vllm:8000"]},
    {"mode": "both"},
    {"polices": "fcfs"},
    {"journal": {"kind": "postgres"}},
    {"journal": {"kind": "file"}, "replicaCount": 2},
    {"mode": "priority"},
    {"mode": "priority", "policy": "shortest", "flags": ["--in-flight=4"]},
]
ORDERS = [words for name in BUILT_IN for words in (name, f"aging({name})", f"aging( aging({name}, rate=5) )")]


def leaves(values, path=()):
    """Every value that is no mapping of the chart's own, with its path."""
    for name, value in values.items():
        if isinstance(value, dict) and value and "properties" in schema_of((*path, name)):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def schema_of(path):
    found = SCHEMA
    for name in path:
        found = found["properties"][name]
    return found


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["name"] == "soonest"
    assert chart["appVersion"] == soonest.__version__


def test_every_value_has_a_type_in_the_schema_and_is_used():
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    used = {tuple(name.split(".")) for text in TEMPLATES.values() for name in re.findall(r"\.Values\.([\w.]+)", text)}
    for path, value in leaves(VALUES):
        rule = schema_of(path)
        assert value in rule["enum"] if "enum" in rule else type(value) is kinds[rule["type"]]
        assert path in used
    assert used <= {path for path, _ in leaves(VALUES)}


def test_the_schema_knows_no_other_values():
    def objects(schema, path=()):
        if "properties" in schema:
            yield path, schema
            yield from (found for name, one in schema["properties"].items() for found in objects(one, (*path, name)))

    for path, schema in objects(SCHEMA):
        there = VALUES
        for name in path:
            there = there[name]
        assert schema["additionalProperties"] is False
        assert set(schema["properties"]) - {"global"} == set(there)
        assert set(schema["required"]) - {"global"} == set(there)


def test_flags_and_variables_of_the_chart_exist():
    text = TEMPLATES["deployment.yaml"]
    known, variables = help_of("serve")
    named = flags(re.findall(r"--[a-z-]+(?==)", text))
    assert {"--engine", "--keys", "--predictor"} <= named <= known
    assert "SOONEST_SERVE_HOST" in re.findall(r"SOONEST_\w+", text)
    assert set(re.findall(r"name: (SOONEST_\w+)", text)) <= variables


def test_the_pod_is_what_the_image_is():
    text = TEMPLATES["deployment.yaml"]
    assert f"runAsUser: {all_of('gateway', 'USER')[-1].partition(':')[0]}" in text
    assert f"containerPort: {PORTS['gateway']}" in text
    (journal,) = [rest for word, rest in STAGES["gateway"] if word == "ENV" and "JOURNAL" in rest]
    assert f"value: {journal.partition('=')[2]}" in text


def test_alerts_and_dashboard_are_those_of_deploy():
    assert (CHART / "files" / "alerts.yml").resolve() == ALERTS
    assert (CHART / "files" / "dashboard.json").resolve() == DASHBOARD
    assert set(re.findall(r'Files\.Get "(\S+)"', TEMPLATES["monitoring.yaml"])) == {
        path.relative_to(CHART).as_posix() for path in (CHART / "files").iterdir()
    }


def rendered(values):
    """Each kind of object that the chart makes of these values."""
    _, (made,) = helm(CHART, values)
    assert isinstance(made, dict), made
    files = [text for name, text in made.items() if name.endswith(".yaml")]
    return {one["kind"]: one for one in itertools.chain(*map(yaml.safe_load_all, files)) if one}


def test_helm_finds_nothing_wrong():
    assert helm(CHART) == ([], [])


@pytest.mark.parametrize("values", [{}, FULL, SHARED], ids=["default", "full", "shared"])
def test_the_chart_renders(values):
    made = rendered(values)
    wanted = {"PersistentVolumeClaim", "ServiceMonitor", "PrometheusRule", "ConfigMap"} if values is FULL else set()
    assert made.keys() == {"Deployment", "Service"} | wanted
    (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["serve", "--engine=http://vllm:8000"]
    assert ("--keys=/etc/soonest/keys/keys.toml" in container["args"]) is (values is FULL)
    if values is FULL:
        assert made["PrometheusRule"]["spec"] == yaml.safe_load(ALERTS.read_text())
        assert json.loads(made["ConfigMap"]["data"]["soonest.json"]) == json.loads(DASHBOARD.read_text())


def test_wrong_values_are_refused():
    _, made = helm(CHART, *WRONG)
    assert [values for values, found in zip(WRONG, made, strict=True) if isinstance(found, dict)] == []


def test_the_chart_takes_in_priority_mode_the_policies_that_the_gateway_takes():
    _, made = helm(CHART, *({"mode": "priority", "policy": words} for words in ORDERS))
    taken = [words for words, found in zip(ORDERS, made, strict=True) if isinstance(found, dict)]
    assert taken == [words for words in ORDERS if starts(words)]
    assert {"fcfs", "aging(shortest)"} <= set(taken) < set(ORDERS)


def starts(words):
    """Whether a gateway in priority mode starts with this policy."""
    try:
        check(Settings(engines=("http://vllm:8000",), policy=words, mode="priority"), policy(words))
    except PolicyError:
        return False
    return True


def test_a_pod_is_ready_while_its_gateway_is_not_stopping():
    (container,) = rendered({})["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready/gateway"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


def test_a_rollout_is_a_gap_with_a_journal_in_a_file_alone_and_that_is_said():
    for journal, gap in (({"kind": "file"}, True), (SHARED["journal"], False), ({"kind": "none"}, False)):
        spec = rendered({"journal": journal, "drainSeconds": 50})["Deployment"]["spec"]
        assert (spec.get("strategy") == {"type": "Recreate"}) is gap
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 80
    (beside,) = re.findall(r"journal:\n((?:  #.*\n)+)  kind:", (CHART / "values.yaml").read_text(encoding="utf-8"))
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
    for said in (beside, page):
        assert {"drainSeconds", "SIGHUP"} <= set(re.findall(r"\w+", said))
    assert "`Recreate`" in page


def test_what_is_deployed_is_shipped():
    listed = (DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '    "deploy",\n' in listed
