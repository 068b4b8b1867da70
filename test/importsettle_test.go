package test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/test/proctest"
)

// settle waits until the claims of the dead have ended, imports once more, and looks
// whether anything is left of what they did.
func (it *importTrial) settle(zones []*zoneOf) {
	t := it.t
	t.Helper()
	for _, z := range zones {
		if got := it.export(it.victims[0], z); got != z.whole {
			t.Errorf("%s has changed after the kill", z.name)
		}
		text := numberedZone(3, "192.0.2.3")
		proctest.Until(t, "another import into "+z.name, func() error {
			a, err := it.send(it.victims[it.chance.IntN(2)], "POST", "/v1/zones/"+z.name+":import?replace=true", it.token, text)
			if err == nil && a.Status != http.StatusOK {
				err = fmt.Errorf("%+v", a)
			}
			return err
		})
		want := fmt.Sprintf("%[1]s. 60 IN NS ns.example.net.\nn0.%[1]s. 60 IN A 192.0.2.3\nn1.%[1]s. 60 IN A 192.0.2.3\nn2.%[1]s. 60 IN A 192.0.2.3\n", z.name)
		if got := it.export(it.victims[1], z); got != want {
			t.Errorf("after the next import:\n%.300s\nwant\n%s", got, want)
		}
	}
	// The services do this every few minutes.
	if _, err := it.store.Sweep(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, z := range zones {
		generations := map[string]int{}
		for _, key := range it.keys(under(names, z) + "/") {
			generation, _, _ := strings.Cut(strings.TrimPrefix(key, under(names, z)+"/"), "/")
			generations[generation]++
		}
		if left := it.keys(under(claims, z)); len(generations) != 1 || len(left) != 0 {
			t.Errorf("%s: names by generation after the sweep: %v; claims: %v", z.name, generations, left)
		}
		it.must(it.victims[0], "DELETE", "/v1/zones/"+z.name+"?force=true", "")
	}
}

func (it *importTrial) keys(prefix string) (keys []string) {
	it.t.Helper()
	got, err := it.etcd.Get(it.t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		it.t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// export is what a zone says but for its SOA; its host has the address that was
// acknowledged last, and is left out.
func (it *importTrial) export(v *victim, z *zoneOf) string {
	it.t.Helper()
	req, err := http.NewRequestWithContext(it.t.Context(), http.MethodGet, v.url+"/v1/zones/"+z.name+":export", nil)
	if err != nil {
		it.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+it.token)
	resp, err := it.client.Do(req)
	if err != nil {
		it.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		it.t.Fatalf("export %s: %d, %v", z.name, resp.StatusCode, err)
	}
	_, text, _ := strings.Cut(strings.ReplaceAll(string(raw), "\t", " "), "\n")
	var rest strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "h."+z.name+".") {
			rest.WriteString(line)
		} else if !strings.HasSuffix(line, z.address+"\n") {
			it.t.Errorf("%s: the export says %q, the address acknowledged last is %s", z.name, line, z.address)
		}
	}
	if len(text) == rest.Len() {
		it.t.Errorf("%s: the host is not in the export", z.name)
	}
	return rest.String()
}

// must makes a call that nothing stands in the way of.
func (it *importTrial) must(v *victim, method, path, body string) {
	it.t.Helper()
	if a, err := it.send(v, method, path, it.token, body); err != nil || a.Status != http.StatusOK {
		it.t.Fatalf("%s %s: %+v, %v", method, path, a, err)
	}
}

// numberedZone is a zone file of names that all have one address.
func numberedZone(names int, address string) string {
	var b strings.Builder
	b.WriteString("$TTL 60\n@ SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range names {
		fmt.Fprintf(&b, "n%d A %s\n", i, address)
	}
	return b.String()
}
