# Everything here needs Go and nothing else, unless its line says so.
GO      ?= go
BIN     := bin
TOOLS   := $(CURDIR)/bin/tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# One way of compiling for programs and tests, so that both use what the other has
# compiled; it also makes the programs static. The race detector needs cgo.
export CGO_ENABLED := 0
LDFLAGS := -s -w -X signpost/internal/version.Version=$(VERSION)

# Tools of the developers, at fixed versions; built on first use.
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF       := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTO_GO  := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTO_RPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
PROTO_GW  := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.32.0
PROTO_OAS := github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3@v2.32.0

.DEFAULT_GOAL := help
.PHONY: help run build test race e2e interop chaos bench fuzz lint proto clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: build ## start everything on this machine and print lines to paste
	@$(BIN)/signpost-dev

build: ## build all programs into bin/
	@mkdir -p $(BIN)
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/... ./test/cmd/...

# Programs of tests are linked without what debuggers want, and looked through by make lint:
# a machine that has compiled nothing yet waits for both.
TESTS := -vet=off -ldflags '-s -w'

test: ## all tests that need nothing but Go
	$(GO) test $(TESTS) -timeout 20m ./...

race: ## all tests with the race detector
	CGO_ENABLED=1 $(GO) test $(TESTS) -race -timeout 30m ./...

e2e: ## three etcd, two coredns and two signpostd as real processes, and faults; open, and with certificates and roles
	$(GO) test -count=1 -v -run 'TestProduction|TestClosedEtcd' ./test/...

interop: PEERS ?= 500
interop: SEED ?= 0
interop: ## the same answers as BIND, Knot and NSD on PEERS random zones (of SEED, or new ones), login at npm's oidc-provider, ddclient, inadyn, curl and dig (root installs them), and what other clients ask, replayed
	$(GO) test -count=1 -v -timeout 30m -run 'TestPeersSayTheSame' ./test/diff -args -peers $(PEERS) -peers-seed $(SEED)
	$(GO) test -count=1 -v -run 'TestPeopleLogInAtARealProvider' ./test/oidcprovider -args -interop
	$(GO) test -count=1 -v -run 'TestDdclient|TestInadyn|TestCurl|TestReplay|TestTheLines' -timeout 10m ./test/clients -args -interop

KILLS ?= 1000
IMPORT_KILLS ?= 100
chaos: ## control services killed KILLS times in mid-call, in process and as processes, and IMPORT_KILLS times in an import; monitors cut off (root); clocks that jump
	$(GO) test -count=1 -v -timeout 60m -run 'TestOneChangeIsOneChange' ./test -args -kills $(KILLS)
	$(GO) test -count=1 -v -timeout 30m -run 'TestAKilledImport' ./test -args -import-kills $(IMPORT_KILLS)
	$(GO) test -count=1 -v -timeout 10m -run 'TestMonitorsAreCutOff' ./test -args -netns
	GOFLAGS=-overlay=$$($(GO) run ./test/clocks) CLOCK_JUMPS=3 $(GO) test -count=1 -v -timeout 30m -run 'TestFailover$$|TestHeartbeatsOfAgents' ./test

SIZES  ?= 1000,100000
GROWTH ?= 1000,100000
NAMES  ?= 100000
ROUNDS ?= 5
JSON   ?= $(BIN)/bench-$(NAMES).json
BENCH  ?=
bench: build ## the figures of docs/benchmarks.md; root installs the servers of others; NAMES= ROUNDS= PEERS=nsd,ours SIZES= GROWTH=
	$(GO) test -count=1 -v -timeout 40m -run 'TestSize' ./test/size -args -size $(SIZES)
	$(GO) test -count=1 -v -timeout 60m -run 'TestGrowth' ./test/size -args -growth $(GROWTH)
	$(GO) test -run '^$$' -bench . -benchmem ./internal/zone
	$(GO) test -count=1 -v -run 'TestCostPerQuery' ./plugin -args -cost
	$(GO) test -count=1 -v -run 'TestPaceOfChanges' ./internal/store -args -pace
	$(GO) test -count=1 -v -run 'TestPaceOfNicUpdate' ./internal/proc/control -args -pace
	$(GO) test -count=1 -v -timeout 20m -run 'TestUpdatesBesideBIND' ./test/bench/updates -args -updates
	$(GO) test -count=1 -v -timeout 30m -run 'TestALargeImport' ./test -args -large 1000000
	$(GO) test -count=1 -v -timeout 30m -run 'TestAFileAtTheLimit' ./test -args -limit
	$(GO) test -count=1 -v -run 'TestCostOfAChecker' ./internal/health -args -cost
	$(GO) test -count=1 -v -timeout 30m -run 'TestFailoverTimes' ./test -args -failover 50
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/bench ./test/bench
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/bench-coredns ./test/bench/coredns
	$(BIN)/bench -bin $(BIN) -names $(NAMES) -rounds $(ROUNDS) -peers '$(PEERS)' -json $(JSON) $(BENCH)
	$(BIN)/bench -write-docs docs/benchmarks.md

FUZZTIME ?= 60s
fuzz: ## fuzz every target for FUZZTIME (default 60s)
	@GO='$(GO)' test/fuzz.sh $(FUZZTIME)

lint: $(TOOLS)/golangci-lint ## gofmt, go vet and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(TOOLS)/golangci-lint run ./...

proto: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/protoc-gen-grpc-gateway $(TOOLS)/protoc-gen-openapiv3 ## generate code from the .proto files
	cd proto && PATH="$(TOOLS):$$PATH" buf lint && PATH="$(TOOLS):$$PATH" buf generate
	cd internal/store/storepb && PATH="$(TOOLS):$$PATH" buf lint && PATH="$(TOOLS):$$PATH" buf generate

clean: ## remove what make built
	rm -rf $(BIN)

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install $(LINT)
$(TOOLS)/buf:
	GOBIN=$(TOOLS) $(GO) install $(BUF)
$(TOOLS)/protoc-gen-go:
	GOBIN=$(TOOLS) $(GO) install $(PROTO_GO)
$(TOOLS)/protoc-gen-go-grpc:
	GOBIN=$(TOOLS) $(GO) install $(PROTO_RPC)
$(TOOLS)/protoc-gen-grpc-gateway:
	GOBIN=$(TOOLS) $(GO) install $(PROTO_GW)
$(TOOLS)/protoc-gen-openapiv3:
	GOBIN=$(TOOLS) $(GO) install $(PROTO_OAS)
