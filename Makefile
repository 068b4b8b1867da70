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

test: ## all tests that need nothing but Go
	$(GO) test ./...

race: ## all tests with the race detector
	CGO_ENABLED=1 $(GO) test -race ./...

e2e: ## three etcd, two coredns and two signpostd as real processes, and faults
	$(GO) test -count=1 -v -run 'TestProduction' ./test/...

PEERS ?= 500
interop: ## the same answers as BIND, Knot and NSD on PEERS random zones (root installs them)
	$(GO) test -count=1 -v -timeout 30m -run 'TestPeersSayTheSame' ./test/diff -args -peers $(PEERS)

KILLS ?= 1000
chaos: ## control services killed KILLS times in mid-call, in process and as processes
	$(GO) test -count=1 -v -timeout 60m -run 'TestOneChangeIsOneChange' ./test -args -kills $(KILLS)

bench: ## the figures of docs/benchmarks.md
	$(GO) test -run '^$$' -bench . -benchmem ./internal/zone
	$(GO) test -count=1 -v -run 'TestCostPerQuery' ./plugin -args -cost

FUZZTIME ?= 60s
fuzz: ## fuzz every target for FUZZTIME (default 60s)
	@set -e; for p in $$($(GO) list ./...); do \
	  d=$$($(GO) list -f '{{.Dir}}' $$p); \
	  for f in $$(grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' $$d/*_test.go 2>/dev/null | awk '{print $$2}'); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

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
