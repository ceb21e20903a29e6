.PHONY: cluster cluster-choice cluster-down cluster-binaries cluster-env cluster-test images

cluster-binaries: venv ## build the cluster's programs from pinned source (20 minutes the first time)
	@$(PYTHON) -m tests.cluster binaries

cluster: venv ## bring up the real one-node cluster (CLUSTER=own|kind|current)
	@$(PYTHON) -m tests.cluster up

cluster-choice: venv # which cluster the tests would use
	@$(PYTHON) -m tests.cluster choice

cluster-down: venv ## remove every trace of the cluster
	@$(PYTHON) -m tests.cluster down

cluster-env: ## print shell exports: eval "$$(make -s cluster-env)"
	@$(PYTHON) -m tests.cluster env

images: venv ## build the operator, sidecar and test host images and load them into the cluster
	@$(PYTHON) -m tests.cluster images

cluster-test: venv ## test the own cluster itself, on clusters of its own (a minute)
	@$(PYTHON) -m tests.cluster binaries
	@$(PYTHON) -m pytest tests/cluster
