package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

const (
	announcedFor  = 30 // seconds after the last sign of life
	announceAgain = 2 * time.Second
)

// Announce says until ctx ends that a control service runs, under a name for people, and
// which master keys it holds: those that UseMasterKeys was given before.
func (s *Store) Announce(ctx context.Context, name string) {
	var b [8]byte
	rand.Read(b[:])
	key := s.keys.controls() + hex.EncodeToString(b[:])
	var ids []string
	if held := s.master.Load(); held != nil {
		ids = slices.Sorted(maps.Keys(*held))
	}
	value := string(encode(&storepb.ControlService{Schema: 1, Name: name, MasterKeys: ids}))
	for ctx.Err() == nil {
		if err := s.announceOnce(ctx, key, value); err != nil && ctx.Err() == nil {
			s.log.Debug("etcd is not told that this service runs", "error", err)
		}
		_ = sleep(ctx, announceAgain) // ctx is looked at next
	}
}

// announceOnce returns when the sign of life has ended.
func (s *Store) announceOnce(ctx context.Context, key, value string) error {
	cctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	lease, err := s.client.Grant(cctx, announcedFor)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = s.client.Revoke(last, lease.ID) // else it ends by itself
	}()
	if _, err := s.client.Put(cctx, key, value, clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, err := s.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return err
	}
	for range alive { // closed when the lease or ctx has ended
	}
	return nil
}

// checkHeld refuses a master key that a control service that runs does not hold. Errors:
// Precondition, naming those services.
func (s *Store) checkHeld(ctx context.Context, id string) error {
	var without []string
	err := s.eachValue(ctx, s.keys.controls(), func(_ string, raw []byte, _ int64) error {
		var p storepb.ControlService
		if err := decode("sign of life of a control service", raw, &p); err != nil {
			return err
		}
		if !slices.Contains(p.MasterKeys, id) {
			without = append(without, p.Name)
		}
		return nil
	})
	if err != nil || len(without) == 0 {
		return err
	}
	return model.E(model.Precondition, "rekey", id).Because("these control services run without the new key: " + strings.Join(without, ", ")).
		Hint("restart each with the new key's file in --further-master-key-files; one that was killed is forgotten after 30 s")
}
