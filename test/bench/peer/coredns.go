package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/test/bench/question"
)

// other is CoreDNS with plugins that our own binary does not have.
const other = "bench-coredns"

var corednsArgs = []string{"-quiet", "-conf", "{dir}/Corefile"}

// corefile is one server block with these lines.
func corefile(lines string) string {
	return ".:{port} {\nbind 127.0.0.1\n" + lines + "\n}\n"
}

var coreFile = Peer{
	Name: "coredns-file", Program: other, version: []string{"-version"}, conf: "Corefile", args: corednsArgs,
	Note:   "plugin file and nothing else; GOMAXPROCS is {workers}; its replies carry the NS records too",
	config: corefile("file {file} {zone}"),
}

var coreConstant = Peer{
	Name: "constant", Program: other, version: []string{"-version"}, conf: "Corefile", args: corednsArgs, Loose: true,
	Note:   "CoreDNS with a plugin that answers every question with the same address: the floor of any plugin, no right answers",
	config: corefile("constant"),
}

var coreEtcd = Peer{
	Name: "coredns-etcd", Program: other, version: []string{"-version"}, conf: "Corefile", args: corednsArgs,
	Note:   "plugin etcd, names as it wants them below /skydns; the etcd that it asks for every answer is counted with it and runs before it starts",
	config: corefile("etcd {zone} {\npath /skydns\nendpoint {etcd}\n}"),
	etcd:   "skydns", countEtcd: true,
	prepare: func(ctx context.Context, s *Site, _ string) error {
		return s.fillEtcd(ctx, "skydns", func(ctx context.Context, e *Etcd) error { return fillSkyDNS(ctx, e, s.Names) })
	},
}

// fillSkyDNS writes each address below the name's labels in reverse.
func fillSkyDNS(ctx context.Context, e *Etcd, n int) error {
	labels := strings.Split(question.Zone, ".")
	root := "/skydns"
	for i := len(labels) - 1; i >= 0; i-- {
		root += "/" + labels[i]
	}
	put := func(key string, a netip.Addr) (clientv3.Op, error) {
		v, err := json.Marshal(map[string]any{"host": a.String(), "ttl": 60})
		return clientv3.OpPut(key, string(v)), err
	}
	return inParts(n, func(from, to int) error {
		var ops []clientv3.Op
		for i := from; i < to; i++ {
			key := root + "/" + question.Name(i)
			aaaa, both := question.AAAA(i)
			if both {
				op, err := put(key+"/b", aaaa)
				if err != nil {
					return err
				}
				ops = append(ops, op)
				key += "/a"
			}
			op, err := put(key, question.A(i))
			if err != nil {
				return err
			}
			ops = append(ops, op)
			if len(ops) < 100 && i < to-1 {
				continue
			}
			if _, err := e.client.Txn(ctx).Then(ops...).Commit(); err != nil {
				return fmt.Errorf("write names: %w", err)
			}
			ops = ops[:0]
		}
		return nil
	})
}

// inParts does several parts of 0 to n at once: etcd commits what waits together.
func inParts(n int, do func(from, to int) error) error {
	const parts = 4
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { errs[p] = do(n*p/parts, n*(p+1)/parts) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
