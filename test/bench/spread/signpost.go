package spread

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/proc/ports"
	pb "signpost/proto/signpost/v1"
	"signpost/test/bench/peer"
	"signpost/test/bench/question"
)

var ours = System{
	Name: "signpost",
	Note: "one etcd that syncs to disk, one signpostd, two coredns; SetAddresses over gRPC with the host's secret",
	missing: func(s *peer.Site) string {
		for _, name := range []string{"coredns", "signpostd", "etcd"} {
			if _, err := os.Stat(filepath.Join(s.Bin, name)); err != nil {
				return err.Error() + ": run make build"
			}
		}
		return ""
	},
	version: func(ctx context.Context, s *peer.Site) (string, error) {
		return peer.Version(ctx, filepath.Join(s.Bin, "coredns"), "-version")
	},
	start: startSignpost,
}

// connections is how many the workers share.
const connections = 4

type signpost struct {
	dir     string
	site    *peer.Site
	etcd    *peer.Etcd
	url     string // HOST:PORT
	conns   []*grpc.ClientConn
	secrets []string // Authorization of each host
}

func startSignpost(ctx context.Context, site *peer.Site, r *running) (err error) {
	s := &signpost{dir: filepath.Join(site.Dir, "spread-signpost"), site: site, secrets: make([]string, site.Names)}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	if s.etcd, err = peer.StartEtcd(ctx, site, "spread-etcd"); err != nil {
		return err
	}
	r.stops = append(r.stops, s.etcd.Stop)
	for i := range 2 {
		if err := s.startReplica(r, i); err != nil {
			return err
		}
	}
	if err := s.startControl(r); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	r.update = s.update
	return nil
}

func (s *signpost) startReplica(r *running, i int) error {
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		return err
	}
	conf := filepath.Join(s.dir, fmt.Sprintf("Corefile%d", i))
	text := fmt.Sprintf(".:%d {\nbind 127.0.0.1\nsignpost {\nendpoint %s\nsnapshot %s/snapshot%d\n}\n}\n", port, s.etcd.URL, s.dir, i)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	p, err := peer.Run(s.dir, fmt.Sprintf("coredns%d", i), filepath.Join(s.site.Bin, "coredns"), nil, "-quiet", "-conf", conf)
	if err != nil {
		return err
	}
	r.stops = append(r.stops, p.Stop)
	r.replicas = append(r.replicas, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
	return nil
}

func (s *signpost) startControl(r *running) error {
	http, err := ports.TCP("127.0.0.1")
	if err != nil {
		return err
	}
	s.url = "127.0.0.1:" + strconv.Itoa(http)
	p, err := peer.Run(s.dir, "signpostd", filepath.Join(s.site.Bin, "signpostd"), nil, "serve", "--etcd-endpoints", s.etcd.URL,
		"--http-listen", s.url, "--admin-listen", "127.0.0.1:0", "--name-servers", r.replicas[0].String()+","+r.replicas[1].String())
	if err != nil {
		return err
	}
	r.stops = append(r.stops, p.Stop)
	for range connections {
		c, err := grpc.NewClient(s.url, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
		if err != nil {
			return err
		}
		r.stops = append(r.stops, c.Close)
		s.conns = append(s.conns, c)
	}
	return nil
}

// fill makes the zone and its hosts.
func (s *signpost) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	token, err := s.token(ctx)
	if err != nil {
		return err
	}
	admin := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	_, err = pb.NewZoneServiceClient(s.conns[0]).CreateZone(admin, &pb.CreateZoneRequest{
		Name: question.Zone, NameServers: []*pb.NameServer{{Name: "ns1." + question.Zone, Addresses: []string{"192.0.2.53"}}},
	})
	if err != nil {
		return fmt.Errorf("create the zone: %w", err)
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			hosts := pb.NewHostServiceClient(s.conns[w%connections])
			for i := w; i < s.site.Names && errs[w] == nil; i += workers {
				fqdn := question.Name(i) + "." + question.Zone
				h, err := hosts.CreateHost(admin, &pb.CreateHostRequest{Fqdn: fqdn, Addresses: []string{question.A(i).String()}})
				errs[w] = err
				s.secrets[i] = "Basic " + base64.StdEncoding.EncodeToString([]byte(fqdn+":"+h.GetSecret()))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// token is what the control service writes at its first start.
func (s *signpost) token(ctx context.Context) (string, error) {
	for {
		raw, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
		if text := strings.TrimSpace(string(raw)); err == nil && text != "" {
			return text, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the admin token: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *signpost) update(ctx context.Context, worker, i int, a netip.Addr) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", s.secrets[i])
	_, err := pb.NewHostServiceClient(s.conns[worker%connections]).SetAddresses(ctx, &pb.SetAddressesRequest{
		Fqdn: question.Name(i) + "." + question.Zone, Addresses: []string{a.String()},
	})
	return err
}
