"""What dbt's manifest says about people: the contract of each model and snapshot, and the layers that keep consent from being skipped."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from privacy.contracts import AssetContract, ContractError

__all__ = ["LayeringError", "check_layers", "contract_of", "layering_faults", "models"]

Node = Mapping[str, Any]
LAYERS = ("staging", "intermediate", "marts", "snapshots")
_BUILT = frozenset({"model", "snapshot"})
CONSENT_FILTER = "macro.selvedge.consented"
OBJECTION_FILTERS = frozenset({CONSENT_FILTER, "macro.selvedge.not_withheld"})
_SHOP = "source.selvedge.shop."
_GOODS = frozenset({"products", "inventory"})
_JINJA_COMMENT = re.compile(r"\{\#.*?\#\}", re.DOTALL)
_JINJA = re.compile(r"\{[\{%](?P<inner>.*?)[%\}]\}", re.DOTALL)
_UNREAD = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_RELATION = re.compile(
    r"""(?<!\w)"?(?P<schema>shop|staging|intermediate|marts|snapshots|vault|consent|requests|audit)"?\s*\.\s*["\w]""",
    re.IGNORECASE,
)


class LayeringError(ValueError):
    """A model reads past the consent filter; names the models and the rule."""


def models(manifest: Mapping[str, Any]) -> Iterator[Node]:
    """Every model of the project, snapshots among them."""
    return (node for node in manifest["nodes"].values() if node["resource_type"] in _BUILT)


def contract_of(node: Node) -> AssetContract:
    """The contract of a model: its `meta.contract` over its folder's `contract_defaults`, and the tags in its columns' `meta.holds`.

    Key, description and store come from the model itself. Raises ContractError where no contract is declared or the
    result contradicts itself.
    """
    meta, name = node["config"]["meta"], f"{node['schema']}/{node['name']}"
    if "contract" not in meta:
        raise ContractError(
            f"The dbt model {name} has no contract: declare `config.meta.contract` in its YAML."
        )
    declared = {**meta.get("contract_defaults", {}), **meta["contract"]}
    try:
        contract = AssetContract.model_validate(
            _applicable(declared) | _facts(node, name) | _tags(node)
        )
    except ValidationError as error:
        raise ContractError(
            f"The contract of the dbt model {name} is not valid: {error}"
        ) from error
    if contract.holds_subjects and contract.subject not in node["columns"]:
        raise ContractError(
            f"The contract of the dbt model {name} names the subject column '{contract.subject}', which it has not."
        )
    return contract


def _tags(node: Node) -> dict[str, Any]:
    """Tags of the columns that say in `config.meta.holds` what they may hold."""
    metas = {name: column.get("meta", {}) for name, column in node["columns"].items()}
    return {"columns": {name: meta["holds"] for name, meta in metas.items() if "holds" in meta}}


def _facts(node: Node, name: str) -> dict[str, Any]:
    view = node["config"]["materialized"] == "view"
    return {
        "key": name,
        "description": node["description"],
        "store": {
            "kind": "postgres",
            "schema_name": node["schema"],
            "table": node["name"],
            "is_view": view,
        },
    }


def _applicable(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declared fields without those a folder's defaults give and the model's category has no use for."""
    unused: set[str] = set()
    if declared.get("category") == "none":
        unused = {"purposes", "legal_basis", "retention", "subject", "withhold"}
    elif declared.get("category") == "aggregate":
        unused = {"subject", "withhold"}
    return {field: value for field, value in declared.items() if field not in unused}


def _macros_of(manifest: Mapping[str, Any], node: Node) -> set[str]:
    """Ids of the macros that a model calls, through other macros too."""
    found: set[str] = set()
    waiting = list(node["depends_on"]["macros"])
    while waiting:
        macro = waiting.pop()
        if macro not in found:
            found.add(macro)
            waiting += manifest["macros"][macro]["depends_on"]["macros"]
    return found


def layering_faults(manifest: Mapping[str, Any]) -> list[str]:
    """One sentence for each model that reads past the consent filter; empty where the layers hold.

    Staging reads sources alone. Whatever else reads people's data that no filter has passed calls the filter itself, also
    where it holds groups alone: who refused is counted in none. An intermediate model that holds subjects is named
    ``…__consented``. A mart reads consent-filtered intermediates, or staging about goods. Everything that holds a subject
    leaves out those who objected to it. A snapshot keeps what was, and so reads staging about goods alone. No model names a
    relation itself, which would be in nobody's lineage.
    """
    known = {node["unique_id"]: node for node in models(manifest)}
    unfiltered = _unfiltered(manifest, known)
    faults: list[str] = []
    for node in known.values():
        inputs = [known[parent] for parent in node["depends_on"]["nodes"] if parent in known]
        macros = _macros_of(manifest, node)
        faults += _faults_of_inputs(node, inputs, unfiltered)
        faults += _faults_of_filters(node, inputs, macros, unfiltered)
        faults += _faults_of_sources(node, known)
        faults += _faults_of_literals(node)
    return sorted(faults)


def _unfiltered(manifest: Mapping[str, Any], known: Mapping[str, Node]) -> set[str]:
    """Ids of the models with people's data that no consent filter has passed, whatever category they declare."""

    def reads_people(node: Node) -> bool:
        if node["schema"] == "staging":
            return contract_of(node).category != "none" or bool(_sources_about_people(node))
        if CONSENT_FILTER in _macros_of(manifest, node):
            return False
        return any(
            reads_people(known[name]) for name in node["depends_on"]["nodes"] if name in known
        )

    return {name for name, node in known.items() if reads_people(node)}


def _sources_about_people(node: Node) -> list[str]:
    parents = node["depends_on"]["nodes"]
    return [
        name
        for name in parents
        if name.startswith(_SHOP) and name.removeprefix(_SHOP) not in _GOODS
    ]


def _faults_of_inputs(node: Node, inputs: list[Node], unfiltered: set[str]) -> Iterator[str]:
    layer, name = node["schema"], node["name"]
    if layer not in LAYERS:
        yield f"{name} lies in '{layer}': models lie in {', '.join(LAYERS)}"
    if (layer == "snapshots") is not (node["resource_type"] == "snapshot"):
        yield f"{name} lies in '{layer}': snapshots, and nothing else, lie in 'snapshots'"
    for source in inputs:
        personal = contract_of(source).category != "none"
        consented = source["schema"] == "intermediate" and source["name"].endswith("__consented")
        if layer == "staging":
            yield f"{name} (staging) reads {source['name']}: staging reads sources alone"
        elif node["resource_type"] == "snapshot" and (
            source["schema"] != "staging" or source["unique_id"] in unfiltered
        ):
            yield f"{name} (snapshot) reads {source['name']}: a snapshot reads staging about goods alone"
        elif layer == "intermediate" and source["schema"] == "marts":
            yield f"{name} (intermediate) reads the mart {source['name']}"
        elif layer == "marts" and (
            source["unique_id"] in unfiltered or (personal and not consented)
        ):
            yield f"{name} (marts) reads {source['name']}, which no consent filter has passed"


def _faults_of_filters(
    node: Node, inputs: list[Node], macros: set[str], unfiltered: set[str]
) -> Iterator[str]:
    contract, name = contract_of(node), node["name"]
    if node["schema"] == "intermediate" and CONSENT_FILTER not in macros:
        past = sorted(source["name"] for source in inputs if source["unique_id"] in unfiltered)
        if past:
            yield f"{name} reads {', '.join(past)} and does not call the macro consented"
        elif contract.holds_subjects:
            yield f"{name} holds subjects and does not call the macro consented"
    if not contract.holds_subjects:
        return
    if node["schema"] == "intermediate" and not name.endswith("__consented"):
        yield f"{name} holds subjects and is not named {name}__consented"
    if not OBJECTION_FILTERS & macros:
        yield f"{name} holds subjects and does not leave out those who objected to it"


def _faults_of_sources(node: Node, known: Mapping[str, Node]) -> Iterator[str]:
    for name in node["depends_on"]["nodes"]:
        if name.startswith(_SHOP) and node["schema"] != "staging":
            yield f"{node['name']} reads {name.removeprefix('source.selvedge.')}: only staging reads the shop's tables"
        elif name.startswith("source.") and node["resource_type"] == "snapshot":
            yield f"{node['name']} (snapshot) reads {name.removeprefix('source.selvedge.')}: a snapshot reads staging about goods alone"
        elif name not in known and not name.startswith(("source.", "seed.")):
            yield f"{node['name']} reads {name}, which is neither a model nor a source: no layer is known of it"


def _faults_of_literals(node: Node) -> Iterator[str]:
    found = {match["schema"].lower() for match in _RELATION.finditer(_said(node["raw_code"]))}
    for schema in sorted(found):
        yield (
            f"{node['name']} names a relation of '{schema}' itself, which no lineage and no filter sees: use ref() or source(), "
            "and no alias of that name"
        )


def _said(code: str) -> str:
    """What `code` may read: Jinja's blocks whole, as their texts may become names, and SQL without comments and strings."""
    code = _JINJA_COMMENT.sub(" ", code)
    blocks = [match["inner"] for match in _JINJA.finditer(code)]
    return "\n".join([*blocks, _UNREAD.sub(" ", _JINJA.sub(_as_name, code))])


def _as_name(block: re.Match[str]) -> str:
    """The text that a block of nothing but a text becomes; any other block as one word."""
    text = re.fullmatch(r"""[\s-]*(['"])(\w+)\1[\s-]*""", block["inner"])
    return text[2] if text else "jinja"


def check_layers(manifest: Mapping[str, Any]) -> None:
    """Raise LayeringError, naming every fault, where the layers do not hold."""
    faults = layering_faults(manifest)
    if faults:
        raise LayeringError("The dbt project breaks its layers: " + "; ".join(faults) + ".")
