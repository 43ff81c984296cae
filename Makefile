# Everything that is done with this repository, one target each; `make` alone lists them.

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
# The image holds no libraries.
STATIC := RUSTFLAGS="-C target-feature=+crt-static"
BINARY := target/$(TARGET)/release/fairway

export VERSION
export FAIRWAY_BINARY := $(abspath $(BINARY))
export HARBOR_STAND_IN := $(abspath target/$(TARGET)/release/harbor-stand-in)

.DEFAULT_GOAL := help
include tests/cluster/cluster.mk

.PHONY: help
help: ## Print the targets
	@echo "Fairway $(VERSION): make TARGET"
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## A cluster, the operator in it, a load balancer that answers and a registry that keeps an image; a second run takes seconds
	@tests/demo/demo

.PHONY: binary
binary: ## The static program that goes into the image
	$(STATIC) cargo build --release --locked --target $(TARGET)

.PHONY: stand-in
stand-in: ## The static program that plays Harbor's in tests
	$(STATIC) cargo build --release --locked --target $(TARGET) --package harbor-stand-in

.PHONY: test test-pure test-harbor test-api test-e2e
test: lint test-pure test-harbor test-api test-e2e ## Every tier of tests, from the fastest to the slowest

test-pure: ## Tests that need no cluster (HAProxy itself is the judge of configurations, in two versions)
	tests/support/packages haproxy
	cargo test --locked --lib --bins --test engine --test plan --test model --test release
	cargo test --locked --test agent -- --test-threads 6
	export PATH="$$(tests/support/haproxy-3.0):$$PATH" && \
		cargo test --locked --test plan && cargo test --locked --test agent -- --test-threads 6

test-harbor: ## Tests of what stands in for Harbor, and of clients, on a real PostgreSQL, Redis, registry and S3 server
	tests/support/packages postgresql-15 redis-server skopeo
	programs=$$(tests/cluster/cluster programs distribution s3) && \
		export PATH="$$programs:$$PATH" && \
		cargo test --locked --package harbor-stand-in -- --test-threads 5 && \
		cargo build --locked --package harbor-stand-in && \
		cargo test --locked --test clients -- --test-threads 4

test-api: ## Tests on a real etcd and kube-apiserver alone
	tests/support/packages postgresql-15 redis-server
	cargo test --locked --test api -- --test-threads 2

test-e2e: test-catalogs harbor-images ## Tests on real nodes with real traffic
	tests/cluster/cluster up
	cargo test --locked --test e2e -- --test-threads 3

.PHONY: generate
generate: ## Write CRDs, roles, reference pages and the package for OLM from the code
	cargo run --quiet --locked -- generate

# Where `make images` leaves the names of images by digest.
DIGESTS = $(or $(IMAGE_DIGESTS),$(or $(FAIRWAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairway)/images/digests)
digest = $(or $(shell awk '$$1 ~ /\/$(1):/ { print $$2 }' $(DIGESTS) 2>/dev/null),$(error no images were pushed yet: make images))

# What is in place of the images that registries are made of, a line for each: `make pin-images` writes the digests of
# the public ones for a release. Without it they are named by tag.
RELATED_IMAGES =
related = $(if $(RELATED_IMAGES),$(addprefix --related-image ,$(or $(shell cat $(RELATED_IMAGES)),$(error no images are pinned yet: make pin-images))))

.PHONY: pin-images
pin-images: ## Write the digests of the public images that registries are made of, as they are now, into catalog/images
	tests/support/packages skopeo
	catalog/pin catalog/images

.PHONY: bundle
bundle: images ## Write the package for OLM, with images by digest, into target/bundle
	rm -rf target/bundle
	$(BINARY) generate bundle --output target/bundle \
		--fairway-image $(call digest,fairway) --haproxy-image $(call digest,haproxy) $(related)
	cd tests/olm/validate && go run . ../../../target/bundle

.PHONY: catalog
catalog: bundle ## Make the catalog and its image, and push it with the bundle's, into target/catalog
	$(CLUSTER_TOOL) catalog target/catalog catalog/releases.yaml target/bundle

.PHONY: test-catalogs
test-catalogs: bundle ## Make what the tests install by OLM: catalogs of this version, of a next, and of one that is broken
	tests/olm/catalogs

.PHONY: publish
publish: binary ## Push images and bundle of this version, if that was not done yet, and the catalog to IMAGE_REGISTRY
	@[ -n "$(IMAGE_REGISTRY)" ] || { echo "say where: make publish IMAGE_REGISTRY=HOST/PREFIX" >&2; exit 1; }
	@if [ -e catalog/bundles/fairway.v$(VERSION).yaml ]; then \
		$(CLUSTER_TOOL) catalog target/catalog catalog/releases.yaml; \
	else \
		$(MAKE) --no-print-directory catalog RELATED_IMAGES=catalog/images && \
		cp target/catalog/configs/fairway/fairway.v$(VERSION).yaml catalog/bundles/ && \
		echo "commit catalog/bundles/fairway.v$(VERSION).yaml: later catalogs need it"; \
	fi

# What release and promote need to be told.
told = $(if $(filter command line,$(origin $(1))),$($(1)),$(error say which: $(1)=))

.PHONY: release
release: ## Make the release VERSION=x.y.z on this branch, offered in candidate-v1: one commit, one tag, nothing pushed
	@: $(call told,VERSION)
	cargo build --quiet --locked
	@catalog/release version "$(VERSION)"

.PHONY: promote
promote: ## Offer VERSION=x.y.z in CHANNEL=fast-v1 or stable-v1 as well: one commit, nothing pushed
	@: $(call told,VERSION) $(call told,CHANNEL)
	cargo build --quiet --locked
	@catalog/release promote "$(VERSION)" "$(CHANNEL)"

.PHONY: operatorhub
operatorhub: RELATED_IMAGES = catalog/images
operatorhub: bundle ## Write what OperatorHub's repository takes, into target/operatorhub
	rm -rf target/operatorhub
	mkdir -p target/operatorhub/operators/fairway/$(VERSION)
	cp config/bundle/ci.yaml target/operatorhub/operators/fairway/
	cp -r target/bundle/manifests target/bundle/metadata target/bundle/tests target/operatorhub/operators/fairway/$(VERSION)/
	cd tests/olm/validate && go run . ../../../target/operatorhub/operators/fairway/$(VERSION)

.PHONY: lint
lint: ## Format, clippy, shell scripts, generated files, and the package by OperatorHub's own rules
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo run --quiet --locked -- generate --check
	cd tests/olm/validate && go vet ./... && go test -count 1 ./... && go run . ../../../bundle
	tests/support/packages shellcheck
	shellcheck --external-sources --source-path SCRIPTDIR $$(grep -rlE '^#!(/usr/bin/env bash|/bin/bash|/bin/sh)' tests catalog .ci)

.PHONY: deny
deny: ## Licences and sources of dependencies, and what must not be among them (installs cargo-deny once)
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --all-features check licenses bans sources

.PHONY: bench bench-first-request bench-olm bench-harbor bench-harbor-fleet
bench: ## Measure, next to the floor that the machine allows
	tests/support/packages haproxy
	@# In memory, as in a pod.
	TMPDIR=/dev/shm $(STATIC) cargo bench --locked --target $(TARGET) --bench plan --bench change --bench certificate \
		--bench handwritten --bench loss --bench members --bench class
	$(MAKE) --no-print-directory bench-harbor-fleet bench-first-request bench-harbor bench-olm

bench-first-request: images ## Measure a load balancer's start against a bare pod's, on the test cluster
	tests/cluster/cluster up
	$(STATIC) cargo bench --locked --target $(TARGET) --bench first_request

bench-olm: test-catalogs ## Measure installing and upgrading by OLM, on the test cluster
	tests/cluster/cluster up
	$(STATIC) cargo bench --locked --target $(TARGET) --bench olm

bench-harbor: images harbor-images ## Measure a registry's start against its bare pods', and push and pull through it, on the test cluster
	tests/cluster/cluster up
	$(STATIC) cargo bench --locked --target $(TARGET) --bench harbor

bench-harbor-fleet: ## Measure what a thousand idle registries cost, on a real API server with simulated nodes
	tests/support/packages postgresql-15 redis-server
	tests/cluster/cluster programs etcd kubernetes kwok
	TMPDIR=/dev/shm $(STATIC) cargo bench --locked --target $(TARGET) --bench harbor_fleet
