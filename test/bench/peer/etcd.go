package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/internal/proc/ports"
)

// noFsync is for an etcd that is filled and then only read.
const noFsync = "--unsafe-no-fsync"

// Etcd is the real thing, of one member.
type Etcd struct {
	proc   *Proc
	URL    string
	client *clientv3.Client
}

// StartEtcd starts the etcd that keeps its data in a folder of the site, and returns
// when it serves.
func StartEtcd(ctx context.Context, site *Site, name string, flags ...string) (*Etcd, error) {
	client, err := ports.TCP("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(site.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	e := &Etcd{URL: "http://127.0.0.1:" + strconv.Itoa(client)}
	peer := "http://127.0.0.1:0" // it has no peers
	args := append([]string{
		"--name", "e", "--data-dir", filepath.Join(dir, "data"), "--listen-client-urls", e.URL, "--advertise-client-urls", e.URL,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e=" + peer,
		"--heartbeat-interval", "10", "--election-timeout", "100", // ready in a tenth of a second
		"--log-level", "error", "--quota-backend-bytes", strconv.Itoa(8 << 30),
	}, flags...)
	if e.proc, err = Run(dir, "etcd", filepath.Join(site.Bin, "etcd"), nil, args...); err != nil {
		return nil, err
	}
	if e.client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.URL}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}); err != nil {
		return nil, errors.Join(err, e.proc.Stop())
	}
	if err := e.ready(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

func (e *Etcd) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		call, done := context.WithTimeout(ctx, time.Second)
		_, err := e.client.Get(call, "ready")
		done()
		if err == nil {
			return nil
		}
		if ended := e.proc.Ended(); ended != nil {
			return ended
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for etcd: %w", err)
		}
	}
}

func (e *Etcd) Stop() error { return errors.Join(e.client.Close(), e.proc.Stop()) }

// fillEtcd fills the etcd of a folder, once.
func (s *Site) fillEtcd(ctx context.Context, name string, fill func(context.Context, *Etcd) error) error {
	full := filepath.Join(s.Dir, name, "full")
	if exists(full) {
		return nil
	}
	e, err := StartEtcd(ctx, s, name, noFsync)
	if err != nil {
		return err
	}
	if err := fill(ctx, e); err != nil {
		return errors.Join(err, e.Stop())
	}
	if err := e.Stop(); err != nil {
		return err
	}
	return os.WriteFile(full, nil, 0o644)
}
