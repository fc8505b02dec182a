"""The part of Kubernetes' objects that our manifest uses: a key that is none of it is refused.

The API server of a cluster drops keys that it does not know, with a warning at most.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

Quantity = Annotated[str, Meta(pattern=r"^[0-9]+(m|[KMGT]i)?$")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Absolute = Annotated[str, Meta(pattern=r"^/[^:]+$")]
Id = Annotated[int, Meta(ge=1)]


class Part(Struct, forbid_unknown_fields=True, rename="camel"):
    """An object of which every key is known."""


class Metadata(Part):
    name: Name


class ConfigMap(Part, tag_field="kind", tag="ConfigMap"):
    api_version: Literal["v1"]
    metadata: Metadata
    data: dict[str, str]


class Labels(Part):
    labels: dict[str, str]


class Selector(Part):
    match_labels: dict[str, str]


class SecretReference(Part):
    secret_ref: Metadata


class Capabilities(Part):
    drop: list[str]


class SecurityContext(Part):
    run_as_user: Id
    run_as_group: Id
    allow_privilege_escalation: bool
    capabilities: Capabilities
    read_only_root_filesystem: bool = False


class Command(Part):
    command: list[str]


class Probe(Part):
    exec: Command
    period_seconds: Id
    timeout_seconds: Id
    failure_threshold: Id


class Amounts(Part):
    cpu: Quantity = "0"
    memory: Quantity = "0"
    storage: Quantity = "0"


class Resources(Part):
    requests: Amounts
    limits: Amounts | None = None


class Mount(Part):
    name: Name
    mount_path: Absolute
    read_only: bool = False


class Container(Part):
    name: Name
    image: Annotated[str, Meta(pattern=r"^[a-z-]+:[0-9.]+$")]
    security_context: SecurityContext
    volume_mounts: list[Mount]
    restart_policy: Literal["Always"] | None = None
    env_from: list[SecretReference] = []
    liveness_probe: Probe | None = None
    resources: Resources | None = None


class EmptyDir(Part):
    medium: Literal["Memory"]
    size_limit: Quantity | None = None


class Volume(Part):
    name: Name
    empty_dir: EmptyDir | None = None
    config_map: Metadata | None = None


class Seccomp(Part):
    type: Literal["RuntimeDefault"]


class PodSecurity(Part):
    run_as_non_root: bool
    fs_group: Id
    seccomp_profile: Seccomp


class Pod(Part):
    security_context: PodSecurity
    automount_service_account_token: bool
    termination_grace_period_seconds: Id
    init_containers: list[Container]
    containers: list[Container]
    volumes: list[Volume]


class Template(Part):
    metadata: Labels
    spec: Pod


class ClaimSpec(Part):
    access_modes: list[Literal["ReadWriteOnce"]]
    resources: Resources


class Claim(Part):
    metadata: Metadata
    spec: ClaimSpec


class Workload(Part):
    service_name: Name
    replicas: Id
    selector: Selector
    template: Template
    volume_claim_templates: list[Claim]


class StatefulSet(Part, tag_field="kind", tag="StatefulSet"):
    api_version: Literal["apps/v1"]
    metadata: Metadata
    spec: Workload


def known(documents: list[Any]) -> tuple[ConfigMap, StatefulSet]:
    """Return the objects of a manifest.

    Raises:
        msgspec.ValidationError: a key that is unknown or lacks, or a value that cannot be.
    """
    settings, workload = msgspec.convert(documents, list[ConfigMap | StatefulSet])
    assert isinstance(settings, ConfigMap)
    assert isinstance(workload, StatefulSet)
    return settings, workload


def documents_of(path: Path) -> list[Any]:
    """Return the documents of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))
