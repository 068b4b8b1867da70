package peer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/proc/ports"
	"signpost/internal/store"
	"signpost/test/bench/question"
)

// ours is our own name server; one line for each way of running it that is compared:
// the plugins before it, and what is in its block beside etcd and snapshot.
var ours = []Peer{
	signpost("signpost", "the plugin alone", "", ""),
	signpost("signpost-metrics", "with prometheus and errors before it", "prometheus {http}\nerrors", ""),
	signpost("signpost-batch", "with listen batch", "", "listen batch"),
	signpost("signpost-batch-metrics", "with listen batch, and prometheus and errors before it", "prometheus {http}\nerrors", "listen batch"),
	signpost("signpost-batch-limit", "with listen batch and a limit that is not reached", "", "listen batch\nlimit 1000000"),
}

func signpost(name, note, before, inside string) Peer {
	return Peer{
		Name: name, Program: "coredns", version: []string{"-version"}, conf: "Corefile", args: corednsArgs,
		Note:   note + "; GOMAXPROCS is {workers}; it starts from its snapshot, with the etcd that it follows there and not counted",
		config: corefile(before + "\nsignpost {zone} {\nendpoint {etcd}\nsnapshot {site}/signpost-data/snapshot\n" + inside + "\n}"),
		etcd:   signpostData,
		prepare: func(ctx context.Context, s *Site, _ string) error {
			return s.fillEtcd(ctx, signpostData, func(ctx context.Context, e *Etcd) error {
				if err := fillSignpost(ctx, e, s.Names); err != nil {
					return err
				}
				return s.firstSnapshot(ctx, e)
			})
		},
	}
}

const signpostData = "signpost-data"

// fillSignpost makes the zone as an import does: a generation of names, then the
// zone that refers to it.
func fillSignpost(ctx context.Context, e *Etcd, n int) error {
	st, err := store.Open(store.Config{Endpoints: []string{e.URL}})
	if err != nil {
		return err
	}
	fill := func() error {
		zone, err := model.ParseName(question.Zone)
		if err != nil {
			return err
		}
		ns, err := records(dns.TypeNS, "ns1."+zone.String())
		if err != nil {
			return err
		}
		glue, err := records(dns.TypeA, "192.0.2.53")
		if err != nil {
			return err
		}
		claim, err := st.ClaimImport(ctx, zone, "bench", time.Now())
		if err != nil {
			return err
		}
		if err := loadNames(claim, zone, n); err != nil {
			return err
		}
		_, err = st.Update(ctx, func(tx *store.Tx) error {
			if _, err := tx.Zone(zone); model.KindOf(err) != model.NotFound {
				return fmt.Errorf("make zone %s: %w", zone, err)
			}
			z := &model.Zone{
				Name: zone, Incarnation: 1, Generation: claim.Generation, Apex: []model.RRset{ns},
				SOA: model.SOA{MName: "ns1." + zone.String(), RName: "hostmaster." + zone.String(), Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
			}
			tx.PutZone(z)
			ns1, err := model.ParseName("ns1." + question.Zone)
			if err != nil {
				return err
			}
			if _, err := tx.Path(z, ns1); err != nil {
				return err
			}
			tx.PutName(z, ns1, &model.NameData{RRsets: []model.RRset{glue}})
			return tx.EndImport(claim)
		})
		_, ended := claim.Release(ctx)
		return errors.Join(err, ended)
	}
	return errors.Join(fill(), st.Close())
}

func loadNames(claim *store.Claim, zone model.Name, n int) error {
	var bad error
	err := claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for i := range n {
			name, err := model.ParseName(question.Name(i) + "." + question.Zone)
			if err != nil {
				bad = err
				return
			}
			data, err := addresses(i)
			if err != nil {
				bad = err
				return
			}
			if !yield(name, data) {
				return
			}
		}
	}, func(int) {})
	return errors.Join(bad, err)
}

func addresses(i int) (*model.NameData, error) {
	a, err := records(dns.TypeA, question.A(i).String())
	if err != nil {
		return nil, err
	}
	data := &model.NameData{RRsets: []model.RRset{a}}
	if aaaa, ok := question.AAAA(i); ok {
		set, err := records(dns.TypeAAAA, aaaa.String())
		if err != nil {
			return nil, err
		}
		data.RRsets = model.WithRRset(data.RRsets, set)
	}
	return data, nil
}

func records(qtype uint16, rdata string) (model.RRset, error) {
	return model.ParseRRset(qtype, 60, []string{rdata})
}

// firstSnapshot runs a name server until it has written its snapshot.
func (s *Site) firstSnapshot(ctx context.Context, e *Etcd) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	dir := filepath.Join(s.Dir, signpostData)
	p := signpost(signpostData, "", "", "")
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		return err
	}
	values := map[string]string{"dir": dir, "port": strconv.Itoa(port), "zone": question.Zone, "site": s.Dir, "etcd": e.URL}
	srv := &Server{}
	if err := p.start(srv, s, dir, values); err != nil {
		return err
	}
	for !exists(filepath.Join(dir, "snapshot")) && ctx.Err() == nil && srv.Ended() == nil {
		time.Sleep(10 * time.Millisecond) // between looks; nothing rests on how long
	}
	if err := errors.Join(ctx.Err(), srv.Ended()); err != nil {
		return errors.Join(fmt.Errorf("wait for the first snapshot: %w", err), srv.proc.Stop())
	}
	return srv.proc.Stop()
}
