"""From a key in the work queue to the cluster: gather what is observed, ask `reconcile`, apply its answer."""
