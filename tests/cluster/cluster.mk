# Targets of the test cluster; the top-level Makefile includes this and defines `binary`, `stand-in` and VERSION.
CLUSTER_TOOL := $(dir $(lastword $(MAKEFILE_LIST)))cluster

.PHONY: cluster cluster-down images harbor-images
cluster: ## Bring up a Kubernetes cluster on this machine (CLUSTER=existing: check the one of KUBECONFIG)
	$(CLUSTER_TOOL) up

cluster-down: ## Take the test cluster down and check that nothing is left
	$(CLUSTER_TOOL) down

images: binary ## Build the images and push them to the test cluster's registry, or to IMAGE_REGISTRY
	VERSION=$(VERSION) $(CLUSTER_TOOL) images

harbor-images: stand-in ## Build the images that Harbor is tested on, and push them likewise
	$(CLUSTER_TOOL) harbor-images
