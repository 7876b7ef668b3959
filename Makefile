SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.0
BUF         := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOCOL    := $(GO) run $(BUF) build --exclude-source-info

# "make test" fails unless conformance cases ran against all of these.
PROVIDERS    ?= memory,redis,etcd,nats,dapr,gocloud,lmdb
# Packages whose tests start no server: "make check" runs them.
UNIT_PACKAGES ?= . ./internal/batcher ./internal/handle ./internal/telemetry ./internal/await ./internal/dev/importrules \
  ./kv ./pubsub ./providers ./providers/memory ./plugins/internal/... ./cmd/fairlead/internal/...
# Two packages run at once. The longest one comes first. redis comes when the
# tests of RabbitMQ, which run beside them, have ended: so no package runs last
# by itself.
PACKAGES     ?= ./plugins ./cmd/... ./config/... ./providers/redis ./...
# The folder for the data of the tests' servers: in memory where there is room,
# so that a busy disk fails no test. "make test TESTBED_DIR=" uses the disk.
TESTBED_DIR  ?= $(shell [ "$$(df --output=avail -B1G /dev/shm 2>/dev/null | tail -n 1)" -ge 6 ] 2>/dev/null && echo /dev/shm)
TEST_TIMEOUT ?= 35m
BENCH        ?= .
BENCHTIME    ?= 1s
FUZZTIME     ?= 5s
IDLE         ?= 10m

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Get what the tests run: redis-server, rabbitmq-server, Node.js (Debian, as root), etcd, nats-server, daprd
	@.ci/deps
	$(GO) run ./internal/dev/testbed/getservers

.PHONY: build
build: ## Compile everything
	$(GO) build ./...

.PHONY: lint-go
lint-go:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: check
check: lint-go ## For the inner loop: format, vet, staticcheck, unit tests, and the quick profile over memory; no servers
	$(GO) test -race $(UNIT_PACKAGES)
	$(GO) run ./cmd/fairlead conformance mem:// --profile quick

.PHONY: lint
lint: lint-go ## Check the format, go vet, staticcheck, and the plugin protocol
	cd plugins/proto && $(GO) run $(BUF) lint && $(GO) run $(BUF) breaking --against baseline.binpb
	@cd plugins/proto && built=$$(mktemp) && trap 'rm -f "$$built"' EXIT && $(PROTOCOL) -o "$$built#format=binpb" && cmp -s "$$built" baseline.binpb || \
	  { echo "plugins/proto/baseline.binpb lacks an addition to the protocol, so nothing would notice its removal: run \"make protocol\""; exit 1; }

.PHONY: protocol
protocol: ## Add new messages and fields of the plugin protocol to the baseline that lint compares with
	cd plugins/proto && $(GO) run $(BUF) breaking --against baseline.binpb && $(PROTOCOL) -o baseline.binpb

# The plugin gocloud mostly waits for RabbitMQ, so it is tested beside the rest.
# It is compiled first, so that nothing large is compiled while tests run.
# GORACE: without it, every program sleeps for a second at its end.
.PHONY: test
test: export FAIRLEAD_TESTBED_DIR := $(TESTBED_DIR)
test: export GORACE := atexit_sleep_ms=0
test: deps lint test-kubernetes build-gocloud ## Lint and run all tests with the race detector, on real servers
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	{ \
	  (cd cmd/fairlead-gocloud && $(GO) test -race -count=1 ./...) >"$$log" 2>&1 & gocloud=$$!; \
	  $(GO) test -json -race -count=1 -timeout $(TEST_TIMEOUT) $(PACKAGES) || true; \
	  wait $$gocloud && passed=0 || passed=1; cat "$$log"; exit $$passed; \
	} | $(GO) run ./internal/dev/testsummary -providers "$(PROVIDERS)"

.PHONY: test-kubernetes
test-kubernetes: ## Check the manifests of examples/kubernetes (a separate module)
	cd examples/kubernetes/check && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) test -race -count=1 ./...

.PHONY: build-gocloud
build-gocloud: ## Lint the plugin gocloud (a separate module), and compile its tests
	cd cmd/fairlead-gocloud && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) test -race -run '^$$' ./...

.PHONY: test-gocloud
test-gocloud: build-gocloud ## Test the plugin gocloud: RabbitMQ, and gocloud.dev's own suites
	cd cmd/fairlead-gocloud && $(GO) test -race -count=1 ./...

.PHONY: tidy
tidy: ## Tidy every go.mod; the separate modules follow the main one
	@for mod in $$(git ls-files 'go.mod' '*/go.mod'); do echo "$$mod"; (cd "$$(dirname "$$mod")" && $(GO) mod tidy) || exit 1; done

.PHONY: generate
generate: ## Run go generate
	$(GO) generate ./...

.PHONY: bench
bench: deps ## Run the benchmarks; BENCH=regexp and PACKAGES=… narrow them down
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem $(PACKAGES)

.PHONY: bench-plugins
bench-plugins: deps ## Compare the ways to a provider: linked in, plugin, sidecar, plain go-plugin
	$(GO) run ./internal/dev/pluginbench $(BENCHFLAGS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@for dir in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u); do \
	  targets=$$($(GO) test -list '^Fuzz' "$$dir" | grep '^Fuzz'); \
	  for target in $$targets; do \
	    echo "$$dir $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir"; \
	  done; \
	done

.PHONY: mutate
mutate: export FAIRLEAD_TESTBED_DIR := $(TESTBED_DIR)
mutate: deps ## Make small breaks in the code, run for each the test that must fail, and write docs/breaks.md; WORDS=… selects, and writes nothing
	$(GO) run ./internal/dev/mutate $(WORDS)

.PHONY: torture
torture: ## Tests that take long: every case over a provider whose calls take 300 ms; IDLE=10m of idle servers
	$(GO) test -tags torture -count=1 -timeout 60m -run 'Slow|Soak' ./conformance/...
	$(GO) test -tags torture -count=1 -timeout 60m ./internal/dev/soak -idle $(IDLE)

.PHONY: clean
clean: ## Remove built files
	rm -rf bin dist
	find . \( -name '*.test' -o -name '*.prof' \) -type f -delete
