package test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// hostAction is an operation on one name.
type hostAction struct{ kind, name, address, secret string }

func (in hostAction) request() (method, path, body string) {
	host := "/v1/hosts/" + in.name
	switch in.kind {
	case "create":
		return "POST", "/v1/hosts", fmt.Sprintf(`{"fqdn":%q,"addresses":[%q]}`, in.name, in.address)
	case "delete":
		return "DELETE", host, ""
	case "set":
		return "POST", host + ":setAddresses", fmt.Sprintf(`{"addresses":[%q]}`, in.address)
	case "rotate":
		return "POST", host + ":rotateSecret", "{}"
	case "auth":
		return "GET", "/v1/whoami", ""
	}
	return "GET", host, ""
}

// hostResult is what it was answered.
type hostResult struct {
	status    int
	secret    string
	addresses string
}

func (a answer) result() hostResult {
	return hostResult{a.Status, a.Secret, strings.Join(append(a.Addresses, a.Host.Addresses...), " ")}
}

// hostState is all that there is to know of a name.
type hostState struct {
	exists          bool
	address, secret string
}

// step says whether a name in this state may answer so, and its state after.
//
//	            there is no host         there is one
//	create      200, with this address   409
//	delete      404                      200, gone
//	set         404                      200, with this address
//	rotate      404                      200, with this secret
//	get         404                      200 and its address
//	auth        401                      200 with its secret, else 401
func step(s hostState, in hostAction, out hostResult) (bool, hostState) {
	absent := http.StatusNotFound
	switch in.kind {
	case "create":
		if s.exists {
			return out.status == http.StatusConflict, s
		}
		return out.status == http.StatusOK && out.secret != "", hostState{true, in.address, out.secret}
	case "auth":
		if s.exists && s.secret == in.secret {
			return out.status == http.StatusOK, s
		}
		return out.status == http.StatusUnauthorized, s
	}
	if !s.exists {
		return out.status == absent, s
	}
	ok := out.status == http.StatusOK
	switch in.kind {
	case "delete":
		return ok, hostState{}
	case "set":
		return ok && out.addresses == in.address, hostState{true, in.address, s.secret}
	case "rotate":
		return ok && out.secret != "" && out.secret != s.secret, hostState{true, s.address, out.secret}
	}
	return ok && out.addresses == s.address, s
}

var hostModel = porcupine.Model{
	Init: func() any { return hostState{} },
	Step: func(s, in, out any) (bool, any) { return step(s.(hostState), in.(hostAction), out.(hostResult)) },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byName := map[string][]porcupine.Operation{}
		for _, op := range history {
			n := op.Input.(hostAction).name
			byName[n] = append(byName[n], op)
		}
		return slices.Collect(maps.Values(byName))
	},
}

// linearizable holds the history of each name against the model, and shows where one
// that cannot be explained ends.
func (tr *trial) linearizable() {
	tr.t.Helper()
	for _, ops := range hostModel.Partition(tr.history) {
		r, info := porcupine.CheckOperationsVerbose(hostModel, ops, 2*time.Minute)
		if r == porcupine.Ok {
			continue
		}
		tr.t.Errorf("the history of %s is not linearizable: %s", ops[0].Input.(hostAction).name, r)
		explained := 0
		for _, partial := range info.PartialLinearizations() {
			for _, of := range partial {
				explained = max(explained, len(of))
			}
		}
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		for _, op := range ops[max(0, explained-20):min(len(ops), explained+20)] {
			tr.t.Logf("%v to %v, client %d: %+v: %+v", time.Duration(op.Call), time.Duration(op.Return), op.ClientId, op.Input, op.Output)
		}
	}
}

// check holds the promises against what happened: the history of each name is that
// of a single host with one change at a time, and there are as many changes in the
// audit as were acknowledged.
func (tr *trial) check() {
	tr.t.Helper()
	tr.t.Logf("%d operations, %d changes sent again", len(tr.history), tr.repeats)
	if tr.repeats == 0 {
		tr.t.Error("no kill fell into a change: this trial says nothing")
	}
	tr.linearizable()
	made, page := map[string]int{}, ""
	for {
		out := tr.call(rand.New(rand.NewPCG(tr.seed, 0)), "GET", "/v1/audit?page_size=1000&zone="+onceZone+"&page_token="+page, tr.token, "")
		for _, r := range out.Records {
			made[strings.TrimSuffix(r.Name, ".")]++
		}
		if page = out.Next; page == "" {
			break
		}
	}
	total := 0
	for n := range onceNames {
		name := hostName(n)
		if total += made[name]; made[name] != tr.changes[name] {
			tr.t.Errorf("%s: %d changes were acknowledged and %d made", name, tr.changes[name], made[name])
		}
	}
	if total == 0 {
		tr.t.Error("no change was made at all")
	}
}
