"""The real cluster that tests, demo and benchmarks run on.

For people: `make cluster`, `make cluster-env`, `make images`, `make cluster-down`. `CLUSTER=own|kind|current`
chooses the kind: an own one where you are root on Linux, else kind where a container engine is at hand; `current`,
the context of your kubeconfig, only when asked for.

For programs, once it is up:

    from tests.cluster import describe
    from tests.cluster.images import load
    from tests.cluster.state import State

    cluster = describe()  # kubeconfig, kubectl, helm, URLs of the Ingress ...: see `state.Description`
    subprocess.run([cluster.kubectl, "get", "nodes"], env=os.environ | cluster.environment)
    images = load.ensure(State.of_checkout())  # {"operator": "localhost/fairlead/operator:KEY", "sidecar": ...}

The same as JSON: `python -m tests.cluster describe`, or `cluster.json` in the state directory. Images are loaded by
hand, hence `imagePullPolicy: IfNotPresent`. `sshhost` has manifests of a host to log in to.

How the own cluster is made: one process holds a pid, a mount and a network namespace (`namespaces`, `node`); in
them run etcd and the control plane (`controlplane`), containerd, kubelet and kube-proxy (`node`), and as pods
CoreDNS and traefik (`addons`). There is no way out of the network namespace; a relay (`relay`) on this machine's
loopback is the way in, to the API server and to the Ingress. Pods reach the Ingress at the same ports as
`ingress.test`. Of other addresses all are unreachable at once, except for 203.0.113.0/24, from which nothing ever
answers. NetworkPolicy is accepted and not enforced.
"""

from tests.cluster.state import Description, State

__all__ = ["Description", "describe"]


def describe() -> Description:
    """Describe the cluster of this checkout that is up.

    Raises tests.cluster.console.ClusterError when none is.
    """
    return State.of_checkout().describe()
