"""What the pod's NetworkPolicy lets it reach."""

from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel, ListType
from fairlead_api.networks import Cidr


class NetworkPolicy(ApiModel):
    """What the pod may reach, where the operator makes NetworkPolicies.

    That is the SSH server that it logs in to first, that is, the host or the first of its jump hosts. All else goes
    through the SSH connection.
    """

    rules = (Cel("has(self.egressCIDRs) || has(self.egressPorts)", "is empty: set egressCIDRs, or remove it"),)

    egress_cidrs: Annotated[
        tuple[Cidr, ...] | None,
        Field(
            alias="egressCIDRs",
            min_length=1,
            max_length=32,
            description="Networks that the first server's address is in. Absent: the address itself where it is an IP"
            " address, any address where it is a name.",
        ),
        ListType("set"),
    ] = None
    egress_ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...] | None,
        Field(
            min_length=1,
            max_length=8,
            description="TCP ports that the first server's pod listens on, where its address is that of a Service of"
            " this cluster with another port. Absent: the port of the address.",
        ),
        ListType("set"),
    ] = None
