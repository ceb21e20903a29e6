module fairlead.dev/tests/cluster/tools/prometheus-operator

go 1.26.0

// Not built: its CRDs are what tests apply.
require github.com/prometheus-operator/prometheus-operator v0.85.0
