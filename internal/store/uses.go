package store

import (
	"bytes"
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Use is a credential of which is kept when it was last used: a token or a host's
// secret.
type Use struct {
	host   model.Name // "": a token
	zone   model.Name
	inc    uint64
	secret [32]byte
}

// TokenUse is the use of a token.
func TokenUse(sum [32]byte) Use { return Use{secret: sum} }

// HostUse is the use of a host's secret.
func HostUse(z *model.Zone, host model.Name, sum [32]byte) Use {
	return Use{host, z.Name, z.Incarnation, sum}
}

// useKeys is where a use is kept, and where the credential is that it is of.
func (k keys) useKeys(u Use) (key, of string) {
	if u.host == "" {
		return k.tokenUse(u.secret[:]), k.token(u.secret[:])
	}
	z := model.Zone{Name: u.zone, Incarnation: u.inc}
	return k.hostUse(z, u.host), k.host(z, u.host)
}

// LastUse is when a token was last used, as far as it was noted; zero: never.
func (tx *Tx) LastUse(sum []byte) (time.Time, error) {
	kvs, err := tx.look(tx.s.keys.tokenUse(sum))
	if err != nil || !kvs[0].there() {
		return time.Time{}, err
	}
	at, _, err := decodeUse(kvs[0].value)
	return at, err
}

// HostUses is when the secrets that hosts of a zone have now were last used, as far as it
// was noted; zero: never.
func (tx *Tx) HostUses(z *model.Zone, hosts []Named) ([]time.Time, error) {
	keys := make([]string, len(hosts))
	for i, h := range hosts {
		keys[i] = tx.s.keys.hostUse(*z, h.Name)
	}
	kvs, err := tx.look(keys...)
	if err != nil {
		return nil, err
	}
	out := make([]time.Time, len(hosts))
	for i, kv := range kvs {
		if !kv.there() || hosts[i].Host == nil {
			continue
		}
		at, secret, err := decodeUse(kv.value)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(secret, hosts[i].Host.SecretHash) {
			out[i] = at
		}
	}
	return out, nil
}

// Uses of credentials are written this many in one transaction, and each at most once in
// useEvery, however many services see it used.
const (
	MostUses = 60
	useEvery = 24 * time.Hour
)

// SaveUses keeps when credentials, at most MostUses, were used, but of those of which it
// is known to less than a day, and of those that are no more. Errors: Unavailable.
func (s *Store) SaveUses(ctx context.Context, uses map[Use]time.Time) error {
	var ask []clientv3.Op
	var order []Use
	for u := range uses {
		key, _ := s.keys.useKeys(u)
		ask = append(ask, clientv3.OpGet(key))
		order = append(order, u)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).Then(ask...).Commit()
	if err != nil {
		return translate(err, "note uses", "")
	}
	var ops []clientv3.Op
	for i, u := range order {
		if kvs := resp.Responses[i].GetResponseRange().GetKvs(); len(kvs) == 1 {
			at, secret, err := decodeUse(kvs[0].Value)
			if err == nil && bytes.Equal(secret, u.secret[:]) && uses[u].Sub(at) < useEvery {
				continue
			}
		}
		value := encode(&storepb.Use{Schema: 1, Time: seconds(uses[u]), SecretSha256: u.secret[:]})
		key, of := s.keys.useKeys(u)
		there := clientv3.Compare(clientv3.CreateRevision(of), ">", 0)
		ops = append(ops, clientv3.OpTxn([]clientv3.Cmp{there}, []clientv3.Op{clientv3.OpPut(key, string(value))}, nil))
	}
	if len(ops) == 0 {
		return nil
	}
	_, err = s.client.Txn(ctx).Then(ops...).Commit()
	return translate(err, "note uses", "")
}

// sweepUses removes what is known of the use of secrets of dead incarnations of zones.
func (s *Store) sweepUses(ctx context.Context, _ time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.hostUses(), isDeadIncarnation)
}

func decodeUse(raw []byte) (at time.Time, secret []byte, err error) {
	var p storepb.Use
	if err := decode("use", raw, &p); err != nil {
		return time.Time{}, nil, err
	}
	return fromSeconds(p.Time), p.SecretSha256, nil
}
